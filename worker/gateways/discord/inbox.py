"""What comes in over Discord, in order and once: each message is committed before the next one is looked at.

Discord keeps nothing for a bot that is away, so after a new session the paired chat is asked for what came since the
last committed message, before anything that came over the gateway meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec

from proto.gateways import Gateway, Inbound
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.gateways import GatewayLink
from worker.gateways.discord.errors import PROVIDER_ERRORS, ProviderError, trouble
from worker.gateways.discord.frames import Message, read_message
from worker.gateways.discord.inbound import inbound, is_from_person
from worker.gateways.discord.media import MediaStore

PAGE: Final = 100
"""Messages in one answer (Discord's documentation, get channel messages)."""

MAX_WAITING: Final = 1000
"""Messages that wait here to be committed; what comes beyond is asked for again later."""

MAX_KNOWN: Final = 1000
"""Keys that are remembered, so that history and gateway do not tell the same twice."""


class Patience(NamedTuple):
    """How long the inbox waits, in seconds."""

    commit: float
    """For the daemon's word that messages are committed."""
    shortest: float
    longest: float
    """Ceilings of the backoff."""


class Live(NamedTuple):
    """A message from the gateway."""

    message: Message
    edited: bool


class Inbox:
    """The inbox of one channel. ``ask`` reads a page of a chat's history; ``media`` stores files."""

    def __init__(
        self,
        gateway: Gateway,
        media: MediaStore,
        ask: Callable[[str, dict[str, int]], Awaitable[Any]],
        link: GatewayLink,
        log: WorkerLog,
        patience: Patience,
    ) -> None:
        self._gateway = gateway
        self._media = media
        self._ask = ask
        self._link = link
        self._log = log
        self._patience = patience
        self._prefix = f"discord-{gateway.channel[:8]}"
        self._own_id = ""
        self._last = int(gateway.last_key.partition(".")[0]) if gateway.last_key else None
        self._known: dict[str, None] = {}
        self._waiting: deque[Live] = deque()
        self._missed = False
        self._news = asyncio.Event()

    def begin(self, own_id: str) -> None:
        """A new session has begun: whatever came before it is asked for first."""
        self._own_id = own_id
        self._missed = True
        self._news.set()

    def put(self, live: Live) -> None:
        """A message came over the gateway; never blocks."""
        if not is_from_person(live.message, self._own_id):
            return
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(live)
        elif not self._missed:
            self._missed = True
            self._log.warning("discord.inbox_full", waiting=len(self._waiting))
        self._news.set()

    async def run(self) -> None:
        """Commit what comes until cancelled."""
        while True:
            self._news.clear()
            if self._missed:
                self._missed = False
                await self._catch_up()
            elif self._waiting:
                live = self._waiting.popleft()
                await self._take(live.message, edited=live.edited)
            else:
                await self._news.wait()

    async def _catch_up(self) -> None:
        """Take what the paired chat holds since the last committed message."""
        if self._gateway.chat is None:
            return
        if self._last is None:
            newest, _ = await self._page({"limit": 1})
            self._last = max((message.number for message in newest), default=0)
            return
        more = True
        while more:
            page, more = await self._page({"after": self._last, "limit": PAGE})
            for message in page:
                if is_from_person(message, self._own_id):
                    await self._take(message, edited=False)
                self._last = max(self._last, message.number)

    async def _page(self, parameters: dict[str, int]) -> tuple[list[Message], bool]:
        """A page of the paired chat, oldest first, and whether there may be more.

        It is asked for until Discord answers or refuses the chat.
        """
        backoff = self._backoff()
        while True:
            try:
                raw = await self._ask(str(self._gateway.chat), parameters)
            except PROVIDER_ERRORS as error:
                wait = self._wait(error, backoff)
                if wait is None:
                    return [], False
                await asyncio.sleep(wait)
            else:
                found = self._readable(raw)
                return sorted(found, key=lambda message: message.number), bool(found) and len(raw) >= PAGE

    def _wait(self, error: ProviderError, backoff: Backoff) -> float | None:
        """The seconds until the next try; None when there is no use in one."""
        found = trouble(error, self._gateway.token)
        gone = getattr(error, "status", 0) in (400, 403, 404)
        self._log.warning("discord.history_unread", reason=found.reason, chat=str(self._gateway.chat))
        return None if gone or found.kind == "stop" else max(backoff.next(), found.retry_after)

    def _readable(self, raw: object) -> list[Message]:
        found = []
        for one in raw if isinstance(raw, list) else []:
            try:
                found.append(read_message(one))
            except (msgspec.ValidationError, ValueError) as error:
                self._log.error("discord.unreadable", reason=str(error))
        return found

    async def _take(self, message: Message, *, edited: bool) -> None:
        """Hand a message to the daemon until it is committed."""
        key = message.key if edited else message.id
        if key in self._known:
            return
        gateway, author = self._gateway, message.author
        paired = author is not None and author.id == gateway.account
        items = await inbound(message, self._media, self._prefix, edited=edited, fetch=paired)
        backoff = self._backoff()
        while items and not await self._committed(items):
            wait = backoff.next()
            self._log.warning("discord.not_taken", items=len(items), wait=round(wait, 1))
            await asyncio.sleep(wait)
        self._known[key] = None
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        if not edited and gateway.chat in (None, message.channel_id):
            self._last = max(self._last or 0, message.number)

    async def _committed(self, items: list[Inbound]) -> bool:
        try:
            async with asyncio.timeout(self._patience.commit):
                return await self._link.received(self._gateway.channel, items)
        except (ConnectionError, TimeoutError):
            return False

    def _backoff(self) -> Backoff:
        return Backoff(self._patience.shortest, self._patience.longest)
