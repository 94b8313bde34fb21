"""Commands that come all at once, or meet a process that hangs, end in the state that status shows."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import httpx
import psutil
import pytest

from tests.daemon.survival.conftest import create
from tests.daemon.survival.test_memory import edit
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import config, events, family, no_stray_was_killed, status
from tests.patience import PATIENCE
from tests.saboteur import at_start

Launch = Callable[..., DaemonProcess]

FROZEN = """\
import os, signal

forks = 0

def forked():
    # A zygote's own child only bears the newborn, which is to freeze before it does anything.
    global forks
    forks += 1
    if forks == 2 and os.path.exists({flag!r}):
        os.kill(os.getpid(), signal.SIGSTOP)

os.register_at_fork(after_in_child=forked)
"""
"""While a file exists, every new process stops itself at once."""

NEVER = "3600"
"""A deadline that no test reaches: what ends before it did not wait for it."""

STORM = 40
"""Messages that are accepted while the storm lasts."""


def named(daemon: DaemonProcess, name: str) -> list[psutil.Process]:
    """The living processes of the persona of this name."""
    found = []
    for process in family(daemon):
        try:
            if process.name() == name and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def post(daemon: DaemonProcess, persona_id: str, verb: str) -> httpx.Response:
    """Call a lifecycle route."""
    return daemon.http.post(f"/api/persona/{persona_id}/{verb}")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_storm(daemon: DaemonProcess, brain: ScriptedMind, seed: int) -> None:
    """Twenty starts, stops and restarts at once: no 500, and in the end one process or none, as status says.

    A start that a busy machine delays is cancelled by the stop behind it, and says so.
    """
    persona_id = create(daemon, brain, "Stormy")
    draw = random.Random(seed)
    for _ in range(4):
        verbs = [draw.choice(["start", "stop", "restart"]) for _ in range(20)]
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda verb: post(daemon, persona_id, verb), verbs))
        assert {(answer.status_code, answer.text) for answer in answers if answer.status_code != 200} <= {
            (404, '{"detail":"Persona is not running."}'),
            (400, '{"detail":"she was stopped before she came up"}'),
        }
        view = status(daemon, persona_id)
        assert view["state"] == ("running" if view["running"] else "stopped")
        wait_for(lambda v=view: len(named(daemon, "Stormy")) == int(v["running"]), "one process or none")  # type: ignore[misc]
        assert [process.pid for process in named(daemon, "Stormy")] == ([view["pid"]] if view["running"] else [])
    post(daemon, persona_id, "restart")
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        listener.hears("apple")
        assert listener.words == ["apple"]
    no_stray_was_killed(daemon)


def test_the_last_command_counts(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """Commands take effect in the order in which they came: the last one holds when all have answered."""
    persona_id = create(daemon, brain, "Ordered")
    for verbs in (
        ["restart", "restart", "stop"],
        ["start", "start", "restart", "stop"],
        ["restart", "start", "restart"],
        ["stop", "restart", "start"],
    ):
        with ExitStack() as lines:
            given = [lines.enter_context(command(daemon, persona_id, verb)) for verb in verbs]
            assert all(line.getresponse().status in (200, 404) for line in given)
        wanted = verbs[-1] != "stop"
        view = status(daemon, persona_id)
        assert (view["running"], view["state"]) == (wanted, "running" if wanted else "stopped"), verbs
        assert len(named(daemon, "Ordered")) == int(wanted), verbs


def command(daemon: DaemonProcess, persona_id: str, verb: str) -> closing[HTTPConnection]:
    """Send a command, and return its connection when the daemon has read it, which is before its answer.

    Once sent, its bytes are in the daemon's socket; a later request that is answered shows that they were read.
    """
    line = HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE)
    line.request("POST", f"/api/persona/{persona_id}/{verb}")
    status(daemon, persona_id)
    return closing(line)


def test_an_edit_does_not_wake_whom_somebody_stops(launch: Launch, brain: ScriptedMind) -> None:
    """A record that changes while she is being stopped does not restart her."""
    daemon = launch(supervisor_stop_timeout="1")
    persona_id = create(daemon, brain, "Sleepy")
    named(daemon, "Sleepy")[0].send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(2) as pool:
        restarting = pool.submit(post, daemon, persona_id, "restart")
        wait_for(lambda: status(daemon, persona_id)["state"] == "restarting", "the restart")
        stopping = pool.submit(post, daemon, persona_id, "stop")
        # A stop writes her status first. An editor that had the file open before would take that back.
        wait_for(lambda: config(daemon, persona_id)["status"] == "hibernate", "the stop")
        edit(daemon, persona_id, name="Woken")
        wait_for(lambda: events(daemon, "persona.edited"), "the edit")
        assert status(daemon, persona_id)["state"] == "restarting"
        assert stopping.result().status_code == 200
        restarting.result()
    assert post(daemon, persona_id, "stop").status_code == 404
    assert status(daemon, persona_id)["state"] == "stopped"


def test_two_processes_never_serve_her_at_once(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """A restart opens the next process only after the old one is reaped, also under many commands and deaths."""
    persona_id = create(daemon, brain, "Single")
    over = threading.Event()

    def torment(verb: str) -> None:
        while not over.is_set():
            post(daemon, persona_id, verb)

    def strike() -> None:
        while not over.wait(0.05):
            for process in named(daemon, "Single")[:1]:
                process.send_signal(signal.SIGKILL)

    with ThreadPoolExecutor(5) as pool, Listener(daemon, persona_id) as listener:
        for work in (lambda: torment("restart"), lambda: torment("start"), lambda: torment("stop"), strike):
            pool.submit(work)
        words: list[str] = []
        while len(words) < STORM:
            word = f"word{len(words)}."
            if daemon.read(persona_id, word).status_code == 200:
                words.append(word)
            # Two prepared processes may be there while one hands over to the other; never three.
            assert len(named(daemon, "Single")) <= 2
        over.set()
        pool.shutdown()
        post(daemon, persona_id, "start")
        listener.hears(*words)
        assert [listener.count(word) for word in words] == [1] * len(words)
    assert words
    assert len(named(daemon, "Single")) == 1
    assert {event["level"] for event in events(daemon)} <= {"debug", "info", "warning", "error"}
    no_stray_was_killed(daemon)


@contextmanager
def frozen(daemon: DaemonProcess, persona_id: str, flag: Path) -> Iterator[Future[httpx.Response]]:
    """Request a start of a persona whose new process stops itself at once; no other persona's does."""
    with ThreadPoolExecutor(1) as pool:
        flag.touch()
        hanging = pool.submit(post, daemon, persona_id, "start")
        wait_for(lambda: stopped(daemon), "her newborn to be frozen")
        flag.unlink()
        yield hanging


