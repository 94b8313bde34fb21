"""nextcord's client and socket for direct messages: its protocol, without its caches, reconnects and waits.

``Client.connect`` is deliberately not used: after some close codes it reconnects without a pause, after others it gives
up for good. Our own connection supervises the socket instead. Events are read from the raw frames, because a message
that nextcord cannot parse must neither be lost nor end the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import nextcord
from nextcord.gateway import DiscordWebSocket, ReconnectWebSocket
from nextcord.http import Route

from proto.secrets import Secret
from worker.base import tls
from worker.base.proxies import proxy_for
from worker.gateways.common.account import DNS_TTL
from worker.gateways.common.trouble import NETWORK, Refusal, Trouble, TroubleError, UnreadableError
from worker.gateways.discord.account import NEW_TOKEN

LEAVE_TIMEOUT: Final = 1.0
"""Seconds for closing a connection properly."""

HEARTBEAT_TIMEOUT: Final = 60.0
"""Seconds without any frame after which nextcord reconnects."""

UNREADABLE: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What nextcord raises for a frame that it does not expect."""

UPDATE: Final = "No setting can fix this: update personad, and report it if it persists."
FATAL: Final = {
    4004: Trouble("credential", "Discord's gateway refuses the bot's token (close code 4004).", NEW_TOKEN),
    4010: Trouble("config", "Discord's gateway refuses the shard (close code 4010).", UPDATE),
    4011: Trouble(
        "config",
        "This bot is in so many servers that Discord asks for sharding (close code 4011).",
        "Use a separate bot for this persona: she needs direct messages only, no servers.",
    ),
    4012: Trouble("config", "Discord's gateway refuses the API version (close code 4012).", UPDATE),
    4013: Trouble("config", "Discord's gateway does not know an intent (close code 4013).", UPDATE),
    4014: Trouble(
        "config",
        "Discord's gateway does not allow an intent (close code 4014).",
        "Check the bot's page in Discord's developer portal: the bot may be disabled or under review.",
    ),
}
"""Close codes after which a bot must not reconnect
(https://discord.com/developers/docs/topics/opcodes-and-status-codes#gateway-gateway-close-event-codes)."""

# nextcord logs whole events, and stack traces for outages that our own log reports in one line.
logging.getLogger("nextcord").setLevel(logging.CRITICAL)

_opened: ContextVar[list[Socket]] = ContextVar("opened")


class Socket(DiscordWebSocket):
    """A gateway connection that registers itself at once, so that it can be closed even before Discord's hello."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(socket, loop=loop)
        _opened.get().append(self)

    async def leave(self, code: int) -> None:
        """Close the connection with this code, whatever its state."""
        with contextlib.suppress(OSError, RuntimeError, aiohttp.ClientError):
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await self.close(code)


class Client(nextcord.Client):
    """One bot. ``on_frame`` gets each gateway frame as text, in order, before nextcord parses it."""

    def __init__(self, url: str, on_frame: Callable[[str], None]) -> None:
        """``url`` is the REST API's base URL, which nextcord stores process-wide. Needs a running event loop."""
        address = urlsplit(url)
        secure = address.scheme == "https"
        Route.BASE = url
        self._on_frame = on_frame
        self._connector = aiohttp.TCPConnector(ssl=tls.context() if secure else True, ttl_dns_cache=DNS_TTL)
        intents = nextcord.Intents.none()
        intents.dm_messages = True
        super().__init__(
            intents=intents,
            connector=self._connector,
            proxy=proxy_for(url),
            max_messages=None,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            guild_ready_timeout=0.0,
            enable_debug_events=True,
        )

    def dispatch(self, event: str, *args: Any, **_: Any) -> None:
        """Forward the raw frames, without the task that nextcord starts per event (Any: arguments differ by event)."""
        if event == "socket_raw_receive":
            self._on_frame(args[0])

    async def enter(self, token: Secret, timeout: float) -> None:
        """Log in, which nextcord requires before it connects. Raises what PROVIDER_ERRORS lists."""
        with translated():
            async with asyncio.timeout(timeout):
                await self.login(token.reveal())

    async def open(self, timeout: float, gateway: str, resume: dict[str, Any]) -> Socket:
        """Connect, and resume the session or begin a new one; Discord's answer arrives as an event.

        ``resume`` holds nextcord's arguments (Any: each of a different type); it is empty for a new session. Raises
        what PROVIDER_ERRORS lists.
        """
        opened: list[Socket] = []
        _opened.set(opened)
        try:
            with translated():
                async with asyncio.timeout(timeout):
                    # ``initial`` skips nextcord's pause of 5 s before a new session: our connection does the waiting.
                    await Socket.from_client(self, initial=True, gateway=gateway, format_gateway=True, **resume)
        except BaseException:
            for socket in opened:
                await socket.leave(4000)
            raise
        return opened[0]

    async def leave(self) -> None:
        """Close the gateway connection properly, then all others."""
        with contextlib.suppress(OSError, RuntimeError, aiohttp.ClientError):
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await self.close()
        await self._connector.close()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translate nextcord's errors into those that PROVIDER_ERRORS lists."""
    try:
        yield
    except nextcord.LoginFailure:
        raise Refusal(401, 0, "Unauthorized") from None
    except nextcord.ConnectionClosed as error:
        raise TroubleError(closed(error.code)) from None
    except ReconnectWebSocket:
        raise TroubleError(ended(None)) from None
    except nextcord.HTTPException as error:
        raise Refusal(error.status, error.code or None, error.text) from None
    except (nextcord.DiscordException, aiohttp.WebSocketError, zlib.error, *UNREADABLE) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from None


def closed(code: int) -> Trouble:
    """Say what a close code means."""
    reason = f"Discord closed the gateway connection ({code})."
    return FATAL.get(code) or Trouble("transient", reason, NETWORK)


def ended(code: int | None) -> Trouble:
    """Describe the end of a connection that Discord asked for, or that just broke."""
    return Trouble("transient", f"The connection to Discord's gateway ended{f' ({code})' if code else ''}.", NETWORK)
