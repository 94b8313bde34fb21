"""What must not grow: processes, zombies, descriptors, threads."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import all_gone, events, family, lives, logged, worker
from tests.saboteur import BUSY_LOOP, NO_WALLS, STRAY, on_signal

Launch = Callable[..., DaemonProcess]

POOL = 6
"""A limit of threads far below one for each of the test's 120 actions."""


@pytest.mark.frugal
@pytest.mark.slow
def test_nothing_grows(launch: Launch, brain: ScriptedMind) -> None:
    """After 50 restarts, 20 deaths and 50 sockets: no zombie, and as many descriptors and threads as before."""
    daemon = launch()
    persona_id = create(daemon, brain)
    front = psutil.Process(daemon.pid)

    def restart() -> None:
        assert daemon.http.post(f"/api/persona/{persona_id}/restart").status_code == 200

    def connect() -> None:
        with Listener(daemon, persona_id, after=0):
            pass

    def die() -> None:
        victim = worker(daemon, persona_id)
        victim.send_signal(signal.SIGKILL)
        wait_for(lambda: worker(daemon, persona_id).pid != victim.pid, "the next process")

    for action in (restart, connect, die) * 5:
        action()
    # asyncio's pool gets more threads when several are busy at once, up to Python's own limit.
    before = (front.num_fds(), front.num_threads() + POOL, len(family(daemon)))
    for action, times in ((restart, 50), (connect, 50), (die, 20)):
        for _ in range(times):
            action()

    def now() -> tuple[int, int, int]:
        return front.num_fds(), front.num_threads(), len(family(daemon))

    wait_for(lambda: all(a <= b for a, b in zip(now(), before, strict=True)), f"{before}, not {now()}")
    assert all(lives(process) for process in family(daemon))


def test_a_stray_is_ended(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """A process that a worker left in another session ends with the worker, even if it holds the worker's log open."""
    daemon = launch(PYTHONPATH=on_signal(tmp_path / "site", STRAY.format(seconds=300), NO_WALLS))
    persona_id = create(daemon, brain)
    fds = psutil.Process(daemon.pid).num_fds()
    victim = worker(daemon, persona_id)
    victim.send_signal(signal.SIGUSR1)
    stray = wait_for(lambda: [child for child in victim.children() if child.name() == "sleep"], "a stray")
    assert daemon.http.post(f"/api/persona/{persona_id}/restart").status_code == 200
    all_gone(stray)
    wait_for(lambda: psutil.Process(daemon.pid).num_fds() <= fds, "its descriptors back")
    ended = wait_for(lambda: events(daemon, "spawner.strays_ended"), "the event")
    assert [event["pids"] for event in ended] == [str(stray[0].pid)]
    all_gone([victim])


def test_a_blocked_loop_shows_its_stacks(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """A worker whose loop is blocked writes its stacks and is killed; her next process answers."""
    daemon = launch(supervisor_hang_after="2", PYTHONPATH=on_signal(tmp_path / "site", BUSY_LOOP))
    persona_id = create(daemon, brain)
    victim = worker(daemon, persona_id)
    victim.send_signal(signal.SIGUSR1)
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        listener.hears("apple")
    all_gone([victim])
    assert len(logged(daemon, "worker.hung")) == 1
    output = [event["text"] for event in logged(daemon, "worker.output", persona_id)]
    assert any("in act" in line and "sitecustomize.py" in line for line in output), output
