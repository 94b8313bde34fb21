"""A Discord channel: direct messages that are committed one by one, and what she sends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from proto.gateways import Deliver, Gateway, GatewayState, Say, Undelivered
from worker.base.log import WorkerLog
from worker.gateways import GatewayLink
from worker.gateways.common.budget import Budget, Pace
from worker.gateways.discord.client import Client, is_token
from worker.gateways.discord.connection import Connection, Timing
from worker.gateways.discord.errors import NEW_TOKEN, Trouble
from worker.gateways.discord.frames import Ready, read_message
from worker.gateways.discord.inbox import Inbox, Live, Patience
from worker.gateways.discord.media import MediaStore
from worker.gateways.discord.outbound import Sender

CHAT_PACE: Final = Pace(rate=1.0, burst=5.0)
BOT_PACE: Final = Pace(rate=40.0, burst=40.0)
"""Five messages in five seconds in a chat, as its headers tell, and 50 requests a second over all (rate limits)."""

MAX_SENDING: Final = 64
"""Deliveries and other sends in hand; the daemon has one a conversation."""

State: TypeAlias = Literal["connecting", "connected", "degraded", "stopped"]


class DiscordGateway:
    """One bot of a persona."""

    def __init__(
        self,
        gateway: Gateway,
        url: str,
        media: Path,
        link: GatewayLink,
        log: WorkerLog,
        timing: Timing | None = None,
    ) -> None:
        self.channel = gateway.channel
        self._gateway = gateway
        self._folder = media
        self._link = link
        self._log = log
        self._timing = timing or Timing()
        self._state: State = "connecting"
        self._trouble = Trouble("network", "", "")
        self._bot_id = self._bot_name = ""
        self._inbox: Inbox | None = None
        self._group: asyncio.TaskGroup | None = None
        self._work: list[asyncio.Task[None]] = []
        self._sending = 0
        self._budget = Budget(CHAT_PACE, BOT_PACE, asyncio.get_running_loop().time)
        self._connection = Connection(gateway.token, url, self._timing, self._up, self._down, self._event, log)
        self._sender = Sender(gateway.token, self._budget, media, link.send, self._stop, self._connection.answered, log)

    def state(self) -> GatewayState:
        """How it stands; the round trip is the last answered heartbeat or request."""
        exchanged = self._connection.exchanged
        return GatewayState(
            self.channel,
            self._state,
            self._trouble.reason,
            self._trouble.hint,
            None if exchanged is None else asyncio.get_running_loop().time() - exchanged,
            self._bot_id,
            self._bot_name,
        )

    async def run(self) -> None:
        """Receive and send until cancelled; a bot that Discord refuses ends both, and says so."""
        if not is_token(self._gateway.token):
            self._stop(Trouble("stop", "This is not a Discord bot token (letters, digits, two dots).", NEW_TOKEN))
            await asyncio.Event().wait()
        try:
            async with asyncio.TaskGroup() as self._group:
                self._work.append(self._group.create_task(self._connection.run()))
                await asyncio.Event().wait()
        finally:
            self._group = None

    def deliver(self, message: Deliver) -> None:
        """Send a message of the outbox, if the channel is connected."""
        client = self._connection.client
        if client is None or not self._start(self._sender.deliver(client, message)):
            self._link.send(Undelivered(message.seq, f"Discord is not connected ({self._state})."))

    def say(self, message: Say) -> None:
        """Send a text once, if the channel is connected."""
        client = self._connection.client
        if client is None or not self._start(self._sender.say(client, message)):
            self._log.warning("discord.say_failed", reason=f"not connected ({self._state})")

    def bound(self, account: str, chat: str) -> None:
        """From now on this account alone has its files fetched, and its chat is what is caught up with."""
        self._gateway.account, self._gateway.chat = account, chat

    def typing(self, chat: str) -> None:
        """Show that she is thinking, if that takes no message's place."""
        client = self._connection.client
        if client and self._state == "connected" and self._budget.spare(chat):
            self._start(self._sender.typing(client, chat))

    async def close(self) -> None:
        """Leave all connections."""
        await self._connection.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run a send beside the connection; False when there is none or too much in hand."""
        connected = self._state in ("connected", "degraded")
        if not self._group or not connected or self._sending >= MAX_SENDING:
            work.close()
            return False
        self._sending += 1
        self._group.create_task(work).add_done_callback(self._sent)
        return True

    def _sent(self, _: asyncio.Task[None]) -> None:
        self._sending -= 1

    def _event(self, name: str, data: msgspec.Raw) -> None:
        """Take what concerns her; nothing else is asked for but Discord may send it."""
        if name not in ("READY", "MESSAGE_CREATE", "MESSAGE_UPDATE"):
            return
        try:
            if name == "READY":
                self._begin(msgspec.json.decode(data, type=Ready))
            elif self._inbox:
                self._inbox.put(Live(read_message(data), name == "MESSAGE_UPDATE"))
        except (msgspec.DecodeError, ValueError) as error:
            self._log.error("discord.unreadable", frame=name, reason=str(error))

    def _begin(self, ready: Ready) -> None:
        """A new session has begun."""
        client = self._connection.client
        if self._inbox is None and client and self._group:
            media = MediaStore(client.files, self._folder, secure=client.secure)
            patience = Patience(self._timing.commit, self._timing.shortest, self._timing.longest)
            self._inbox = Inbox(self._gateway, media, self._history, self._link, self._log, patience)
            self._work.append(self._group.create_task(self._inbox.run()))
        self._bot_id, self._bot_name = ready.user.id, ready.user.username
        if self._inbox:
            self._inbox.begin(ready.user.id)

    async def _history(self, chat: str, parameters: dict[str, int]) -> Any:
        """A page of a chat (Any: its JSON). Raises what a request may raise."""
        client = self._connection.client
        if client is None:
            raise ConnectionError("not connected")
        page = await client.ask("GET", "/channels/{channel_id}/messages", channel_id=chat, params=parameters)
        self._connection.answered()
        return page

    def _up(self, _: Client) -> None:
        self._change("connected", Trouble("network", "", ""))

    def _down(self, found: Trouble) -> None:
        if found.kind == "stop":
            self._stop(found)
        else:
            self._change("degraded" if self._connection.exchanged is not None else "connecting", found)

    def _stop(self, found: Trouble) -> None:
        """The bot is refused: no further request is made with its token."""
        self._change("stopped", found)
        if self._connection.client:
            self._connection.client.refused = True
        for task in self._work:
            task.cancel()

    def _change(self, state: State, found: Trouble) -> None:
        if (state, found.reason) == (self._state, self._trouble.reason) or self._state == "stopped":
            return
        self._state, self._trouble = state, found
        self._link.changed(self.state())
