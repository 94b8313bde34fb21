"""The daemon's own doors: framing, heads, bodies, forms, queries and cursors of anybody who can connect."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any, Final

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from daemon.api.bodies import Body, parse_object
from daemon.api.errors import Unprocessable
from daemon.api.forms import Form
from daemon.api.history import MOST_LINES, read_wanted
from daemon.api.perception import READ_BODY, idempotency_key
from daemon.api.v1.paging import MAX_LIMIT, Number, Place, cursor_of, limit_of, page
from daemon.api.v1.problems import Refused
from daemon.api.v1.requests import CreateChannel, UpdateChannel
from daemon.http.protocols import MAX_HEAD, HttpProtocol
from daemon.ledger import Wanted
from tests.fuzz.strategies import DEEP, SECRET, caught, cut, documents, objects, outcome, words, written

JSON_TYPE: Final = [(b"content-type", b"application/json")]

latin = st.text(st.characters(max_codepoint=255), max_size=30)


# Bodies

_bodies = documents | objects(
    {"message": words, "name": words, "channelType": words, "phoneNumber": words, "datasetIds": st.lists(words)}
).map(written)


@given(st.sampled_from([READ_BODY, Body(CreateChannel), Body(UpdateChannel)]), _bodies)
@example(READ_BODY, b'{"message": "\\ud83d"}')
@example(READ_BODY, b'{"\\ud83d": null}')
@example(READ_BODY, b'{"message": "x", "\\ud83d": "\\ud83d"}')
@example(Body(UpdateChannel), b'{"\\ud83d": null}')
@example(READ_BODY, b'{"message": "x", "y": ' + b"[" * DEEP + b"]" * DEEP + b"}")
@example(READ_BODY, b'{"message": "x", "y": NaN}')
@example(READ_BODY, '{"message": "x"}'.encode("utf-16"))
@example(READ_BODY, b'{"message": ' + b"9" * 5000 + b"}")
@example(Body(CreateChannel), b'{"name": "x", "channelType": {"\\ud83d": 1}}')
def test_json_bodies(body: Body[Any], raw: bytes) -> None:
    """A body is decoded, or every fault has a place and words, which can be sent as JSON."""
    found: list[object] = []
    refused = caught(lambda: found.append(body.decode(raw, JSON_TYPE)), Unprocessable)
    assert bool(found) != bool(refused and refused.faults)
    for fault in refused.faults if refused else ():
        assert fault.loc[0] == "body"
        msgspec.json.encode(fault)
    for one in found:
        msgspec.json.encode(one)


@given(
    documents, st.lists(st.tuples(st.just(b"content-type"), latin.map(lambda one: one.encode("latin-1"))), max_size=2)
)
def test_objects(raw: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """An object of free keys, or Unprocessable."""
    outcome(lambda: parse_object(raw, headers), Unprocessable)


# Forms

_dispositions = st.one_of(
    st.sampled_from(
        [
            *('form-data; name="file"; filename="a.txt"', 'form-data; name="caption"', "form-data; name=file", "x", ""),
            *(
                "form-data; name=\"file\"; filename*=utf-8''%e4%bd%a0.txt",
                "form-data; name=file; filename*=bogus'x'%ff",
            ),
            *("form-data; name=file; filename*0=a; filename*1=b", 'form-data; name="a\\"b"; filename="\\ud83d"'),
        ]
    ),
    latin,
)
_parts = st.lists(st.tuples(_dispositions, st.binary(max_size=40)), max_size=4)
_boundaries = st.sampled_from(["b", "b" * 70, "a'()+_,-./:=?"])


def form_body(boundary: str, parts: list[tuple[str, bytes]], end: bytes) -> bytes:
    """A multipart form."""
    whole = b""
    for disposition, data in parts:
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode("latin-1")
        whole += head + data + b"\r\n"
    return whole + end


def fed(content_type: str, pieces: list[bytes]) -> tuple[str, bytes, dict[str, str]]:
    """What comes of a form: the refusal, if any, the file with its name, and the fields."""
    got = bytearray()

    class Sink:
        def write(self, data: memoryview, /) -> None:
            got.extend(data)

    def begin(name: str) -> Sink:
        name.encode()
        got.extend(name.encode() + b"\n")
        return Sink()

    values: dict[str, str] = {}

    def feeding() -> None:
        form = Form(content_type, "file", begin, {"caption": 20})
        for piece in pieces:
            form.feed(piece)
        form.finish()
        values.update(form.values)

    refused = caught(feeding, HTTPException, Unprocessable)
    assert all(len(value) <= 20 for value in values.values())
    json.dumps(values, ensure_ascii=False).encode()
    if isinstance(refused, HTTPException):
        # The words name a place within the last piece.
        assert 400 <= refused.status_code < 500
        assert refused.detail
        return str(refused.status_code), bytes(got), {}
    return repr(refused.faults) if isinstance(refused, Unprocessable) else "", bytes(got), values


@given(_boundaries, _parts, st.sampled_from([b"", b"--b--\r\n", b"--b\r\n", b"--" + b"b" * 70 + b"--"]), st.data())
@example("b", [("form-data; name=\"file\"; filename*=utf-8''%e4%bd%a0.txt", b"x")], b"--b--\r\n", None)
@example("b", [("form-data; name=file; filename*=bogus'x'%ff", b"x")], b"--b--\r\n", None)
@example(
    "b", [('form-data; name="file"; filename="a"', b"\r\n--b"), ('form-data; name="caption"', b"\xff")], b"--b--", None
)
def test_forms(boundary: str, parts: list[tuple[str, bytes]], end: bytes, data: st.DataObject | None) -> None:
    """The pieces in which a form arrives make no difference, neither for what is kept nor for how it is refused."""
    body = form_body(boundary, parts, end)
    content_type = f'multipart/form-data; boundary="{boundary}"'
    whole = fed(content_type, [body])
    byte_by_byte = fed(content_type, [body[at : at + 1] for at in range(len(body))])
    assert byte_by_byte == whole
    if data is not None:
        assert fed(content_type, data.draw(cut(body))) == whole


@given(
    latin
    | st.sampled_from(["multipart/form-data; boundary*=utf-8''%e4%bd%a0", "multipart/form-data; boundary=" + "b" * 300])
)
@example("multipart/form-data; boundary*=utf-8''%e4%bd%a0")
@example("multipart/form-data; boundary*0=a; boundary*1*=x")
@example("multipart/form-data; boundary*99999999999999999999=a")
def test_types_of_forms(content_type: str) -> None:
    """A content type names a boundary or is refused."""
    fed(content_type, [b"--b--"])


# Queries and cursors


def request(query: str, **headers: str) -> Request:
    """A GET with this query."""
    fields = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "query_string": query.encode("latin-1"), "headers": fields, "path": "/"})


_pairs = st.lists(
    st.tuples(
        st.sampled_from(["limit", "before", "after", "q"]), latin | st.integers().map(str) | st.just("%ED%A0%80")
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))


@given(_pairs)
@example("before=%D9%A0")
@example("limit=" + "9" * 19)
@example("limit=-1")
@example("q=%ED%A0%80%00")
def test_history_queries(query: str) -> None:
    """What is asked for fits the ledger, or the answer is a 422."""
    found: list[Wanted] = []
    refused = caught(lambda: found.append(read_wanted(request(query))), Unprocessable)
    assert bool(found) != bool(refused and refused.faults)
    for one in found:
        assert 0 <= one.limit <= MOST_LINES
        assert all(number is None or 0 <= number < 2**63 for number in (one.before, one.after))


class Where(msgspec.Struct, array_like=True):
    """A place in a list."""

    at: Number
    id: Place


@given(st.binary(max_size=400) | st.tuples(st.integers(), words).map(written), words)
@example(b"[" * 384, "")
@example(b'[1, "a"]', "\u00e9")
def test_cursors(content: bytes, text: str) -> None:
    """A cursor is a place that the ledger can look for, or a 422; ours come back as they were."""
    for query in (base64.urlsafe_b64encode(content).decode(), text.encode("latin-1", "replace").decode("latin-1")):
        assume("&" not in query)
        found: list[Where | None] = []
        said = outcome(lambda: found.append(cursor_of(request(f"cursor={query}"), Where)), Refused)  # noqa: B023 (now)
        assert len(said) < 200
        for one in found:
            assert one is None or (0 <= one.at < 2**63 and one.id.isascii())


@given(
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.text(st.characters(min_codepoint=33, max_codepoint=126)))),
    st.integers(1, 5),
)
def test_pages(rows: list[tuple[int, str]], limit: int) -> None:
    """The cursor of a page leads to the place of its last row."""
    found = page(rows, limit, lambda row: row, lambda row: Where(row[0], row[1][:128]))
    assert len(found.items) <= limit
    assert found.has_more == (len(rows) > limit) == (found.next_cursor is not None)
    if found.next_cursor and len(found.next_cursor) <= 512 and "&" not in found.next_cursor:
        assert cursor_of(request(f"cursor={found.next_cursor.replace('=', '%3D')}"), Where) == Where(
            found.items[-1][0], found.items[-1][1][:128]
        )


@given(latin | st.integers().map(str))
@example("\u00b2")
@example("9" * 5000)
def test_limits(text: str) -> None:
    """A limit is from 1 to 100, or a 422."""
    assume(not set("&;%+#") & set(text))
    found: list[int] = []
    outcome(lambda: found.append(limit_of(request(f"limit={text}"))), Refused)
    assert all(1 <= one <= MAX_LIMIT for one in found)


@given(st.lists(latin.map(lambda text: text.encode("latin-1")), max_size=2))
def test_idempotency_keys(values: list[bytes]) -> None:
    """A key is printable and bounded, or refused."""
    scope = {"type": "http", "headers": [(b"idempotency-key", value) for value in values]}
    found: list[str | None] = []
    outcome(lambda: found.append(idempotency_key(scope)), HTTPException)
    assert all(key is None or re.fullmatch(r"[!-~]{1,255}", key) for key in found)


# Framing


class Wire(asyncio.Transport):
    """A peer's connection: keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed, "something is written after the end"
        self.sent += data

    def write_eof(self) -> None:
        """No more is sent."""

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Keep sending."""

    def resume_reading(self) -> None:
        """Keep sending."""


async def application(_scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body, and answer with its length."""
    size = 0
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    answer = str(size).encode()
    length = (b"content-length", str(len(answer)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": answer})


CONFIG: Final = Config(application, log_config=None, access_log=False, lifespan="off", ws="none")


def spoken(pieces: list[bytes]) -> bytes:
    """What the daemon's HTTP answers to these bytes."""

    async def speaking() -> bytes:
        if not CONFIG.loaded:
            CONFIG.load()
        wire = Wire()
        protocol = HttpProtocol(CONFIG, ServerState(), {}, asyncio.get_running_loop())
        protocol.connection_made(wire)
        for piece in pieces:
            if wire.closed:
                break
            protocol.data_received(piece)
            for _ in range(8):
                await asyncio.sleep(0)
        assert protocol._head <= MAX_HEAD + 2 * max(map(len, pieces), default=0)
        protocol.connection_lost(None)
        for _ in range(8):
            await asyncio.sleep(0)
        return bytes(wire.sent)

    return asyncio.run(speaking())


_lines = st.sampled_from(
    [
        *(b"GET / HTTP/1.1\r\n", b"POST /x?a=b HTTP/1.1\r\n", b"Host: localhost\r\n", b"\r\n", b"\r\n", b"\n"),
        *(b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n"),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"ffffffffffffffffff\r\n",
            b"1;x=y\r\na\r\n",
        ),
        *(
            b"hello",
            b"X: \xff\x00\r\n",
            b"Connection: close\r\n",
            b"Expect: 100-continue\r\n",
            b"PRI * HTTP/2.0\r\n\r\n",
        ),
        *(
            b"Upgrade: websocket\r\nConnection: upgrade\r\n",
            b"GET http://[ HTTP/1.1\r\n",
            b"GET /\xc3\x28 HTTP/1.1\r\n",
        ),
        *(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n", b"X: " + b"y" * 40_000 + b"\r\n", b"Trailer: x\r\n" * 130),
    ]
)
_streams = st.lists(_lines | st.binary(max_size=20), max_size=10).map(b"".join)
POST: Final = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


@given(_streams.flatmap(cut))
@example([POST + b"Content-Length: 5\r\n\r\nhel", b"lo" + b"GET / HTTP/1.1\r\n\r\n"])
@example([POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 20_000])
@example([b"GET http://[ HTTP/1.1\r\n\r\n"])
@example([b"GET /%ff%00?%ff HTTP/1.1\r\n\r\n"])
def test_framing(pieces: list[bytes]) -> None:
    """Any bytes: nothing raises, every answer is HTTP, and nothing follows the end of a connection."""
    said = spoken(pieces)
    assert not said or said.startswith(b"HTTP/1.1 ")
    assert SECRET.encode() not in said


@given(st.binary(max_size=300), st.integers(1, 60), st.data())
def test_bodies_in_pieces(body: bytes, size: int, data: st.DataObject) -> None:
    """A body is the same with a length and in chunks, and whatever the pieces."""
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"
    plain = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    whole = POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunked
    for sent in (plain, whole):
        said = spoken(data.draw(cut(sent)))
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.endswith(b"\r\n\r\n%d" % len(body))


@pytest.mark.parametrize("line", [b"X: y\r\n", b"\r\n", b"a"])
def test_bytes_without_end(line: bytes) -> None:
    """However many bytes follow that are no body, a connection ends after a bounded number of them."""
    pieces = [POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", *[line * 1000] * 400]
    assert spoken(pieces).count(b"HTTP/1.1 ") <= 2
