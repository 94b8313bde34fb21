"""After SIGKILL of the daemon none of its processes is left, and nothing accepted is lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import all_gone, events, family, lines, status, worker, zygote
from tests.patience import PATIENCE
from tests.saboteur import BUSY_LOOP, at_start, on_signal

Launch = Callable[..., DaemonProcess]


def test_no_process_outlives_the_daemon(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """No worker outlives it, busy, stopped or computing, nor the zygote, nor the organ host."""
    daemon = launch(PYTHONPATH=on_signal(tmp_path / "site", BUSY_LOOP))
    idle, stopped, busy = (create(daemon, brain, name) for name in ("Idle", "Stopped", "Busy"))
    embedded = daemon.create("Embedded")
    with Listener(daemon, embedded) as listener:
        daemon.read(embedded, "hello")
        wait_for(lambda: listener.words, "the embedded mind")
    host = daemon.http.get("/api/status").json()["organ_host"]["pid"]
    worker(daemon, stopped).send_signal(signal.SIGSTOP)
    computing = worker(daemon, busy)
    computing.send_signal(signal.SIGUSR1)
    wait_for(lambda: computing.cpu_times().user > 0.3, "the busy loop")
    everyone = family(daemon)
    assert {worker(daemon, one).pid for one in (idle, stopped, busy, embedded)} < {process.pid for process in everyone}
    assert {host, zygote(daemon).pid} < {process.pid for process in everyone}
    daemon.kill()
    all_gone(everyone)


@pytest.mark.parametrize("victim", ["zygote", "organ_host"])
def test_a_stopped_helper_goes_with_the_daemon(launch: Launch, brain: ScriptedMind, victim: str) -> None:
    """A stopped zygote or organ host cannot see its pipe close; the kernel kills it nevertheless."""
    daemon = launch()
    create(daemon, brain)
    if victim == "zygote":
        process = zygote(daemon)
    else:
        embedded = daemon.create("Embedded")
        with Listener(daemon, embedded) as listener:
            daemon.read(embedded, "hello")
            wait_for(lambda: listener.words, "the embedded mind")
        process = psutil.Process(daemon.http.get("/api/status").json()["organ_host"]["pid"])
    everyone = family(daemon)
    process.send_signal(signal.SIGSTOP)
    daemon.kill()
    all_gone(everyone)


def test_nothing_accepted_is_lost(launch: Launch, brain: ScriptedMind) -> None:
    """Messages that were accepted before the daemon died are answered once after its restart; replay is complete."""
    daemon = launch()
    personas, seen = [create(daemon, brain, name) for name in ("Adam", "Eve")], 0
    for persona_id in personas:
        with Listener(daemon, persona_id) as listener:
            daemon.read(persona_id, "early")
            listener.hears("early")
            seen = listener.last_seq
        brain.hold("late")
        for number in range(10):
            assert daemon.read(persona_id, f"late number{number}.").status_code == 200
    wait_for(lambda: brain.times("late") >= 2, "both minds to be asked")
    everyone = family(daemon)
    daemon.kill()
    all_gone(everyone)
    brain.let_go("late")
    daemon.start().ready()
    for persona_id in personas:
        wait_for(lambda p=persona_id: status(daemon, p)["inbox"] == 0, "all answers")  # type: ignore[misc]
        with Listener(daemon, persona_id, after=0) as listener:
            listener.hears("number9.")
            assert listener.words[0] == "early"
            assert [listener.count(f"number{number}.") for number in range(10)] == [1] * 10
        said = [content for role, content in lines(daemon, persona_id) if role == "person"]
        assert said == ["early", *(f"late number{number}." for number in range(10))]
    with Listener(daemon, personas[1], after=seen) as listener:
        listener.hears("number9.")
        assert "early" not in listener.words


def test_killed_while_it_comes_up(launch: Launch, brain: ScriptedMind) -> None:
    """A daemon that dies while its zygote warms and its personas start leaves nothing behind; the next one works."""
    daemon = launch()
    persona_id = create(daemon, brain)
    daemon.stop()
    for patience in (0.0, 0.05, 0.2, 0.4, 0.6, 0.8):
        daemon.spawn()
        watched = _watch(daemon, patience)
        daemon.kill()
        all_gone(list(watched))
    daemon.start().ready()
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        listener.hears("apple")


def _watch(daemon: DaemonProcess, seconds: float) -> set[psutil.Process]:
    """All processes that the daemon started within a while, and those that are alive at its end."""
    seen = set(family(daemon))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen |= set(family(daemon))
    return seen


def test_sockets_and_load_at_a_graceful_stop(launch: Launch, brain: ScriptedMind) -> None:
    """SIGTERM under load: it exits with 0, sockets close with 1012, and every accepted message is answered later."""
    daemon = launch()
    persona_id = create(daemon, brain)
    accepted: list[str] = []

    def load(name: str) -> None:
        with httpx.Client(base_url=daemon.url, timeout=PATIENCE, trust_env=False) as http:
            for number in range(10_000):
                word = f"word-{name}-{number}."
                try:
                    answer = http.post(f"/api/persona/{persona_id}/read", json={"message": word})
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    accepted.append(word)

    with Listener(daemon, persona_id) as listener:
        threads = [threading.Thread(target=load, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(accepted) > 200, "some load")
        everyone = family(daemon)
        assert daemon.stop() == 0
        for thread in threads:
            thread.join(PATIENCE)
        wait_for(lambda: listener.closed, "the socket's end")
        assert listener.closed == 1012
    all_gone(everyone)
    daemon.start().ready()
    wait_for(lambda: status(daemon, persona_id)["inbox"] == 0, "all answers")
    said = [content for role, content in lines(daemon, persona_id) if role == "person"]
    assert sorted(said) == sorted(accepted)


def test_a_graceful_stop_waits_for_nobody(launch: Launch, brain: ScriptedMind) -> None:
    """SIGTERM while a worker is stopped and another one's mind is held: the daemon exits with 0 nevertheless."""
    daemon = launch(supervisor_stop_timeout="0.5")
    stuck, thinking = create(daemon, brain, "Stuck"), create(daemon, brain, "Thinking")
    brain.hold("apple")
    with Listener(daemon, thinking):
        daemon.read(thinking, "apple")
        wait_for(lambda: brain.times("apple") == 1, "the question")
    worker(daemon, stuck).send_signal(signal.SIGSTOP)
    everyone = family(daemon)
    assert daemon.stop() == 0
    all_gone(everyone)


