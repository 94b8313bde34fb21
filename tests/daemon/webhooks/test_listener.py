"""The webhook listener as providers and strangers meet it: over HTTP, with a real ledger."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest
from twilio.request_validator import RequestValidator

from daemon.http.listening import PortInUse
from daemon.settings.sections import Hooks as WebhookSettings
from daemon.webhooks import listener, server
from tests.daemon.webhooks.door import (
    JSON,
    KEYLESS,
    PUBLIC,
    SLACK,
    SMS,
    TELEGRAM,
    WHATSAPP,
    Door,
    Headers,
    opened,
    slack,
)
from tests.emulators.twilio import FORM
from tests.patience import PATIENCE


async def test_twilio(tmp_path: Path) -> None:
    """A message is kept unchanged, once, and gets empty TwiML; its status callbacks are events of their own."""
    async with opened(tmp_path) as door:
        body, headers = door.sms("ä€🙂 & more", query="?x=1")
        for _ in range(3):
            answer = await door.post(SMS, body, headers, "?x=1")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml")
            assert answer.text.endswith("<Response/>")
        sid = dict(httpx.QueryParams(body.decode()))["MessageSid"]
        callback, signed = door.sms(MessageSid=sid, MessageStatus="delivered")
        assert (await door.post(SMS, callback, signed)).status_code == 200
        assert await door.kept() == [body, callback]


async def test_twilio_by_another_way(tmp_path: Path) -> None:
    """A JSON body is accepted when the signed address names it; SHA-256 needs its own key."""
    async with opened(tmp_path) as door:
        body = b'{"a": 1}'
        query = f"?bodySHA256={sha256(body).hexdigest()}"
        signature = door.twilio.sign(f"{PUBLIC}/hooks/{SMS}{query}", {})
        headers = {"content-type": JSON, "x-twilio-signature": signature}
        assert (await door.post(SMS, body, headers, query)).status_code == 200
        assert (await door.post(SMS, body + b" ", headers, query)).status_code == 403
        form, signed = door.sms()
        signed["x-twilio-webhooks-signature-settings"] = "key=SK1,algorithm=HMAC_SHA256"
        assert (await door.post(SMS, form, signed)).status_code == 403
        validator = RequestValidator("shared")
        address, fields = f"{PUBLIC}/hooks/{SMS}", dict(parse_qsl(form.decode()))
        signed["x-twilio-signature"] = validator.compute_signature(address, fields, "HMAC_SHA256")
        assert (await door.post(SMS, form, signed)).status_code == 200
        assert await door.kept() == [body, form]


async def test_meta(tmp_path: Path) -> None:
    """The dashboard's check gets its challenge only for the configured token; a repeated batch is kept once."""
    async with opened(tmp_path) as door:
        for token, status, text in ((door.meta.verify_token, 200, "4711"), ("wrong", 403, "")):
            asked = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "4711"}
            answer = await door.http.get(door.at(WHATSAPP), params=asked)
            assert (answer.status_code, answer.text) == (status, text)
        body, headers = door.whatsapp("ä€🙂")
        assert [(await door.post(WHATSAPP, body, headers)).status_code for _ in range(2)] == [200, 200]
        assert await door.kept() == [body]


async def test_slack(tmp_path: Path) -> None:
    """The challenge is answered; an event is kept once by its id, and a stale one not at all."""
    async with opened(tmp_path) as door:
        check = b'{"type": "url_verification", "challenge": "3eZb"}'
        assert (await door.post(SLACK, check, slack(check, time.time()))).text == "3eZb"
        first = b'{"type": "event_callback", "event_id": "Ev1", "event": {}}'
        again = first + b" "
        assert (await door.post(SLACK, first, slack(first, time.time()))).status_code == 200
        assert (await door.post(SLACK, again, slack(again, time.time()))).status_code == 200
        stale = b'{"type": "event_callback", "event_id": "Ev2"}'
        assert (await door.post(SLACK, stale, slack(stale, time.time() - 301))).status_code == 403
        assert await door.kept() == [first]


