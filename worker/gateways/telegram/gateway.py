"""A Telegram channel: long polls whose messages are committed before the next poll confirms them, and what she sends.

aiogram's dispatcher is left out on purpose: it confirms an update before its handler is done and hides every error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from aiogram import Bot
from aiogram.exceptions import TelegramConflictError
from aiogram.types import BotCommand, Update
from aiogram.utils.token import TokenValidationError
from pydantic import ValidationError

from proto.gateways import Deliver, ErrorClass, Gateway, GatewayState, Inbound, Say, Undelivered, WebhookRequest
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.gateways import GatewayLink
from worker.gateways.common.allowance import OVER, Allowance
from worker.gateways.common.budget import Budget, Pace
from worker.gateways.common.media import prefix
from worker.gateways.telegram.inbound import Draft, drafts, settle, untaken
from worker.gateways.telegram.media import MAX_FILE, MediaStore
from worker.gateways.telegram.outbound import Sender
from worker.gateways.telegram.session import (
    PROVIDER_ERRORS,
    ProviderError,
    Session,
    Trouble,
    connect,
    decoded,
    trouble,
)
from worker.gateways.telegram.webhook import Webhook

CHAT_PACE: Final = Pace(rate=0.9, burst=3.0)
BOT_PACE: Final = Pace(rate=28.0, burst=28.0)
"""One message a second in a chat with short bursts, 30 a second over all (Bot API FAQ), less what the way shifts."""

BATCH: Final = 100
MAX_SENDING: Final = 64
"""Deliveries and other sends in hand; the daemon has one a conversation."""

KINDS: Final = ["message", "edited_message"]
COMMANDS: Final = [
    BotCommand(command="start", description="Begin"),
    BotCommand(command="hello", description="Is she there?"),
    BotCommand(command="stop", description="Put her to sleep"),
    BotCommand(command="restart", description="Start her anew"),
]
VISITORS_COMMANDS: Final = COMMANDS[:1]
"""On an open channel nobody puts her to sleep."""

ERROR_CLASSES: Final[dict[str, ErrorClass]] = {"token": "credential", "conflict": "config", "flood": "throttle"}
"""What the kinds of trouble are to the channel; every other kind passes by itself."""

_ENVELOPE: Final = ("message_id", "date", "edit_date", "chat", "from", "text", "caption")

State: TypeAlias = Literal["connecting", "connected", "degraded", "stopped"]


class Timing(NamedTuple):
    """How long the gateway waits, in seconds."""

    poll: float = 30.0
    """What a poll asks Telegram to wait for news."""
    margin: float = 10.0
    """How much later its answer may come before it counts as failed."""
    conflict: float = 30.0
    """Between two tries while another program polls."""
    shortest: float = 0.5
    longest: float = 15.0
    """Ceilings of the backoff."""
    album: float = 0.7
    """For the rest of a media group."""
    commit: float = 30.0
    """For the daemon's word that messages are committed."""
    check: float = 300.0
    """Between two looks at how Telegram's calls fare."""


