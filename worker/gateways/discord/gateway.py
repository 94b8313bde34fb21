"""A Discord channel: direct messages, committed one at a time, and her messages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from proto.gateways import Gateway as Channel
from worker.base.log import WorkerLog
from worker.gateways.common import gateway as kernel
from worker.gateways.common.account import Identity
from worker.gateways.common.link import GatewayLink
from worker.gateways.common.trouble import Trouble, TroubleError
from worker.gateways.discord.account import Discord
from worker.gateways.discord.connection import Connection, Timing
from worker.gateways.discord.frames import Ready, read_message
from worker.gateways.discord.inbox import Inbox, Live
from worker.gateways.discord.outbound import DiscordSender


class DiscordGateway(kernel.Gateway[Discord, DiscordSender, Timing]):
    """One bot of a persona."""

    account_type = Discord
    sender_type = DiscordSender
    timing_type = Timing

    def __init__(
        self, gateway: Channel, url: str, media: Path, link: GatewayLink, log: WorkerLog, timing: Timing | None = None
    ) -> None:
        super().__init__(gateway, url, media, link, log, timing)
        self._connection = Connection(self.account, self.timing, self.up, self._event, log)
        self._inbox = Inbox(gateway, self.account, self.files, self._history, self.commit, self.backoff, log)
        self._receiving: asyncio.Task[None] | None = None

    async def exchange(self) -> float:
        """Hold a connection until it ends. An end that Discord asked for is no trouble: the session goes on."""
        self._receiving = self._receiving or self.spawn(self._inbox.run())
        end = await self._connection.hold()
        if end.trouble:
            self.change("degraded", end.trouble)
        return end.wait

    async def close(self) -> None:
        await self._connection.close()
        await super().close()

    def _event(self, name: str, data: msgspec.Raw) -> None:
        """Handle the events that concern her; Discord may send others too."""
        try:
            match name:
                case "READY":
                    user = msgspec.json.decode(data, type=Ready).user
                    self.introduce(Identity(user.id, user.username))
                    self._inbox.begin(user.id)
                case "MESSAGE_CREATE" | "MESSAGE_UPDATE":
                    self._inbox.put(Live(read_message(data), name == "MESSAGE_UPDATE"))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            self.log.error("discord.unreadable", frame=name, reason=str(error))

    async def _history(self, chat: str, parameters: dict[str, str]) -> list[Any]:
        """Return a page of a chat (Any: the JSON of each message). Raises what PROVIDER_ERRORS lists."""
        if self.standing == "stopped":
            raise TroubleError(Trouble("config", "The channel is stopped."))
        return await self.account.page(chat, parameters)