async def test_telegram(tmp_path: Path) -> None:
    """The secret token verifies the request, and the update's id recognizes a repetition."""
    async with opened(tmp_path) as door:
        headers = {"content-type": JSON, "x-telegram-bot-api-secret-token": "tell-me"}
        for body in (b'{"update_id": 7}', b'{"update_id": 7, "message": {}}'):
            assert (await door.post(TELEGRAM, body, headers)).status_code == 200
        headers["x-telegram-bot-api-secret-token"] = "tell-m"
        assert (await door.post(TELEGRAM, b'{"update_id": 8}', headers)).status_code == 403
        headers["x-telegram-bot-api-secret-token"] = "tell-me"
        assert (await door.post(TELEGRAM, b'{"update_id": "\xff"}', headers)).status_code == 200
        assert await door.kept() == [b'{"update_id": 7}', b'{"update_id": "\xff"}']


def _unsigned(door: Door) -> tuple[str, bytes, Headers]:
    return SMS, door.sms()[0], {"content-type": FORM}


def _changed(door: Door) -> tuple[str, bytes, Headers]:
    body, headers = door.whatsapp()
    return WHATSAPP, body.replace(b"hello", b"hullo"), headers


def _another_address(door: Door) -> tuple[str, bytes, Headers]:
    body, headers = door.sms(query="?other=1")
    return SMS, body, headers


def _as_text(door: Door) -> tuple[str, bytes, Headers]:
    body, headers = door.whatsapp()
    return WHATSAPP, body, {**headers, "content-type": "text/plain"}


def _too_large(door: Door) -> tuple[str, bytes, Headers]:
    return SMS, b"a=" + b"b" * 200_000, {"content-type": FORM}


def _unknown(door: Door) -> tuple[str, bytes, Headers]:
    return "f" * 16, *door.sms()


def _keyless(door: Door) -> tuple[str, bytes, Headers]:
    return KEYLESS, b"{}", slack(b"{}", time.time())


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (_unsigned, 403),
        (_changed, 403),
        (_another_address, 403),
        (_as_text, 415),
        (_too_large, 413),
        (_unknown, 404),
        (_keyless, 404),
    ],
)
async def test_refused(tmp_path: Path, make: Callable[[Door], tuple[str, bytes, Headers]], status: int) -> None:
    """A caller that cannot be verified learns nothing else, and nothing is kept."""
    async with opened(tmp_path) as door:
        answer = await door.post(*make(door))
        assert (answer.status_code, answer.content) == (status, b"")
        assert await door.kept() == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "event_callback", "event_id": null, "event": {}}',
        b'{"type": null, "event_id": "Ev1", "challenge": null}',
        b'{"type": "event_callback", "event_id": 7}',
        b'{"event_id": "Ev1", "event": {"text": "half \\ud83d"}}',
        b'{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b"[]",
        b"{",
    ],
)
async def test_what_is_verified_is_kept(tmp_path: Path, body: bytes) -> None:
    """A signed body of a form that we do not know is not refused: it is kept once, for the gateway to look at."""
    async with opened(tmp_path) as door:
        for _ in range(2):
            assert (await door.post(SLACK, body, slack(body, time.time()))).status_code == 200
        headers = {"content-type": JSON, "x-telegram-bot-api-secret-token": "tell-me"}
        assert (await door.post(TELEGRAM, body, headers)).status_code == 200
        assert await door.kept() == [body, body]


async def test_host_is_not_believed(tmp_path: Path) -> None:
    """The signature covers the public URL from the settings, whatever host the request names."""
    async with opened(tmp_path) as door:
        body, headers = door.sms()
        odd = {**headers, "host": "evil.example.org", "x-forwarded-host": "evil.example.org"}
        assert (await door.post(SMS, body, odd)).status_code == 200


async def test_a_public_url_with_a_path(tmp_path: Path) -> None:
    """A proxy may keep or remove the path of the public URL; the signature always covers it."""
    async with opened(tmp_path, f"{PUBLIC}/base/") as door:
        body = b"MessageSid=SM1&From=%2B1555"
        signature = door.twilio.sign(f"{PUBLIC}/base/hooks/{SMS}", {"MessageSid": "SM1", "From": "+1555"})
        headers = {"content-type": FORM, "x-twilio-signature": signature}
        for path in (f"/hooks/{SMS}", f"/base/hooks/{SMS}"):
            assert (await door.http.post(door.url + path, content=body, headers=headers)).status_code == 200
        assert (await door.http.post(f"{door.url}/bas/hooks/{SMS}", content=body)).status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/hooks/", "/hooks/zz", "/api/personas", "/livez", "/hooks/" + "1" * 17, "/v1/channels"]
)
async def test_nothing_else_is_here(tmp_path: Path, path: str) -> None:
    """Every other path and method is not found."""
    async with opened(tmp_path) as door:
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            answer = await door.http.request(method, door.url + path)
            assert (answer.status_code, answer.content) == (404, b"")
        assert (await door.http.get(door.at(SMS))).status_code == 404


