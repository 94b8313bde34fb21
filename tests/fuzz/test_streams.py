"""What a mind's server sends: events in any pieces, one document, another kind of body; and calls of tools."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proto.messages import ChatTurn
from tests.fuzz.strategies import DEEP, cut, documents, json_values, outcome, words, written
from worker.base.organ_errors import OrganConfigError, OrganUnreachable
from worker.organs import event_stream
from worker.organs.dialect import Dialect
from worker.organs.event_stream import MAX_EVENT, Document, NotEventsError, Sign, events
from worker.organs.refusals import declined, doubtful, malformed_call, too_long
from worker.organs.urls import bare_url, versioned_url
from worker.prompting.exchange import ToolCall
from worker.prompting.tools import arguments_of

lines = st.one_of(
    json_values.map(lambda value: b"data: " + written(value)),
    st.dictionaries(words, json_values, max_size=3).map(lambda value: b"data:" + written(value)),
    st.sampled_from(
        [
            b"",
            b"",
            b": ping",
            b"data: [DONE]",
            b"event: x",
            b"id: 1",
            b"data",
            b"data: {",
            b"}",
            b"database: 1",
            b"\xff",
        ]
    ),
    st.binary(max_size=20),
)
bodies = st.one_of(
    st.tuples(st.lists(lines, max_size=12), st.sampled_from([b"\n", b"\r\n"])).map(lambda pair: pair[1].join(pair[0])),
    documents,
)


def read(pieces: list[bytes]) -> list[Any]:
    """What the pieces say, with what went wrong at the end (Any: JSON, a sign, or an error)."""

    async def arriving() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def collected() -> list[Any]:
        found: list[Any] = []
        try:
            async for one in events(arriving()):
                found += [one]
        except ValueError as error:
            found.append((type(error), str(error)))
        return found

    return asyncio.run(collected())


@given(bodies.flatmap(lambda body: st.tuples(st.just(body), cut(body))))
@example((b'data: {"a": 1}\n\ndata: [DONE]\n\n', [b"data: {", b'"a": 1}\n', b"\ndata: [DO", b"NE]\n\n"]))
@example((b"data: " + b"[" * 5000 + b"\n\n", [b"data: " + b"[" * 5000, b"\n\n"]))
@example((b"[" * DEEP, [b"[" * DEEP]))
@example((b"upstream failed", [b"upstr", b"eam ", b"failed"]))
@example((b"\xef\xbb\xbfdata: 1\r\n\r\n", [b"\xef", b"\xbb", b"\xbfd", b"ata: 1\r", b"\n\r\n"]))
def test_events(sent: tuple[bytes, list[bytes]]) -> None:
    """The pieces in which a body comes make no difference; what comes out is an object or a sign, or ends in words."""
    body, pieces = sent
    found = read(pieces)
    assert repr(found) == repr(read([body]))
    *before, last = found or [None]
    assert all(isinstance(one, dict) or one is Sign.ALIVE for one in before)
    assert isinstance(last, dict | tuple) or last in (Sign.ALIVE, Sign.DONE)
    if isinstance(last, tuple):
        assert len(last[1]) < 1000
    if any(isinstance(one, Document) for one in found):
        assert len(found) == 1


@pytest.mark.parametrize("line", [b"data: x\n", b"x", b"<" + b" " * 99, b"data: " + b"9" * 1000 + b"\n"])
def test_an_event_without_an_end(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never ends an event is cut off at the bound of one event, however it is divided into lines."""
    monkeypatch.setattr(event_stream, "MAX_EVENT", 100_000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 10 * 100_000:
            sent += len(line)
            yield line

    async def collected() -> None:
        async for _ in events(endless()):
            raise AssertionError("nothing was complete")

    with pytest.raises(NotEventsError):
        asyncio.run(collected())
    assert sent < 3 * 100_000
    assert MAX_EVENT > 100_000


@given(words | documents.map(lambda document: document.decode(errors="surrogateescape")))
@example('{"words":' + "[" * DEEP)
@example('{"words": "half \\ud83d"}')
def test_arguments_of_a_tool(arguments: str) -> None:
    """A call's arguments are an object with valid texts, or None."""
    found = arguments_of(ToolCall("1", "imagine", arguments))
    assert found is None or isinstance(found, dict)
    json.dumps(found, ensure_ascii=False).encode()


reasons = st.lists(
    st.sampled_from(
        [
            *("maximum context length is ", "tokens > ", "requested ", "in the messages", "max_tokens", "unsupported"),
            *("12,345,678", "4096", "9" * 12, "\u0664\u0665", "1", " ", "must be <= ", "supports at most ", ": "),
            *("content must be a list", "system role not supported", "content filter", "max_completion_tokens"),
        ]
    )
    | words,
    max_size=10,
).map("".join)


@given(st.sampled_from([200, 400, 403, 413, 422, 429, 500, 503, 999]), words, reasons)
def test_refusals(status: int, code: str, message: str) -> None:
    """Whatever a server's refusal says, what is learned is a number that fits, and the lessons come to an end."""
    sizes = too_long(status, code, message)
    assert sizes is None or 0 <= max(sizes.context, sizes.asked) < 10**9
    assert declined(status, code, message) in (True, False)
    assert doubtful(status, code) in (True, False)
    assert malformed_call(message) in (True, False)
    dialect = Dialect("max_tokens")
    lessons = 0
    while dialect.learn(OrganUnreachable(message, "", status=status)):
        lessons += 1
        assert lessons < 10
    assert dialect.limit_field in ("max_tokens", "max_completion_tokens", "")
    assert dialect.turns([ChatTurn("system", "s"), ChatTurn("user", "u")])


@given(
    st.one_of(
        words,
        st.lists(st.sampled_from(["http", "s", ":", "/", "[", "]", "@", "x", ".", "1", "v1", "%"]), max_size=12).map(
            "".join
        ),
    )
)
@example("http://[")
@example("http://x:99999")
def test_urls(url: str) -> None:
    """A base URL is http(s) with a host and no slash at its end, or refused in words."""
    for made in (versioned_url, bare_url):
        kept: list[str] = []
        if not outcome(lambda: kept.append(made(url)), OrganConfigError):  # noqa: B023 (called at once)
            assert kept[0].startswith(("http://", "https://"))
            assert not kept[0].endswith("/")
            assert kept[0] == kept[0].strip()
