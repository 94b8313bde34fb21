"""Her words come over the socket while she thinks, and a hush stops them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.dictated import DictatedMind
from tests.emulators.server import Step
from tests.listener import Listener

Make = Callable[..., str]


@pytest.fixture
def brain() -> Iterator[DictatedMind]:
    """A mind for this test only."""
    with DictatedMind() as mind:
        yield mind
        for answer in mind.answers:
            answer.end()


@pytest.fixture
def eve(make: Make, brain: DictatedMind) -> str:
    """Eve, who says what the test dictates."""
    return make(thinking_url=brain.url)


def deltas(listener: Listener) -> list[dict[str, Any]]:  # Any: JSON
    return [frame for frame in list(listener.frames) if frame["type"] == "chat_delta"]


def seen(listener: Listener) -> str:
    """What a client shows of the answer in hand, by the rules of the page."""
    text, turn = "", None
    for frame in list(listener.frames):
        if frame["type"] == "chat_delta":
            text = "" if frame["turn"] != turn else text
            turn = frame["turn"]
            assert frame["offset"] <= len(text)
            text = text[: frame["offset"]] + frame["text"]
        elif frame.get("turn") == turn:
            text, turn = "", None
    return text


def shows(listener: Listener, words: str) -> None:
    wait_for(lambda: seen(listener) == words, f"{words!r}; there is {seen(listener)!r}")


def hush(front: DaemonProcess, persona_id: str) -> str:
    answer = front.http.post(f"/api/persona/{persona_id}/hush")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


def told(front: DaemonProcess, persona_id: str) -> list[dict[str, Any]]:  # Any: JSON
    messages = front.http.get(f"/api/persona/{persona_id}/conversation").json()["messages"]
    return [one for one in messages if one["role"] == "assistant"]


def test_words_come_while_she_thinks(front: DaemonProcess, eve: str, brain: DictatedMind) -> None:
    """They come before the mind has ended; the message that ends the turn is the only durable one."""
    with Listener(front, eve) as listener:
        front.read(eve, "hi")
        answer = brain.answer()
        answer.say("Good ", "mor")
        shows(listener, "Good mor")
        assert listener.words == []
        answer.say("ning")
        shows(listener, "Good morning")
        answer.end()
        listener.hears("Good morning")
        (message,) = [frame for frame in listener.frames if frame["type"] == "chat_message"]
        assert {frame["turn"] for frame in deltas(listener)} == {message["turn"]}
        assert all("seq" not in frame for frame in deltas(listener))
        assert "hushed" not in message
    with Listener(front, eve, after=0) as again:
        again.hears("Good morning")
        assert deltas(again) == []
        assert "turn" not in next(frame for frame in again.frames if frame["type"] == "chat_message")


def test_a_second_browser_comes_in_the_middle(front: DaemonProcess, eve: str, brain: DictatedMind) -> None:
    """It gets all that was said so far, and what follows."""
    with Listener(front, eve) as listener:
        front.read(eve, "hi")
        answer = brain.answer()
        answer.say("Good mor")
        shows(listener, "Good mor")
        with Listener(front, eve) as late:
            shows(late, "Good mor")
            answer.say("ning")
            shows(late, "Good morning")


def test_hushed_in_the_middle(front: DaemonProcess, eve: str, brain: DictatedMind) -> None:
    """What she had said is kept and marked, her mind sees where she was stopped, and she answers what waits."""
    with Listener(front, eve) as listener:
        front.read(eve, "tell me a story")
        brain.answer().say("Once upon a time")
        shows(listener, "Once upon a time")
        assert hush(front, eve) == "hushed"
        listener.hears("Once upon a time")
        (message,) = [frame for frame in listener.frames if frame["type"] == "chat_message"]
        assert (message["content"], message["hushed"]) == ("Once upon a time", True)
        assert [(one["content"], one["hushed"]) for one in told(front, eve)] == [("Once upon a time", True)]
        brain.script(Step(text="Fine."))
        front.read(eve, "another one")
        listener.hears("Fine.")
    prompt = json.dumps(brain.journal[-1].body["messages"], ensure_ascii=False)
    assert "Once upon a time … (stopped)" in prompt
    with Listener(front, eve, after=0) as again:
        again.hears("Fine.")
        assert [frame.get("hushed") for frame in again.frames if frame["type"] == "chat_message"] == [True, None]


def test_hushed_before_the_first_word(front: DaemonProcess, eve: str, brain: DictatedMind) -> None:
    """The turn ends without a message, and a client is told so; the message counts as answered."""
    with Listener(front, eve) as listener:
        front.read(eve, "hi")
        brain.answer()
        assert hush(front, eve) == "hushed"
        wait_for(lambda: deltas(listener), "the end")
        assert [(frame["offset"], frame["text"]) for frame in deltas(listener)] == [(0, "")]
        assert told(front, eve) == []
        brain.script(Step(text="Yes?"))
        front.read(eve, "are you there")
        listener.hears("Yes?")
        assert len(brain.answers) == 1


def test_hushed_after_the_end(front: DaemonProcess, eve: str, brain: DictatedMind) -> None:
    """There is nothing to stop, and nothing changes."""
    brain.script(Step(text="Yes?"))
    with Listener(front, eve) as listener:
        front.read(eve, "hi")
        listener.hears("Yes?")
        wait_for(lambda: hush(front, eve) == "not answering", "the end of her turn")
        assert [one.get("hushed") for one in told(front, eve)] == [None]


def test_two_hushes_at_once(front: DaemonProcess, eve: str, brain: DictatedMind) -> None:
    """Both say that she was hushed, or the later one that she is not answering; there is one message."""
    with Listener(front, eve) as listener:
        front.read(eve, "hi")
        brain.answer().say("Well")
        shows(listener, "Well")
        said: list[str] = []
        threads = [threading.Thread(target=lambda: said.append(hush(front, eve))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said.count("hushed") >= 1
        assert [one["content"] for one in told(front, eve)] == ["Well"]


def test_nobody_to_hush(front: DaemonProcess, eve: str) -> None:
    """As for her neighbours: 404 for an id that nobody has, 409 while she does not run."""
    unknown = front.http.post("/api/persona/6c17c83c-3158-450d-8e43-0e7efea717c1/hush")
    assert (unknown.status_code, unknown.json()) == (404, {"detail": "Persona not found."})
    front.http.post(f"/api/persona/{eve}/stop")
    stopped = front.http.post(f"/api/persona/{eve}/hush")
    assert (stopped.status_code, stopped.json()) == (409, {"detail": "Persona is not active."})
