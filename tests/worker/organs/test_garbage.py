"""Misbehaving servers: whatever they send, a mind ends with a reason and never crashes."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import httpx2
import pytest

from proto.messages import ChatTurn, MindLimits
from proto.records import Organ
from worker.base.organ_errors import OrganUnreachable
from worker.organs.anthropic_mind import AnthropicMind
from worker.organs.openai_mind import OpenAIMind

EVENT_STREAM = {"content-type": "text/event-stream"}

ANSWERS: dict[str, Callable[[], httpx2.Response]] = {
    "html": lambda: httpx2.Response(
        200, headers={"content-type": "text/html"}, text="<html>Log in to the hotel</html>"
    ),
    "json": lambda: httpx2.Response(200, json={"choices": "not streamed"}),
    "nothing": lambda: httpx2.Response(204),
    "redirect": lambda: httpx2.Response(302, headers={"location": "http://127.0.0.1:1/elsewhere"}),
    "not gzip": lambda: httpx2.Response(
        200, headers={**EVENT_STREAM, "content-encoding": "gzip"}, stream=httpx2.ByteStream(b"x")
    ),
    "half gzip": lambda: httpx2.Response(
        200,
        headers={**EVENT_STREAM, "content-encoding": "gzip"},
        stream=httpx2.ByteStream(gzip.compress(b"data: {}\n\n")[:15]),
    ),
    "not utf-8": lambda: httpx2.Response(200, headers=EVENT_STREAM, content=b"data: \xff\xfe\n\n"),
    "error as text": lambda: httpx2.Response(500, text="Internal Server Error"),
    "error as list": lambda: httpx2.Response(400, json=["no"]),
    "error as null": lambda: httpx2.Response(404, json={"error": None}),
}

EVENTS = [
    '"words"',
    "[1, 2]",
    "5",
    "null",
    "{}",
    '{"choices": 5}',
    '{"choices": "x"}',
    '{"choices": [null]}',
    '{"choices": [5]}',
    '{"choices": [{}]}',
    '{"choices": [{"delta": null}]}',
    '{"choices": [{"delta": {"content": 5}}]}',
    '{"choices": [{"delta": {"content": ["a"]}}]}',
    '{"choices": [{"delta": {"tool_calls": 5}}]}',
    '{"choices": [{"delta": {"tool_calls": [null, 5, "x", {}]}}]}',
    '{"choices": [{"delta": {"tool_calls": [{"index": "x", "id": 5, "function": {"name": 5, "arguments": 5}}]}}]}',
    '{"choices": [{"delta": {"tool_calls": [{"function": {"name": "shell", "arguments": null}}]}}]}',
    '{"error": "overloaded"}',
    '{"error": {"message": 5}}',
    '{"type": "content_block_delta"}',
    '{"type": "content_block_delta", "delta": null}',
    '{"type": "content_block_delta", "delta": {"type": "text_delta"}}',
    '{"type": "content_block_delta", "delta": {"type": "text_delta", "text": 5}}',
    '{"type": "content_block_start", "content_block": 5}',
    '{"type": "content_block_start", "content_block": {"type": "tool_use", "id": 5, "name": "shell"}}',
    '{"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": 5}}',
    '{"type": "message_delta"}',
    '{"type": "message_delta", "delta": 5}',
    '{"type": 5}',
    '{"type": "tomorrow\'s event", "delta": {"text": "x"}}',
]


def minds(answer: httpx2.Response) -> list[OpenAIMind | AnthropicMind]:
    transport = httpx2.MockTransport(lambda _request: answer)
    limits = MindLimits(5.0, 5.0, 0)
    return [
        OpenAIMind(Organ("m", "openai"), limits, "https://model.invalid/v1", transport),
        AnthropicMind(Organ("m", "anthropic"), limits, "https://model.invalid", transport),
    ]


@pytest.mark.parametrize("provider", [0, 1], ids=["openai", "anthropic"])
@pytest.mark.parametrize("answer", ANSWERS)
async def test_answers_that_are_none(answer: str, provider: int) -> None:
    """A portal's page, a redirect, broken compression and odd errors all end with a reason."""
    mind = minds(ANSWERS[answer]())[provider]
    with pytest.raises(OrganUnreachable) as caught:
        await mind.think([ChatTurn("user", "hello")], 10)
    await mind.close()
    assert caught.value.reason
    assert caught.value.hint


@pytest.mark.parametrize("provider", [0, 1], ids=["openai", "anthropic"])
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("name", ["", "content_block_delta", "message_delta", "error"])
async def test_events_that_are_none(event: str, name: str, provider: int) -> None:
    """Events of the wrong shape end with a reason."""
    text = (f"event: {name}\n" if name else "") + f"data: {event}\n\n"
    mind = minds(httpx2.Response(200, headers=EVENT_STREAM, text=text))[provider]
    with pytest.raises(OrganUnreachable):
        await mind.think([ChatTurn("user", "hello")], 10)
    await mind.close()
