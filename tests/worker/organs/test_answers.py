"""What counts as an answer: its end, its body, signs of life before it, and what a model did not mean to say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from proto.messages import ChatTurn, MindLimits
from proto.records import Organ
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Emulator, Step
from worker.base.organ_errors import OrganUnreachable
from worker.organs.choice import mind_for
from worker.organs.event_stream import MAX_EVENT, Document, NotEventsError, Sign, events
from worker.organs.mind import Mind
from worker.organs.probe import probe
from worker.organs.remote_mind import DECLINED, NOTES
from worker.organs.thoughts import without_thoughts
from worker.prompting.exchange import End

LIMITS = MindLimits(first_token=10.0, total=20.0, retries=1)
HELLO = [ChatTurn("user", "hello there")]
HALF = "This is the first half of the answer"


@pytest.fixture(params=["openai", "anthropic"])
def emulator(request: pytest.FixtureRequest) -> Emulator:
    """Each provider's server in turn."""
    served = request.getfixturevalue(request.param)
    assert isinstance(served, Emulator)
    return served


def organ_at(emulator: Emulator) -> Organ:
    return Organ("test-model", "anthropic" if isinstance(emulator, AnthropicEmulator) else "openai", None, emulator.url)


async def no_host(_turns: list[ChatTurn], _max_tokens: int) -> str:
    raise AssertionError("a remote mind asks no organ host")


async def answer(emulator: Emulator, limits: MindLimits = LIMITS) -> str:
    """What the mind answers to "hello there"."""
    mind: Mind = mind_for(organ_at(emulator), limits, {}, no_host)
    try:
        return await mind.think(HELLO, 100)
    finally:
        await mind.close()


# The end of an answer


async def test_an_answer_that_breaks_off_is_asked_for_again(emulator: Emulator) -> None:
    """A stream that closes in good order without an end is no answer; the next try gives the whole one."""
    emulator.script(Step(HALF, failure="cut"))
    assert await answer(emulator) == "hello there"
    assert len(emulator.journal) == 2


async def test_half_an_answer_is_marked_if_it_is_all_there_is(emulator: Emulator) -> None:
    """If it breaks off each time, the person gets what there is and is told that more was to come."""
    emulator.default = Step(HALF, failure="cut")
    said = await answer(emulator)
    assert said.startswith("This")
    assert said.endswith(NOTES[End.CUT])
    assert len(emulator.journal) == 2


async def test_an_end_in_an_error_is_asked_again(openai: OpenAIEmulator) -> None:
    """OpenRouter ends a broken answer with ``finish_reason: error`` and a status of 200."""
    openai.script(Step(HALF, finish="error"))
    assert await answer(openai) == "hello there"


async def test_an_answer_that_is_too_long_is_marked(emulator: Emulator) -> None:
    """An answer that reached its greatest length says so at its end, and is not asked for again."""
    emulator.script(Step(HALF, finish="max_tokens" if isinstance(emulator, AnthropicEmulator) else "length"))
    assert await answer(emulator) == f"{HALF}\n\n{NOTES[End.LENGTH]}"
    assert len(emulator.journal) == 1


async def test_an_answer_that_a_filter_stops_is_marked(emulator: Emulator) -> None:
    """What was said before the filter stopped it stands apart from the note."""
    emulator.script(
        Step("Half an ans", finish="refusal" if isinstance(emulator, AnthropicEmulator) else "content_filter")
    )
    assert await answer(emulator) == f"Half an ans\n\n{DECLINED}"


@pytest.mark.parametrize("ending", ["data: [DONE]\n\n", ""])
async def test_done_is_an_end(openai: OpenAIEmulator, ending: str) -> None:
    """A server that never sends a finish_reason ends with [DONE]; without that, half an answer is all that is known."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "Hello!"}, "finish_reason": None}]}
    openai.default = Step(body=f"data: {json.dumps(chunk)}\n\n{ending}", media_type="text/event-stream")
    assert await answer(openai) == ("Hello!" if ending else f"Hello!\n\n{NOTES[End.CUT]}")
    assert len(openai.journal) == (1 if ending else 2)


# The body


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        ("<!doctype html><html><title>Log in</title></html>", "text/html", "a web page: Log in"),
        (
            '{"error": {"message": "Provider returned error", "code": 502}}',
            "application/json",
            "Provider returned error",
        ),
        ('{"error": "out of order"}', "application/json", "out of order"),
        ('{"type": "error", "error": {"type": "x", "message": "not yours"}}', "application/json", "not yours"),
        ('{"status": "ok"}', "application/json", "status"),
        ("Hello, I am nginx.", "text/plain", "nginx"),
        ("[1, 2]", "application/json", "[1, 2]"),
        ("event: hello\n\n", "text/event-stream", "hello"),
        ('data: {"status": "ok"}\n\n', "text/event-stream", "without a word"),
        ("data: hello\n\n", "text/event-stream", "not its protocol"),
    ],
)
async def test_what_is_no_such_api_fails_the_check(emulator: Emulator, body: str, kind: str, says: str) -> None:
    """A url that answers 200 with anything else is refused before a persona is saved, with what came."""
    emulator.default = Step(body=body, media_type=kind)
    reason = await probe(organ_at(emulator), LIMITS, {})
    assert says in reason
    with pytest.raises(OrganUnreachable) as caught:
        await answer(emulator, MindLimits(10.0, 20.0, 0))
    assert says in caught.value.reason or "empty answer" in caught.value.reason


async def test_a_server_that_does_not_stream_is_understood(
    openai: OpenAIEmulator, anthropic: AnthropicEmulator
) -> None:
    """A whole answer in one JSON document counts as an answer."""
    message = {"role": "assistant", "content": "<think>hm</think>Hello!"}
    whole = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    openai.default = Step(body=json.dumps(whole))
    assert await probe(organ_at(openai), LIMITS, {}) == ""
    assert await answer(openai) == "Hello!"
    blocks = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello!"}]
    anthropic.default = Step(body=json.dumps({"type": "message", "content": blocks, "stop_reason": "end_turn"}))
    assert await probe(organ_at(anthropic), LIMITS, {}) == ""
    assert await answer(anthropic) == "Hello!"


async def test_content_in_parts(openai: OpenAIEmulator) -> None:
    """Magistral sends content as a list: its thoughts are left out, its texts are the answer."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Hello!"}]
    chunk = {"choices": [{"index": 0, "delta": {"content": parts}, "finish_reason": "stop"}]}
    openai.default = Step(body=f"data: {json.dumps(chunk)}\n\n", media_type="text/event-stream")
    assert await answer(openai) == "Hello!"