def stopped(daemon: DaemonProcess) -> list[psutil.Process]:
    """The daemon's processes that are stopped."""
    found = []
    for process in family(daemon):
        with suppress(psutil.NoSuchProcess):
            if process.status() == psutil.STATUS_STOPPED:
                found.append(process)
    return found


def test_a_start_that_hangs_ends_at_the_deadline(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """A process that does not become ready is killed after ``ready_timeout``, with the reason; the next start works."""
    flag = tmp_path / "frozen"
    daemon = launch(supervisor_ready_timeout="2", PYTHONPATH=at_start(tmp_path / "site", FROZEN.format(flag=str(flag))))
    slow = create(daemon, brain, "Slow")
    post(daemon, slow, "stop")
    with frozen(daemon, slow, flag) as hanging:
        answer = hanging.result(PATIENCE)
    assert answer.status_code == 400
    assert "within 2 s" in answer.json()["detail"]
    assert status(daemon, slow)["state"] == "failed"
    wait_for(lambda: not stopped(daemon), "the end of the frozen process")
    assert post(daemon, slow, "start").json() == {"status": "started"}


def test_a_start_that_hangs_delays_nobody(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """While one persona's start hangs, another starts; a stop ends the hanging start long before its deadline."""
    flag = tmp_path / "frozen"
    daemon = launch(
        supervisor_ready_timeout=NEVER,
        supervisor_stop_timeout="0.3",
        PYTHONPATH=at_start(tmp_path / "site", FROZEN.format(flag=str(flag))),
    )
    slow, quick = create(daemon, brain, "Slow"), create(daemon, brain, "Quick")
    for one in (slow, quick):
        post(daemon, one, "stop")
    with frozen(daemon, slow, flag) as hanging:
        assert post(daemon, quick, "start").json() == {"status": "started"}
        assert not hanging.done()
        assert post(daemon, slow, "stop").json() == {"status": "stopped"}
        assert hanging.result(PATIENCE).status_code == 400
    assert status(daemon, slow)["state"] == "stopped"
    assert status(daemon, quick)["state"] == "running"
    assert not stopped(daemon)
