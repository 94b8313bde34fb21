"""Commands that come all at once, or meet a process that does not answer, end in a state that is what it says."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

import httpx
import psutil
import pytest

from tests.daemon.survival.conftest import create
from tests.daemon.survival.test_memory import edit
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import events, family, no_stray_was_killed, status

Launch = Callable[..., DaemonProcess]

ANSWERED: Final = 0.3
"""Seconds in which a start is answered whose process was ready before it was frozen."""


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
    return daemon.http.post(f"/api/persona/{persona_id}/{verb}", timeout=30.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_storm(launch: Launch, brain: ScriptedMind, seed: int) -> None:
    """Twenty starts, stops and restarts at once: no 500, and in the end one process or none, as status says."""
    daemon = launch()
    persona_id = create(daemon, brain, "Stormy")
    draw = random.Random(seed)
    for _ in range(4):
        verbs = [draw.choice(["start", "stop", "restart"]) for _ in range(20)]
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda verb: post(daemon, persona_id, verb), verbs))
        assert {answer.status_code for answer in answers} <= {200, 404}, [answer.text for answer in answers]
        assert {answer.text for answer in answers if answer.status_code == 404} <= {
            '{"detail":"Persona is not running."}'
        }
        view = status(daemon, persona_id)
        assert view["state"] == ("running" if view["running"] else "stopped")
        wait_for(lambda v=view: len(named(daemon, "Stormy")) == int(v["running"]), "one process or none", 5.0)  # type: ignore[misc]
        assert [process.pid for process in named(daemon, "Stormy")] == ([view["pid"]] if view["running"] else [])
    post(daemon, persona_id, "restart")
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        listener.hears("apple")
        assert listener.words == ["apple"]
    no_stray_was_killed(daemon)


def test_the_last_command_counts(launch: Launch, brain: ScriptedMind) -> None:
    """Commands take effect in the order in which they came: what the last one said holds when all have answered."""
    daemon = launch()
    persona_id = create(daemon, brain, "Ordered")
    for verbs in (
        ["restart", "restart", "stop"],
        ["start", "start", "restart", "stop"],
        ["restart", "start", "restart"],
        ["stop", "restart", "start"],
    ):
        with ThreadPoolExecutor(len(verbs)) as pool:
            answers = []
            for verb in verbs:
                answers.append(pool.submit(post, daemon, persona_id, verb))
                time.sleep(0.01)  # in this order, and each before the one in front is done
        assert all(answer.result().status_code in (200, 404) for answer in answers)
        wanted = verbs[-1] != "stop"
        view = status(daemon, persona_id)
        assert (view["running"], view["state"]) == (wanted, "running" if wanted else "stopped"), verbs
        assert len(named(daemon, "Ordered")) == int(wanted), verbs


def test_an_edit_does_not_wake_whom_somebody_stops(launch: Launch, brain: ScriptedMind) -> None:
    """A record that changes while she is being stopped restarts nobody: she stays stopped."""
    daemon = launch(supervisor_stop_timeout="1")
    persona_id = create(daemon, brain, "Sleepy")
    named(daemon, "Sleepy")[0].send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(2) as pool:
        restarting = pool.submit(post, daemon, persona_id, "restart")
        wait_for(lambda: status(daemon, persona_id)["state"] == "restarting", "the restart")
        stopping = pool.submit(post, daemon, persona_id, "stop")
        edit(daemon, persona_id, name="Woken")
        wait_for(lambda: events(daemon, "persona.edited"), "the edit")
        assert status(daemon, persona_id)["state"] == "restarting"
        assert stopping.result().status_code == 200
        restarting.result()
    assert post(daemon, persona_id, "stop").status_code == 404
    assert status(daemon, persona_id)["state"] == "stopped"


def test_two_processes_never_serve_her_at_once(launch: Launch, brain: ScriptedMind) -> None:
    """A restart opens the next process only after the old one is reaped, under any storm and with deaths between."""
    daemon = launch()
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
        end = time.monotonic() + 4.0
        while time.monotonic() < end:
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


def freeze_newborn(daemon: DaemonProcess, name: str, over: threading.Event) -> None:
    """SIGSTOP her next process the moment it is seen."""
    known = {process.pid for process in family(daemon)}
    while not over.is_set():
        for process in family(daemon):
            if process.pid not in known and process.name() == name:
                process.send_signal(signal.SIGSTOP)
                return


def hang(
    daemon: DaemonProcess, persona_id: str, pool: ThreadPoolExecutor, over: threading.Event
) -> Future[httpx.Response]:
    """Ask for a start of the persona "Slow" that hangs, since her newborn is stopped."""
    while True:
        pool.submit(freeze_newborn, daemon, "Slow", over)
        hanging = pool.submit(post, daemon, persona_id, "start")
        while not hanging.done():
            if _frozen(daemon, "Slow") and not wait([hanging], ANSWERED).done:
                return hanging
        # She was quicker than we: ready before she was frozen, though her start was not answered yet.
        post(daemon, persona_id, "stop")


def test_a_start_that_hangs_delays_nobody(launch: Launch, brain: ScriptedMind) -> None:
    """One persona's process does not come up: it is killed at the deadline, and another one's start takes no longer."""
    daemon = launch(supervisor_ready_timeout="1.5")
    slow, quick = create(daemon, brain, "Slow"), create(daemon, brain, "Quick")
    for one in (slow, quick):
        post(daemon, one, "stop")
    over = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        hanging = hang(daemon, slow, pool, over)
        over.set()
        begun = time.monotonic()
        assert post(daemon, quick, "start").json() == {"status": "started"}
        assert time.monotonic() - begun < 0.5
        answer = hanging.result(10.0)
    assert answer.status_code == 400
    assert "within 1.5 s" in answer.json()["detail"]
    assert status(daemon, slow)["state"] == "failed"
    wait_for(lambda: not named(daemon, "Slow"), "the end of the frozen process", 2.0)
    assert post(daemon, slow, "start").json() == {"status": "started"}


def test_a_stop_ends_a_start_that_hangs(launch: Launch, brain: ScriptedMind) -> None:
    """Nobody waits for the deadline of a start that is not wanted any more, the daemon's own stop least of all."""
    daemon = launch(supervisor_ready_timeout="30", supervisor_stop_timeout="0.3")
    slow = create(daemon, brain, "Slow")
    post(daemon, slow, "stop")
    over = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        hanging = hang(daemon, slow, pool, over)
        over.set()
        begun = time.monotonic()
        assert post(daemon, slow, "stop").json() == {"status": "stopped"}
        assert time.monotonic() - begun < 5.0
        assert hanging.result(5.0).status_code == 400
    assert status(daemon, slow)["state"] == "stopped"
    assert not named(daemon, "Slow")


def _frozen(daemon: DaemonProcess, name: str) -> bool:
    return any(process.status() == psutil.STATUS_STOPPED for process in named(daemon, name))
