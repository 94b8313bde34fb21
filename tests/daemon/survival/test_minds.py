"""Minds that are down, slow, or asked in bursts."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.listener import Listener
from tests.observed import lines, status, worker

Launch = Callable[..., DaemonProcess]

NOTICE = "I cannot reach my mind right now"


def test_an_outage_is_told_once(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """Her owner is notified once, also after a respawn and a restart; the message stays and is answered once."""
    persona_id = create(daemon, brain)
    brain.default = Step(status=503)
    with Listener(daemon, persona_id) as listener:
        assert daemon.read(persona_id, "apple").status_code == 200
        listener.hears(NOTICE)
        assert status(daemon, persona_id)["mind"] == "down"
        assert daemon.read(persona_id, "pear").status_code == 200
        worker(daemon, persona_id).send_signal(signal.SIGKILL)
        wait_for(lambda: status(daemon, persona_id)["generation"] == 2, "the next process")
        wait_for(lambda: status(daemon, persona_id)["mind"] == "down", "the outage to be seen again")
        assert daemon.http.post(f"/api/persona/{persona_id}/restart").status_code == 200
        wait_for(lambda: status(daemon, persona_id)["mind"] == "down", "the outage to be seen again")
        assert status(daemon, persona_id)["inbox"] == 2
        assert listener.count(NOTICE) == 1
        brain.default = Step()
        listener.hears("apple", "pear")
        wait_for(lambda: status(daemon, persona_id)["mind"] == "ok", "the end of the outage")
        assert (listener.count("apple"), listener.count("pear"), listener.count(NOTICE)) == (1, 1, 1)
        brain.default = Step(status=503)
        daemon.read(persona_id, "plum")
        wait_for(lambda: listener.count(NOTICE) == 2, "the next outage to be told")
        brain.default = Step()
        listener.hears("plum")
    said = [content for role, content in lines(daemon, persona_id) if role == "person"]
    assert said == ["apple", "pear", "plum"]
    prompts = [entry.body["messages"] for entry in brain.journal]
    assert not any(NOTICE in turn["content"] for prompt in prompts for turn in prompt)


def test_an_outage_over_a_death_of_the_daemon(launch: Launch, brain: ScriptedMind) -> None:
    """The next daemon does not repeat the notice, and it answers what waited."""
    daemon = launch()
    persona_id = create(daemon, brain)
    brain.default = Step(status=503)
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        listener.hears(NOTICE)
    daemon.kill()
    daemon.start().ready()
    with Listener(daemon, persona_id, after=0) as listener:
        wait_for(lambda: status(daemon, persona_id)["mind"] == "down", "the outage to be seen again")
        brain.default = Step()
        listener.hears("apple")
        assert (listener.count("apple"), listener.count(NOTICE)) == (1, 1)


def test_a_wrong_key_gives_a_hint(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """A 401 is reported with what to check and without the key; with the right key what waited is answered at once."""
    persona_id = create(daemon, brain)
    brain.key = "sk-the-right-one-0123456789"
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        listener.hears(NOTICE)
        assert "api_key" in listener.words[0]
        organ = {"provider": "openai", "model": "m", "url": brain.url, "api_key": brain.key}
        answer = daemon.http.post(f"/api/persona/{persona_id}/update", json={"thinking": organ})
        assert answer.status_code == 200, answer.text
        listener.hears("apple")
        assert listener.count("apple") == 1
    assert brain.key not in daemon.log.read_text()


@contextmanager
def burst(launch: Launch, brain: ScriptedMind) -> Iterator[tuple[DaemonProcess, str, Listener]]:
    """Send three messages within the window; the call with all of them is held until ``one`` is released."""
    daemon = launch(mind_burst_window="20")
    persona_id = create(daemon, brain)
    brain.hold("one")
    with Listener(daemon, persona_id) as listener:
        for word in ("one", "two", "three"):
            daemon.read(persona_id, word)
        wait_for(lambda: brain.heard and "three" in brain.heard[-1], "a question with all words")
        yield daemon, persona_id, listener


def test_a_burst_is_one_question(launch: Launch, brain: ScriptedMind) -> None:
    """Three messages within the window are answered together: the call in progress is cancelled for them."""
    with burst(launch, brain) as (daemon, persona_id, listener):
        brain.let_go("one")
        listener.hears("one", "two", "three")
        assert listener.words == ["one\n\ntwo\n\nthree"]
    roles = [role for role, _ in lines(daemon, persona_id)]
    assert roles == ["person", "person", "person", "assistant"]


def test_words_outside_the_window_wait(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """Messages that come later during a long call are answered together after it."""
    persona_id = create(daemon, brain)
    brain.hold("one")
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "one")
        wait_for(lambda: brain.times("one") == 1, "the question")
        daemon.read(persona_id, "two")
        daemon.read(persona_id, "three")
        assert len(brain.heard) == 1
        brain.let_go("one")
        listener.hears("three")
        assert listener.words == ["one", "two\n\nthree"]


def test_a_killed_worker_in_a_joined_burst(launch: Launch, brain: ScriptedMind) -> None:
    """After a death in a burst the messages are tried one by one, and each is answered once."""
    with burst(launch, brain) as (daemon, persona_id, listener):
        worker(daemon, persona_id).send_signal(signal.SIGKILL)
        brain.let_go("one")
        listener.hears("one", "two", "three")
        assert [listener.count(word) for word in ("one", "two", "three")] == [1, 1, 1]


@pytest.mark.slow
def test_a_talk_of_very_long_words(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """Forty messages of the maximum length are more than one frame holds: she still gets and answers messages."""
    persona_id = create(daemon, brain)
    with Listener(daemon, persona_id) as listener:
        for number in range(26):
            assert daemon.read(persona_id, f"word{number}." + "\N{GRINNING FACE}" * 65_000).status_code == 200
            listener.hears(f"word{number}.")
        assert [listener.count(f"word{number}.") for number in range(26)] == [1] * 26
    assert status(daemon, persona_id)["restarts"] == 0