HANGING_ZYGOTE = """\
import signal, sys
if "worker.process.zygote" in sys.orig_argv:
    while True:
        signal.pause()
"""


def test_a_stop_waits_for_no_zygote(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """SIGTERM while the zygote hangs and starts wait for it: the daemon exits with 0 before it gives the zygote up."""
    daemon = launch()
    create(daemon, brain)
    daemon.stop()
    warm = len(events(daemon, "zygote.warm"))
    daemon.settings["PYTHONPATH"] = at_start(tmp_path / "site", HANGING_ZYGOTE)
    daemon.start()
    everyone = wait_for(lambda: family(daemon), "the zygote")
    assert daemon.stop() == 0
    all_gone(everyone)
    assert len(events(daemon, "zygote.warm")) == warm
    assert not events(daemon, "zygote.failed")


def test_a_stop_while_it_comes_up(launch: Launch, brain: ScriptedMind) -> None:
    """SIGTERM while the zygote warms and starts wait for it: the daemon exits with 0, and no process is left."""
    daemon = launch(supervisor_stop_timeout="0.5")
    for name in ("One", "Two", "Three"):
        create(daemon, brain, name)
    daemon.stop()
    for _ in range(3):
        daemon.start()
        everyone = family(daemon)
        assert daemon.stop() == 0
        all_gone(everyone)
    assert "Traceback" not in daemon.log.read_text()