async def test_chunked_bodies_are_counted(tmp_path: Path) -> None:
    """A body without a declared length is read up to the limit and refused beyond it."""

    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50_000):
            yield body[start : start + 50_000]

    async with opened(tmp_path) as door:
        body, headers = door.whatsapp("a" * 60_000)
        assert (await door.http.post(door.at(WHATSAPP), content=pieces(body), headers=headers)).status_code == 200
        form = {"content-type": FORM}
        assert (await door.http.post(door.at(SMS), content=pieces(b"a" * 200_000), headers=form)).status_code == 413
        assert await door.kept() == [body]


async def test_odd_heads(tmp_path: Path) -> None:
    """An endless head is refused, and a garbled one does no harm."""
    async with opened(tmp_path) as door:
        host, port = door.url.removeprefix("http://").split(":")
        for sent, status in (
            (b"POST /hooks/" + b"1" * 16 + b" HTTP/1.1\r\nx: " + b"a" * 40_000, b"431"),
            (b"\x16\x03\x01 what\r\n\r\n", b"400"),
        ):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            await writer.drain()
            assert (await asyncio.wait_for(reader.read(), PATIENCE)).split(b" ")[1] == status
            writer.close()
        assert (await door.post(SMS, *door.sms())).status_code == 200


async def test_slow_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener does not wait for a head or a body that is too slow."""
    for name in ("head_timeout", "stall_timeout"):
        monkeypatch.setattr(server.WebhookProtocol, name, 0.2)
    async with opened(tmp_path) as door:
        host, port = door.url.removeprefix("http://").split(":")
        head = f"POST /hooks/{SMS} HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n".encode()
        for sent in (head, head + b"\r\na="):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            await asyncio.wait_for(reader.read(), PATIENCE)
            writer.close()
        assert await door.kept() == []


async def test_strangers_cannot_take_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections over the limit are refused for now, and there is room again once the others are gone."""
    monkeypatch.setattr(server, "CONNECTIONS", 5)
    async with opened(tmp_path) as door:
        host, port = door.url.removeprefix("http://").split(":")
        held = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
        assert (await door.post(SMS, *door.sms())).status_code == 503
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(PATIENCE):
            while (await door.post(SMS, *door.sms())).status_code != 200:  # noqa: ASYNC110  (the server has no event for it)
                await asyncio.sleep(0.01)


async def test_a_full_disk_makes_providers_come_again(tmp_path: Path) -> None:
    """What cannot be kept is answered with 503, and is kept once it can be."""
    async with opened(tmp_path) as door:
        await _allow(door, 1)
        body, headers = door.whatsapp("a" * 500_000)
        answer = await door.post(WHATSAPP, body, headers)
        assert (answer.status_code, answer.content, "retry-after" in answer.headers) == (503, b"", True)
        await _allow(door, 1_000_000)
        assert (await door.post(WHATSAPP, body, headers)).status_code == 200
        assert await door.kept() == [body]


async def _allow(door: Door, pages: int) -> None:
    """Limit the ledger to this many pages, but not below its present size."""

    def limit(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await door.ledger._writer.submit(limit)


async def test_many_at_once(tmp_path: Path) -> None:
    """A burst is kept whole, each request once, and refusals do not flood the log."""
    async with opened(tmp_path) as door:
        requests = [door.whatsapp(f"word {number}") for number in range(100)]
        stranger = {"content-type": JSON}
        answers = await asyncio.gather(
            *(door.post(WHATSAPP, body, headers) for body, headers in requests * 2),
            *(door.post(WHATSAPP, body, stranger) for body, _ in requests),
        )
        assert [answer.status_code for answer in answers] == [200] * 200 + [403] * 100
        kept = [webhook.body for webhook in await door.ledger.open_webhooks("her", limit=1000)]
        assert sorted(kept) == sorted(body for body, _ in requests)
    assert door.log.read_text().count("hook.refused") == 1


async def test_no_public_url_no_listener() -> None:
    """Without a public address, or with port 0, nothing listens; a port in use is a clear error."""
    assert listener(WebhookSettings(port=5001)) is None
    assert listener(WebhookSettings(port=0, public_url=PUBLIC)) is None
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(PortInUse, match=r"hooks\.port"):
        listener(WebhookSettings(port=holder.getsockname()[1], public_url=PUBLIC))