class TelegramGateway:
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
        self._url = url
        self._folder = media
        self._link = link
        self._log = log
        self._timing = timing or Timing()
        self._state: State = "connecting"
        self._trouble = Trouble("network", "", "")
        self._answered: float | None = None
        self._bot: Bot | None = None
        self._bot_id = self._bot_name = ""
        self._offset: int | None = None
        self._group: asyncio.TaskGroup | None = None
        self._polling: asyncio.Task[None] | None = None
        self._sending = 0
        self._budget = Budget(CHAT_PACE, BOT_PACE, asyncio.get_running_loop().time)
        self._sender: Sender | None = None
        self._allowance = Allowance(asyncio.get_running_loop().time)
        self._webhook = Webhook(gateway, KINDS, log) if gateway.webhook else None

    def state(self) -> GatewayState:
        """How it stands; the round trip is the last poll that Telegram answered."""
        now = asyncio.get_running_loop().time()
        return GatewayState(
            self.channel,
            self._state,
            self._trouble.reason,
            self._trouble.hint,
            None if self._answered is None else now - self._answered,
            self._bot_id,
            self._bot_name,
            ERROR_CLASSES.get(self._trouble.kind, "transient") if self._trouble.reason else None,
        )

    async def run(self) -> None:
        """Poll and send until cancelled; a token that Telegram refuses ends both, and says so."""
        try:
            bot = connect(self._gateway.token, self._url)
        except TokenValidationError as error:
            self._stop(trouble(error, self._gateway.token))
            await asyncio.Event().wait()
            return
        self._bot = bot
        self._sender = Sender(
            bot, self._gateway.token, self._budget, self._folder, self._link.send, self._stop, self._log
        )
        async with asyncio.TaskGroup() as group:
            self._group = group
            if self._webhook:
                group.create_task(self._take_webhooks(bot, self._webhook))
            self._polling = group.create_task(
                self._be_called(bot, self._webhook) if self._webhook else self._poll_on(bot)
            )
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    def deliver(self, message: Deliver) -> None:
        """Send a message of the outbox, if the channel is connected."""
        if self._sender is None or not self._start(self._sender.deliver(message)):
            self._link.send(Undelivered(message.seq, f"Telegram is not connected ({self._state})."))

    def say(self, message: Say) -> None:
        """Send a text once, if the channel is connected."""
        if self._sender is None or not self._start(self._sender.say(message)):
            self._log.warning("telegram.say_failed", reason=f"not connected ({self._state})")

    def webhook(self, message: WebhookRequest) -> None:
        """Take an update that Telegram brought; the daemon has verified and kept it."""
        if self._webhook:
            self._webhook.add(message)

    def bound(self, account: str, chat: str) -> None:
        self._gateway.account, self._gateway.chat = account, chat

    def typing(self, chat: str) -> None:
        """Show that she is thinking, if that takes no message's place."""
        if self._sender and self._state == "connected" and self._budget.spare(chat):
            self._start(self._sender.typing(chat))

    async def close(self) -> None:
        """Leave all connections."""
        if self._bot:
            await self._bot.session.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run a send beside the polls; False when there is no connection or too much in hand."""
        connected = self._state in ("connected", "degraded")
        if not self._group or not connected or self._sending >= MAX_SENDING:
            work.close()
            return False
        self._sending += 1
        self._group.create_task(work).add_done_callback(self._sent)
        return True

    def _sent(self, _: asyncio.Task[None]) -> None:
        self._sending -= 1

    async def _poll_on(self, bot: Bot) -> None:
        """Poll until the token is refused; each kind of trouble has its own wait."""
        backoff = self._backoff()
        while self._state != "stopped":
            try:
                updates = await self._poll(bot)
            except PROVIDER_ERRORS as error:
                await self._wait_out(bot, error, backoff)
                continue
            self._connected()
            if updates and not await self._taken(bot, updates):
                await asyncio.sleep(backoff.next())
                continue
            backoff = self._backoff()

    async def _be_called(self, bot: Bot, webhook: Webhook) -> None:
        """See to it that Telegram calls, until the token is refused."""
        backoff = self._backoff()
        if found := webhook.unusable():
            self._stop(found)
        while self._state != "stopped":
            try:
                await self._introduce(bot)
                late = await webhook.exchange(bot)
            except PROVIDER_ERRORS as error:
                await self._wait_out(bot, error, backoff)
                continue
            backoff = self._backoff()
            if late:
                self._change("degraded", late)
            else:
                self._connected()
            await asyncio.sleep(self._timing.check)

    async def _take_webhooks(self, bot: Bot, webhook: Webhook) -> None:
        """Words that people sent are taken also when the token is refused: they are committed already."""

        def read(raw: dict[str, Any]) -> Update | None:
            return self._readable(bot, raw)

        async def items(updates: list[Update]) -> list[Inbound]:
            return await self._items(bot, updates)

        await webhook.take(read, items, self._committed, self._backoff())

    async def _introduce(self, bot: Bot) -> None:
        """Learn the bot's own name, once, and set its menu."""
        if not self._bot_id:
            me = await bot.get_me(request_timeout=int(self._timing.margin) + 1)
            self._bot_id, self._bot_name = str(me.id), me.username or me.first_name
            if self._group:
                self._group.create_task(self._set_commands(bot))

    async def _poll(self, bot: Bot) -> list[Update]:
        """The next updates. The first poll, and the first after trouble, answers at once: it shows that all is well."""
        await self._introduce(bot)
        updates = await self._ask(bot, self._timing.poll if self._state == "connected" else 0.0)
        return await self._whole_album(bot, updates)

    async def _ask(self, bot: Bot, seconds: float) -> list[Update]:
        """One getUpdates, cancelled when it is not answered in time."""
        limit = seconds + self._timing.margin
        async with asyncio.timeout(limit):
            try:
                return await bot.get_updates(self._offset, BATCH, int(seconds), KINDS, request_timeout=int(limit) + 1)
            except PROVIDER_ERRORS as error:
                if not (answer := decoded(error)):
                    raise
        return [update for one in answer["result"] if (update := self._readable(bot, one))]

    def _readable(self, bot: Bot, raw: dict[str, Any]) -> Update | None:
        """One update of a batch that aiogram does not understand as a whole: if need be, only its words."""
        for kind in KINDS:
            message = raw.get(kind)
            bare = (
                {**raw, kind: {k: message[k] for k in _ENVELOPE if k in message}} if isinstance(message, dict) else raw
            )
            for version in (raw, bare):
                try:
                    return Update.model_validate(version, context={"bot": bot})
                except ValidationError:
                    continue
        self._log.error("telegram.unreadable", update=str(raw.get("update_id")))
        return None

    async def _whole_album(self, bot: Bot, updates: list[Update]) -> list[Update]:
        """Ask again for a batch that ends within a media group: what is not confirmed comes again, with the rest."""
        while updates and len(updates) < BATCH and _in_album(updates[-1]):
            await asyncio.sleep(self._timing.album)
            again = await self._ask(bot, 0.0)
            if len(again) <= len(updates):
                return again
            updates = again
        return updates

    async def _taken(self, bot: Bot, updates: list[Update]) -> bool:
        """Hand a batch to the daemon; only what it committed is confirmed to Telegram by the next poll."""
        items = await self._items(bot, updates)
        if items and not await self._committed(items):
            self._log.warning("telegram.not_taken", items=len(items))
            return False
        self._offset = updates[-1].update_id + 1
        return True

    async def _items(self, bot: Bot, updates: list[Update]) -> list[Inbound]:
        """What the updates say, with their files; only the files of who may speak here are fetched."""
        assert isinstance(bot.session, Session)
        media = MediaStore(bot, bot.session, self._gateway.token, self._folder)
        found = drafts(updates, self._bot_name)
        name = prefix(self._gateway)
        return list(await asyncio.gather(*(self._item(draft, media, name) for draft in found)))

    async def _item(self, draft: Draft, media: MediaStore, name: str) -> Inbound:
        if not self._gateway.open and draft.inbound.account != self._gateway.account:
            return untaken(draft)
        size = draft.attachment.size or MAX_FILE if draft.attachment else 0
        if self._gateway.open and draft.attachment and not self._allowance.grants(draft.inbound.account, size):
            return untaken(draft, OVER)
        return await settle(draft, media, name)

    async def _committed(self, items: list[Inbound], webhooks: Sequence[int] = ()) -> bool:
        try:
            async with asyncio.timeout(self._timing.commit):
                return await self._link.received(self.channel, items, webhooks)
        except (ConnectionError, TimeoutError):
            return False

    async def _wait_out(self, bot: Bot, error: ProviderError, backoff: Backoff) -> None:
        """Say what is wrong, and wait as long as its kind asks for."""
        found = trouble(error, self._gateway.token)
        if found.kind == "token":
            self._stop(found)
            return
        if isinstance(error, TelegramConflictError) and "webhook" in error.message and await self._webhook_dropped(bot):
            return
        self._change("degraded", found)
        wait = backoff.next()
        if found.kind == "conflict":
            wait = self._timing.conflict
        await asyncio.sleep(max(wait, found.retry_after))

    async def _webhook_dropped(self, bot: Bot) -> bool:
        """Telegram serves no polls while a webhook is set. What waits for it is kept."""
        try:
            return await bot.delete_webhook(drop_pending_updates=False)
        except PROVIDER_ERRORS as error:
            self._log.warning("telegram.webhook_kept", reason=trouble(error, self._gateway.token).reason)
            return False

    async def _set_commands(self, bot: Bot) -> None:
        """Offer the commands in Telegram's menu; they work without it."""
        try:
            await bot.set_my_commands(VISITORS_COMMANDS if self._gateway.open else COMMANDS)
        except PROVIDER_ERRORS as error:
            self._log.warning("telegram.commands_not_set", reason=trouble(error, self._gateway.token).reason)

    def _connected(self) -> None:
        self._answered = asyncio.get_running_loop().time()
        if self._state != "connected":
            self._change("connected", Trouble("network", "", ""))

    def _stop(self, found: Trouble) -> None:
        """The token is of no use: no further request is made with it."""
        self._change("stopped", found)
        if self._polling:
            self._polling.cancel()

    def _change(self, state: State, found: Trouble) -> None:
        if (state, found.reason) == (self._state, self._trouble.reason) or self._state == "stopped":
            return
        self._state, self._trouble = state, found
        self._link.changed(self.state())

    def _backoff(self) -> Backoff:
        return Backoff(self._timing.shortest, self._timing.longest)


def _in_album(update: Update) -> bool:
    return update.message is not None and update.message.media_group_id is not None
