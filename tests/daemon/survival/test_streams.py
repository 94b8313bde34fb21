"""Something dies in the middle of an answer: there is no half answer and no second one anywhere."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.dictated import DictatedMind
from tests.listener import Listener
from tests.observed import lines, status, worker

Launch = Callable[..., DaemonProcess]


@pytest.fixture
def speaker() -> Iterator[DictatedMind]:
    """A mind that says what the test dictates."""
    with DictatedMind() as mind:
        yield mind
        for answer in mind.answers:
            answer.end()


def create(daemon: DaemonProcess, speaker: DictatedMind) -> str:
    return daemon.create(
        "Eve", thinking_model="m", thinking_provider="openai", thinking_api_key="k", thinking_url=speaker.url
    )


def shown(listener: Listener) -> list[tuple[int, str]]:
    return [(one["offset"], one["text"]) for one in list(listener.frames) if one["type"] == "chat_delta"]


def test_her_process_is_killed(daemon: DaemonProcess, speaker: DictatedMind) -> None:
    """What was shown is taken back, and the next process answers once, from the first word."""
    persona_id = create(daemon, speaker)
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        speaker.answer().say("half")
        wait_for(lambda: shown(listener) == [(0, "half")], "the first words")
        worker(daemon, persona_id).send_signal(signal.SIGKILL)
        again = speaker.answer(2)
        wait_for(lambda: shown(listener)[1:] == [(0, "")], "the end of the draft")
        again.say("whole")
        wait_for(lambda: shown(listener)[2:] == [(0, "whole")], "the words of the second one")
        again.end()
        listener.hears("whole")
    assert lines(daemon, persona_id) == [("person", "apple"), ("assistant", "whole")]


def test_the_daemon_is_killed(launch: Launch, speaker: DictatedMind) -> None:
    """Nothing of a draft is left; the message is answered once after the start."""
    daemon = launch()
    persona_id = create(daemon, speaker)
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        speaker.answer().say("half")
        wait_for(lambda: shown(listener) == [(0, "half")], "the first words")
        daemon.kill()
    daemon.start().ready()
    assert [role for role, _ in lines(daemon, persona_id)] == ["person"]
    with Listener(daemon, persona_id, after=0) as again:
        answer = speaker.answer(2)
        answer.say("whole")
        answer.end()
        again.hears("whole")
        assert "half" not in str(again.frames)
    assert lines(daemon, persona_id) == [("person", "apple"), ("assistant", "whole")]


def test_her_process_hangs_when_it_is_hushed(launch: Launch, speaker: DictatedMind) -> None:
    """A process that does not stop is killed as hung: the order fails and says so, and she answers again, once."""
    daemon = launch(supervisor_hang_after="2")
    persona_id = create(daemon, speaker)
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        speaker.answer().say("half")
        wait_for(lambda: shown(listener) == [(0, "half")], "the first words")
        process = worker(daemon, persona_id)
        process.suspend()
        answers = []
        order = threading.Thread(
            target=lambda: answers.append(daemon.http.post(f"/api/persona/{persona_id}/hush")), daemon=True
        )
        order.start()
        wait_for(lambda: status(daemon, persona_id)["generation"] == 2, "the next process")
        order.join()
        assert answers[0].status_code == 503
        again = speaker.answer(2)
        again.say("whole")
        again.end()
        listener.hears("whole")
    assert lines(daemon, persona_id) == [("person", "apple"), ("assistant", "whole")]


def test_a_daemon_that_is_busy_costs_no_process(launch: Launch, speaker: DictatedMind) -> None:
    """While the daemon does not read, she goes on thinking; then the rest comes at once, and nobody was greedy."""
    daemon = launch(supervisor_hang_after="60")
    persona_id = create(daemon, speaker)
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        answer = speaker.answer()
        answer.say("one ")
        wait_for(lambda: shown(listener), "the first words")
        os.kill(daemon.pid, signal.SIGSTOP)
        for _ in range(3_000):
            answer.say("more ")
        answer.say("end")
        answer.end()
        os.kill(daemon.pid, signal.SIGCONT)
        listener.hears("end")
    assert status(daemon, persona_id)["restarts"] == 0
    assert len(shown(listener)) < 100
