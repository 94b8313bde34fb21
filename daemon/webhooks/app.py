"""The listener's application: find the channel, verify the caller, keep the request, answer, hand it on, in this order.

A caller who cannot be verified learns nothing else.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias
from urllib.parse import urlsplit

from starlette.types import Receive, Scope, Send

from daemon.ledger import ChannelUnknown, LedgerError
from daemon.logging.log import Log
from daemon.runtime.clock import Clock
from daemon.webhooks.providers import MAX_BODY, Answer, Event, Refused, Request, WebhookChannel, examine, methods

BODY_TIMEOUT: Final = 15.0
"""Seconds for a whole body. Twilio gives up after as many.

https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
"""

BODIES: Final = 16 * 1024 * 1024
"""Bytes of all bodies in hand. Further requests are refused for now, and providers retry them."""

LOG_EVERY: Final = 10.0
"""Seconds between two log lines about refusals of one channel."""

MAX_LOGGED: Final = 1000

_PATH: Final = re.compile(r"/hooks/([0-9a-f]{16})\Z")

FindChannel: TypeAlias = Callable[[str], Awaitable[WebhookChannel | None]]
"""Returns the channel with this id, or None. May raise LedgerError."""


class Keep(Protocol):
    """Commits a verified request and hands it on."""

    async def accept(self, persona_id: str, channel: str, key: str, content_type: str, body: bytes) -> bool:
        """Return False when the channel already has a request with this key. Raises LedgerError."""


def webhook_url(public_url: str, channel: str) -> str:
    """Return the address that a channel's provider calls, or "" without a public one."""
    return f"{public_url.rstrip('/')}/hooks/{channel}" if public_url else ""


class WebhookApp:
    """An ASGI application; ``counts`` counts requests by provider ("" for an unknown one) and status."""

    def __init__(
        self, find: FindChannel, feed: Keep, public_url: str, counts: Counter[tuple[str, int]], clock: Clock, log: Log
    ) -> None:
        self._counts = counts
        self._find = find
        self._feed = feed
        self._public_url = public_url
        self._base = urlsplit(public_url).path.rstrip("/")
        self._clock = clock
        self._log = log
        self._in_hand = 0
        self._logged: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        # A proxy may or may not have removed the public URL's own path.
        found = _PATH.match(scope["path"].removeprefix(self._base))
        channel_id = found[1] if found else ""
        try:
            channel = await self._find(channel_id) if channel_id else None
        except LedgerError:
            await self._answer(send, "", 503)
            return
        provider = channel.provider if channel else ""
        if channel is None or not provider or scope["method"] not in methods(provider):
            await self._answer(send, "", 404)
            return
        taken = await self._take(channel_id, channel, scope, receive)
        if isinstance(taken, Refused):
            self._log_refusal(channel_id, taken)
            await self._answer(send, provider, taken.status)
        else:
            await self._answer(send, provider, 200, taken)

    async def _take(self, channel_id: str, channel: WebhookChannel, scope: Scope, receive: Receive) -> Refused | Answer:
        """Read, verify and keep a request."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        limit = MAX_BODY[channel.provider]
        length = headers.get("content-length", "")
        if length and not (length.isdecimal() and int(length) <= limit):
            return Refused(413, "the body is too large")
        room = int(length) if length else limit
        if self._in_hand + room > BODIES:
            return Refused(503, "too many requests are in hand")
        self._in_hand += room
        try:
            body = await _whole(receive, limit)
            if isinstance(body, Refused):
                return body
            query = scope["query_string"].decode("latin-1")
            url = webhook_url(self._public_url, channel_id) + (f"?{query}" if query else "")
            request = Request(scope["method"], url, query, headers, body)
            verdict = examine(channel, request, self._clock.time_ns() / 1e9)
            if not isinstance(verdict, Event):
                return verdict
            return await self._keep(channel.persona, channel_id, verdict, request)
        finally:
            self._in_hand -= room

    async def _keep(self, persona: str, channel_id: str, event: Event, request: Request) -> Refused | Answer:
        """Commit an event. A known one gets the same answer again and is not kept twice."""
        try:
            await self._feed.accept(persona, channel_id, event.key, request.content_type, request.body)
        except ChannelUnknown:
            return Refused(404, "the ledger has no such channel")
        except LedgerError as error:
            return Refused(503, str(error))
        return event.answer

    def _log_refusal(self, channel_id: str, refused: Refused) -> None:
        """Log a refusal, at most one per channel in ``LOG_EVERY`` seconds."""
        now = self._clock.monotonic()
        if now - self._logged.get(channel_id, -LOG_EVERY) < LOG_EVERY:
            return
        if len(self._logged) >= MAX_LOGGED:
            self._logged.clear()
        self._logged[channel_id] = now
        self._log.warning("hook.refused", channel=channel_id, status=refused.status, reason=refused.reason)

    async def _answer(self, send: Send, provider: str, status: int, answer: Answer | None = None) -> None:
        self._counts[provider, status] += 1
        answer = answer or Answer()
        headers = [
            (b"content-length", str(len(answer.body)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"default-src 'none'; sandbox"),
        ]
        if answer.content_type:
            headers.append((b"content-type", answer.content_type.encode()))
        if status == 503:
            headers.append((b"retry-after", b"5"))
        if status in (404, 413, 415, 403):
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


async def _whole(receive: Receive, limit: int) -> bytes | Refused:
    """Read the body unchanged."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return Refused(400, "the connection ended before the whole body arrived")
                body += message.get("body", b"")
                if len(body) > limit:
                    return Refused(413, "the body is too large")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        return Refused(408, "the body did not arrive in time")