# Signs of life


async def test_comments_count_as_life(emulator: Emulator) -> None:
    """A server that says that it works on the answer may take longer for the first word than a silent one."""
    emulator.script(Step("Hello!", comments=8, pause=0.4))
    assert await answer(emulator, MindLimits(first_token=1.6, total=120.0, retries=0)) == "Hello!"


async def test_a_sign_of_life_is_no_answer(emulator: Emulator) -> None:
    """After its last sign a server that hangs is given up like any other."""
    emulator.default = Step("one two three four five", failure="hang_mid", comments=1, thought="")
    body = ": PROCESSING\n\n"
    emulator.default = Step(body=body, media_type="text/event-stream")
    with pytest.raises(OrganUnreachable):
        await answer(emulator, MindLimits(first_token=1.0, total=120.0, retries=0))


# What a model did not mean to say


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<reasoning>hm</reasoning>Hello!", "Hello!"),
        ("[THINK]hm[/THINK]Hello!", "Hello!"),
        ("<seed:think>hm</seed:think>Hello!", "Hello!"),
        ("◁think▷hm◁/think▷Hello!", "Hello!"),
        ("One. <think>hm</think>Two.", "One. Two."),
        ("<think>a</think>One. <think>b</think>Two.", "One. Two."),
        ("hm</think>Hello!", "Hello!"),
        ("<think>never ends", ""),
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hello!<|return|>",
            "Hello!",
        ),
        ("<|channel|>analysis<|message|>hm", ""),
        ("Hello!<|im_end|>\n<|im_start|>user\nAnd now?", "Hello!"),
        ("Hello!<end_of_turn>\n<start_of_turn>user\nAnd now?", "Hello!"),
        ("Write `<think>` in your template.", "Write `<think>` in your template."),
        ("```\n<think>x</think>\n```", "```\n<think>x</think>\n```"),
        ("The tag <think> opens it.", "The tag <think> opens it."),
    ],
)
def test_reasoning_is_left_out(text: str, said: str) -> None:
    """Each model's tags are known, in the middle as well, and a tag that is only mentioned stays."""
    assert without_thoughts(text) == said


# The stream itself


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


async def read(*parts: bytes) -> list[object]:
    return [event async for event in events(chunks(*parts))]


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_events_come_however_they_are_cut(size: int) -> None:
    """Line ends of both kinds, comments, several data lines, no space, no blank line at the end: cut anywhere."""
    body = '\ufeff: hi\r\n\r\nevent: x\r\ndata: {"a":\r\ndata:"é"}\r\n\r\nid: 1\n\ndata:{"b": 1}\n\ndata: [DONE]\n\n'
    raw = body.encode()
    found = await read(*(raw[at : at + size] for at in range(0, len(raw), size)))
    assert found == [Sign.ALIVE, {"a": "é"}, {"b": 1}, Sign.DONE]
    assert await read(b'data: {"a": 1}\n\ndata: {"b": 2}\n') == [{"a": 1}, {"b": 2}]


async def test_a_document_is_no_event() -> None:
    """One JSON document is told apart from a stream of one event."""
    (found,) = await read(b" {\n", b'"a": 1}')
    assert isinstance(found, Document)
    assert found == {"a": 1}


@pytest.mark.parametrize("start", [b"data: ", b"{", b"<html>"])
async def test_a_body_without_end_is_given_up(start: bytes) -> None:
    """Neither a line nor a document may be longer than an event can be."""
    endless = [b"x" * 65_536] * (MAX_EVENT // 65_536 + 1)
    with pytest.raises(NotEventsError, match="too much"):
        await read(start, *endless)


@pytest.mark.parametrize(
    "body", [b"data: " + b"[" * 100_000 + b"\n\n", b"data: 7\n\n", b"data: {\n\n", b"data: \xff\n\n"]
)
async def test_an_event_that_is_no_object_is_an_error(body: bytes) -> None:
    """Any bytes end in a ValueError, which a mind reports as not its protocol."""
    with pytest.raises(ValueError):  # noqa: PT011  any of them will do
        await read(body)
