"""A stream grows with her words, and never says what it would have to take back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from tests.daemon.api.v1.asking import PATH, Asked, said
from tests.daemon.api.v1.reception import Reception
from tests.daemon_process import wait_for
from tests.emulators.dictated import DictatedMind, Dictation
from tests.observed import worker
from tests.patience import PATIENCE


@pytest.fixture
def told() -> Iterator[DictatedMind]:
    """A mind that says what the test dictates."""
    with DictatedMind() as mind:
        yield mind


@pytest.fixture
def dora(desk: Reception, told: DictatedMind) -> Iterator[Asked[DictatedMind]]:
    """A persona at the shared daemon."""
    with Asked(desk.daemon, told, "Dora") as asked:
        yield asked
        assert desk.http.post(f"/api/persona/{asked.persona}/delete").status_code == 200


def asking(asked: Asked[DictatedMind], word: str, store: bool) -> openai.Stream[ChatCompletionChunk]:
    """Ask in a stream, which begins with her first word."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": word}]
    return asked.client.chat.completions.create(model=asked.name, messages=messages, stream=True, store=store)


def begun(
    asked: Asked[DictatedMind], word: str, *words: str, store: bool = True
) -> tuple[openai.Stream[ChatCompletionChunk], Dictation]:
    """Ask in a stream, and let her begin with these words."""
    number = len(asked.mind.answers) + 1
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(asking, asked, word, store)
        dictation = asked.mind.answer(number)
        dictation.say(*words)
        return waits.result(PATIENCE), dictation


def words_of(stream: openai.Stream[ChatCompletionChunk], until: str = "") -> str:
    """Read the words of a stream, up to these if they are given."""
    heard = ""
    for chunk in stream:
        heard += chunk.choices[0].delta.content or ""
        if until and heard == until:
            break
    return heard


def test_words_come_as_she_thinks(dora: Asked[DictatedMind]) -> None:
    """They are with the client before the answer has ended; the whole is what she said."""
    stream, dictation = begun(dora, dora.word(), "It ", "rains")
    with stream:
        assert words_of(stream, "It rains") == "It rains"
        assert dora.lines("rains") == []
        dictation.say(" again.")
        dictation.end()
        assert words_of(stream) == " again."
    assert dora.lines("rains") == [("assistant", "It rains again.")]


def test_reasoning_is_not_shown(dora: Asked[DictatedMind]) -> None:
    """What her mind thinks by itself stays there."""
    stream, dictation = begun(dora, dora.word(), "<think>They want rain.</think>", "Rain.", store=False)
    with stream:
        dictation.end()
        assert words_of(stream) == "Rain."


def test_a_whole_answer_waits_for_its_end(dora: Asked[DictatedMind], told: DictatedMind) -> None:
    """Who does not stream shares the turn of who does, and gets all of it."""
    word = dora.word()
    stream, dictation = begun(dora, word, "Half")
    with stream:
        assert words_of(stream, "Half") == "Half"
        dictation.say(" and half")
        dictation.end()
        assert dora.say(word) == "Half and half"
        assert words_of(stream) == " and half"
    assert len(told.answers) == 1


def test_the_end_of_an_unkept_answer_that_nobody_reads(dora: Asked[DictatedMind]) -> None:
    """A client that leaves hushes it: the next one does not wait for its end."""
    stream, _ = begun(dora, dora.word(), "Once upon", store=False)
    with stream:
        assert words_of(stream, "Once upon") == "Once upon"
    stream, dictation = begun(dora, dora.word(), "Short.", store=False)
    with stream:
        dictation.end()
        assert words_of(stream) == "Short."
    assert dora.lines("Once") == []


def test_her_process_dies_in_the_middle(dora: Asked[DictatedMind], told: DictatedMind) -> None:
    """The next one says it otherwise: the stream ends with an error, and the same request gets the whole answer."""
    word = dora.word()
    stream, _ = begun(dora, word, "The sun")
    with stream:
        assert words_of(stream, "The sun") == "The sun"
        worker(dora.daemon, dora.persona).kill()
        dictation = told.answer(2)
        dictation.say("It rains.")
        dictation.end()
        with pytest.raises(openai.APIError) as broken:
            words_of(stream)
    assert broken.value.code == "interrupted"
    wait_for(lambda: dora.lines("rains"), "her answer")
    assert dora.say(word) == "It rains."
    assert len(told.answers) == 2
    assert dora.lines("sun") == []


@pytest.mark.slow
def test_a_silent_stream_is_kept_open(dora: Asked[DictatedMind], told: DictatedMind) -> None:
    """While she thinks, comments come, which clients skip."""
    body = {"model": "Dora", "messages": [said("user", dora.word())], "stream": True}
    with dora.daemon.http.stream("POST", PATH, json=body) as answer:
        lines = answer.iter_lines()
        first = next(lines)
        assert first.startswith("data: ")
        assert '"role":"assistant"' in first
        assert next(line for line in lines if line) == ": she thinks"
        dictation = told.answer()
        dictation.say("Yes.")
        dictation.end()
        assert [line for line in lines if line][-1] == "data: [DONE]"
