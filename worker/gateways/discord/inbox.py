"""Receives Discord messages in order and once: each message is committed before the next one is handled.

Discord keeps nothing for a bot that is offline. After each new session the history of the paired chat is therefore read
from the last committed message on, before any message that arrived over the gateway meanwhile.
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
from worker.gateways.common.media_download import Files
from worker.gateways.common.trouble import PROVIDER_ERRORS, ProviderError
from worker.gateways.discord.account import Discord
from worker.gateways.discord.frames import Message, read_message
from worker.gateways.discord.inbound import inbound, is_from_person

PAGE: Final = 100
"""Messages in one page of the history
(https://discord.com/developers/docs/resources/message#get-channel-messages)."""

MAX_WAITING: Final = 1000
"""Messages that may wait here to be committed; any further ones are read from the history later."""

MAX_KNOWN: Final = 1000
"""Keys to remember, so that a message from both the history and the gateway is committed only once."""


class Live(NamedTuple):
    """A message from the gateway."""

    message: Message
    edited: bool


class Inbox:
    """The inbox of one channel. ``ask`` reads a page of a chat's history; ``commit`` returns once all are committed."""

    def __init__(
        self,
        gateway: Gateway,
        account: Discord,
        files: Files,
        ask: Callable[[str, dict[str, str]], Awaitable[list[Any]]],
        commit: Callable[[list[Inbound]], Awaitable[None]],
        backoff: Callable[[], Backoff],
        log: WorkerLog,
    ) -> None:
        self._gateway = gateway
        self._account = account
        self._files = files
        self._ask = ask
        self._commit = commit
        self._backoff = backoff
        self._log = log
        self._own_id = ""
        self._last = int(gateway.last_key.partition(".")[0]) if gateway.last_key else None
        self._known: dict[str, None] = {}
        self._waiting: deque[Live] = deque()
        self._missed = False
        self._news = asyncio.Event()

    def begin(self, own_id: str) -> None:
        """Note that a new session has begun: the history before it must be read first."""
        self._own_id = own_id
        self._missed = True
        self._news.set()

    def put(self, live: Live) -> None:
        """Queue a message from the gateway. Never blocks."""
        if not is_from_person(live.message, self._own_id):
            return
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(live)
        elif not self._missed:
            self._missed = True
            self._log.warning("discord.inbox_full", waiting=len(self._waiting))
        self._news.set()

    async def run(self) -> None:
        """Commit messages until cancelled."""
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
        """Read the paired chat from the last committed message on."""
        if self._gateway.chat is None:
            return
        if self._last is None:
            newest, _ = await self._page({"limit": "1"})
            self._last = max((message.number for message in newest), default=0)
            return
        more = True
        while more:
            page, more = await self._page({"after": str(self._last), "limit": str(PAGE)})
            for message in page:
                if is_from_person(message, self._own_id):
                    await self._take(message, edited=False)
                self._last = max(self._last, message.number)

    async def _page(self, parameters: dict[str, str]) -> tuple[list[Message], bool]:
        """Return a page of the paired chat, oldest message first, and whether there may be more.

        Retries until Discord answers or refuses the chat.
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
        """Return the seconds until the next try, None if another try is pointless."""
        found = self._account.trouble(error)
        self._log.warning("discord.history_unread", reason=found.reason, chat=str(self._gateway.chat))
        gone = found.stops or found.fate in ("never", "blocked")
        return None if gone else max(backoff.next(), found.retry_after)

    def _readable(self, raw: list[Any]) -> list[Message]:
        found = []
        for one in raw:
            try:
                found.append(read_message(one))
            except (msgspec.ValidationError, ValueError) as error:
                self._log.error("discord.unreadable", reason=str(error))
        return found

    async def _take(self, message: Message, *, edited: bool) -> None:
        """Fetch a message's files, and have it committed."""
        key = message.key if edited else message.id
        if key in self._known:
            return
        if items := await inbound(message, self._files, self._own_id, edited=edited):
            await self._commit(items)
        self._known[key] = None
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        if not edited and self._gateway.chat in (None, message.channel_id):
            self._last = max(self._last or 0, message.number)
