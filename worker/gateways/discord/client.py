"""nextcord's client for direct messages: its protocol and its REST, without its caches, reconnects and waits.

Two things are left out on purpose. ``Client.connect`` reconnects without a pause after some closes and ends for good
after others, so the gateway supervises the socket itself. And events are read from the raw frames: a message that
nextcord cannot parse must neither be lost nor end the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import msgspec
import nextcord
from nextcord.http import Route

from proto.secrets import Secret
from worker.base import tls

CONNECTIONS: Final = 8
"""At once to Discord: the gateway's socket, sends and downloads."""

DNS_TTL: Final = 60
CONNECT_TIMEOUT: Final = 10.0
REQUEST_TIMEOUT: Final = 30.0
LEAVE_TIMEOUT: Final = 1.0
"""Seconds for a goodbye to Discord's gateway."""

HEARTBEAT_TIMEOUT: Final = 60.0
"""Seconds without any frame after which nextcord reconnects."""

DEFAULT_WAIT: Final = 5.0
"""Seconds to wait after a 429 that does not say how long."""

# It logs whole events, and stacks of outages that our own log tells in a line.
logging.getLogger("nextcord").setLevel(logging.CRITICAL)


_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{8,256}\Z")


def is_token(token: Secret) -> bool:
    """Whether a text may be a bot token; anything else must not get into a header."""
    return _TOKEN.match(token.reveal()) is not None


class Refusal(Exception):
    """Discord's answer that is not 2xx. ``code`` is Discord's own, None when the body is not Discord's."""

    def __init__(self, status: int, code: int | None, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


class Answer(msgspec.Struct):
    """The body of a refusal, as far as it is of use."""

    message: str = ""
    code: int | None = None
    retry_after: float | None = None
    errors: msgspec.Raw = msgspec.Raw()


class Client(nextcord.Client):
    """One bot. ``on_frame`` gets each gateway frame as text, in order, before nextcord parses it."""

    def __init__(self, url: str, on_frame: Callable[[str], None]) -> None:
        """``url`` is the REST API's base, which nextcord keeps once for the process. Needs a running loop."""
        address = urlsplit(url)
        secure = address.scheme == "https"
        Route.BASE = url.rstrip("/")
        connector = aiohttp.TCPConnector(
            ssl=tls.context() if secure else True, limit=CONNECTIONS, ttl_dns_cache=DNS_TTL
        )
        self.secure = secure
        self.files = aiohttp.ClientSession(connector=connector, connector_owner=False, trust_env=secure)
        self.asked_to_wait = 0.0
        self.refused = False
        """Set when Discord wants no more requests with this token: too many of them ban the address."""
        self._on_frame = on_frame
        self._connector = connector
        intents = nextcord.Intents.none()
        intents.dm_messages = True
        super().__init__(
            intents=intents,
            connector=connector,
            proxy=_proxy(address.scheme, address.hostname or ""),
            max_messages=None,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            guild_ready_timeout=0.0,
            enable_debug_events=True,
        )

    def dispatch(self, event: str, *args: Any, **_: Any) -> None:
        """Take the raw frames; nextcord would start a task for each event (Any: each event has its own arguments)."""
        if event == "socket_raw_receive":
            self._on_frame(args[0])
        elif event == "global_http_ratelimit":
            self._wait(args[0])
        elif event == "http_ratelimit":
            self._wait(args[2])

    async def ask(self, method: str, path: str, *, timeout: float = REQUEST_TIMEOUT, **options: Any) -> Any:
        """Send one request; its answer's JSON (Any).

        ``options`` (Any) are ``channel_id`` and ``aiohttp``'s for a request. Raises one of ``PROVIDER_ERRORS``.
        """
        if self.refused or self.is_closed():
            raise Refusal(0, None, "the connection is closed")
        parameters = {"channel_id": options.pop("channel_id")} if "channel_id" in options else {}
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
        try:
            async with asyncio.timeout(timeout):
                return await self.http.request(
                    Route(method, path, **parameters),
                    # nextcord would wait out 429 and 5xx, as long as they take, and never forgives a wait cut short.
                    raise_for_status=_refuse,
                    allow_redirects=False,
                    timeout=limits,
                    **options,
                )
        except RuntimeError as error:
            raise Refusal(0, None, str(error)) from error

    async def enter(self, token: Secret) -> None:
        """Ask Discord who this is, once; ``user`` knows it from then on. Raises one of ``PROVIDER_ERRORS``."""
        self.asked_to_wait = 0.0
        async with asyncio.timeout(REQUEST_TIMEOUT):
            await self.login(token.reveal())

    async def leave(self) -> None:
        """Say goodbye to the gateway and leave all connections."""
        with contextlib.suppress(OSError, RuntimeError, aiohttp.ClientError):
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await self.close()
        await self.files.close()
        await self._connector.close()

    def _wait(self, seconds: float) -> None:
        self.asked_to_wait = self.loop.time() + seconds


async def _refuse(response: aiohttp.ClientResponse) -> None:
    """Raise Refusal for an answer that is not 2xx."""
    if response.status < 300:
        return
    body = await response.read()
    try:
        answer = msgspec.json.decode(body, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        answer = Answer()
    told = [answer.message or response.reason or "", bytes(answer.errors).decode(errors="replace")]
    wait = answer.retry_after or _seconds(response.headers.get("Retry-After", ""))
    raise Refusal(
        response.status,
        answer.code,
        " ".join(part for part in told if part),
        (wait or DEFAULT_WAIT) if response.status == 429 else 0.0,
    )


def _seconds(text: str) -> float:
    return float(text) if text.isdigit() else 0.0


def _proxy(scheme: str, host: str) -> str | None:
    """The proxy that the environment names for this host."""
    return None if scheme != "https" or proxy_bypass(host) else getproxies().get(scheme)
