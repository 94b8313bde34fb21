"""A worker dies at the worst moment, and people notice no more than a pause."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import all_gone, config, events, lines, logged, no_stray_was_killed, status, worker

Launch = Callable[..., DaemonProcess]


def test_killed_between_received_and_reply(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """SIGKILL while her mind thinks: a new generation answers, once, on the socket that stayed connected."""
    persona_id = create(daemon, brain)
    brain.hold("apple")
    with Listener(daemon, persona_id) as listener:
        assert daemon.read(persona_id, "apple").json() == {"status": "received"}
        wait_for(lambda: brain.times("apple") == 1, "the first question")
        first = worker(daemon, persona_id)
        first.send_signal(signal.SIGKILL)
        wait_for(lambda: brain.times("apple") == 2, "the second question")
        brain.let_go("apple")
        listener.hears("apple")
        assert daemon.read(persona_id, "pear").status_code == 200
        listener.hears("pear")
        assert listener.words == ["apple", "pear"]
        seqs = [frame["seq"] for frame in listener.frames if "seq" in frame]
        assert seqs == sorted(set(seqs))
        assert "Process died" in listener.titles
    view = status(daemon, persona_id)
    assert (view["generation"], view["restarts"], view["inbox"]) == (2, 1, 0)
    assert view["pid"] != first.pid
    expected = [(role, word) for word in ("apple", "pear") for role in ("person", "assistant")]
    assert lines(daemon, persona_id) == expected
    no_stray_was_killed(daemon)


def test_killed_again_and_again(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """Two deaths in a row are below the limit: her third process answers."""
    persona_id = create(daemon, brain)
    brain.hold("apple")
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        for deaths in (1, 2):
            wait_for(lambda deaths=deaths: brain.times("apple") == deaths, "the question")  # type: ignore[misc]
            worker(daemon, persona_id).send_signal(signal.SIGKILL)
        wait_for(lambda: brain.times("apple") == 3, "the third question")
        brain.let_go("apple")
        listener.hears("apple")
    assert status(daemon, persona_id)["poison"] == 0
    assert lines(daemon, persona_id) == [("person", "apple"), ("assistant", "apple")]


def test_poison_is_set_aside(launch: Launch, brain: ScriptedMind) -> None:
    """A message that kills her three times is set aside with an event; the others of the burst are answered."""
    daemon = launch(mind_burst_window="5")
    persona_id = create(daemon, brain)

    def strike(text: str) -> None:
        if "poison" in text:
            worker(daemon, persona_id).send_signal(signal.SIGKILL)

    brain.hold("before")
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "before")
        wait_for(lambda: brain.times("before") == 1, "the beat")
        brain.strike = strike
        brain.hold("poison")
        for word in ("innocent", "poison", "after"):
            daemon.read(persona_id, word)
        brain.let_go("before")
        listener.hears("before", "innocent", "after")
        wait_for(lambda: "Perception set aside" in listener.titles, "the event")
        daemon.read(persona_id, "next")
        listener.hears("next")
        assert all(listener.count(word) == 1 for word in ("before", "innocent", "after", "next"))
        assert listener.count("poison") == 0
    view = status(daemon, persona_id)
    assert (view["poison"], view["inbox"], view["state"]) == (1, 0, "running")
    assert [event["persona"] for event in logged(daemon, "inbox.poison")] == [persona_id]
    daemon.kill()
    daemon.start().ready()
    assert status(daemon, persona_id)["poison"] == 1


def test_sick_after_repeated_failure(launch: Launch, brain: ScriptedMind) -> None:
    """Too many deaths make her visibly sick until somebody acts; others are unaffected, and a start resets that."""

    daemon = launch(supervisor_failures="3")
    sick, well = create(daemon, brain, "Sick"), create(daemon, brain, "Well")
    well_pid = worker(daemon, well).pid
    with Listener(daemon, sick) as listener:
        for generation in (1, 2, 3):
            victim = worker(daemon, sick)
            assert status(daemon, sick)["generation"] == generation
            victim.send_signal(signal.SIGKILL)
            wait_for(lambda pid=victim.pid: status(daemon, sick)["pid"] != pid, "her death to be seen")  # type: ignore[misc]
        wait_for(lambda: status(daemon, sick)["state"] == "failed", "the failed state")
        wait_for(lambda: "Persona became sick" in listener.titles, "the event")
        assert daemon.read(sick, "hello").status_code == 409
        view = status(daemon, sick)
        assert (view["status"], view["running"], view["pid"]) == ("sick", False, None)
        assert "SIGKILL" in view["reason"]
        views = {one["id"]: one for one in daemon.http.get("/api/personas").json()["personas"]}
        assert (views[sick]["status"], views[sick]["running"]) == ("sick", False)
        assert config(daemon, sick)["status"] == "active", "the file is hers"
        assert daemon.http.post(f"/api/persona/{sick}/start").json() == {"status": "started"}
        daemon.read(sick, "hello")
        listener.hears("hello")
        worker(daemon, sick).send_signal(signal.SIGKILL)
        wait_for(lambda: status(daemon, sick)["generation"] == 5, "a fifth process: one death was forgiven")
    assert worker(daemon, well).pid == well_pid
    assert daemon.stop() == 0
    daemon.start().ready()
    assert status(daemon, sick)["state"] == "running"
    assert status(daemon, well)["state"] == "running"


def test_hung_worker_is_killed(launch: Launch, brain: ScriptedMind) -> None:
    """A stopped process sends no heartbeat: it is killed after ``hang_after``, and her next one answers."""
    daemon = launch(supervisor_hang_after="2")
    persona_id = create(daemon, brain)
    with Listener(daemon, persona_id) as listener:
        victim = worker(daemon, persona_id)
        victim.send_signal(signal.SIGSTOP)
        daemon.read(persona_id, "apple")
        listener.hears("apple")
        assert listener.words == ["apple"]
    all_gone([victim])
    reasons = [event["reason"] for event in logged(daemon, "worker.hung")]
    assert len(reasons) == 1
    assert "no heartbeat" in reasons[0]


def test_a_daemon_that_was_paused_blames_nobody(launch: Launch, brain: ScriptedMind) -> None:
    """After the daemon itself was stopped, heartbeats are still in its queue: healthy processes are not killed."""
    daemon = launch(supervisor_hang_after="2")
    persona_id = create(daemon, brain)
    victim = worker(daemon, persona_id)
    paused(daemon, 4.0)
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        listener.hears("apple")
    assert worker(daemon, persona_id).pid == victim.pid
    assert not events(daemon, "worker.hung")


def paused(daemon: DaemonProcess, seconds: float) -> None:
    """Stop the daemon with SIGSTOP for a while."""
    os.kill(daemon.pid, signal.SIGSTOP)
    threading.Event().wait(seconds)
    os.kill(daemon.pid, signal.SIGCONT)
