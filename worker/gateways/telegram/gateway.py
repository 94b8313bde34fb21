"""A Telegram channel: long polls whose messages are committed before the next poll confirms them, or webhooks.

aiogram's dispatcher is deliberately not used: it confirms an update before its handler has finished, and it hides every
error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from aiogram.types import BotCommand, Update
from pydantic import ValidationError

from proto.gateways import Gateway as Channel
from proto.gateways import Inbound, Unread, WebhookRequest
from worker.base.log import WorkerLog
from worker.gateways.common import gateway as kernel
from worker.gateways.common.attachments import joined
from worker.gateways.common.link import GatewayLink
from worker.gateways.common.reading import fitted, parsed
from worker.gateways.common.trouble import PROVIDER_ERRORS, Refusal, Trouble, UnreadableError
from worker.gateways.telegram.account import OTHER_POLLER_WAIT, OddAnswerError, TelegramAccount
from worker.gateways.telegram.inbound import Draft, drafts
from worker.gateways.telegram.outbound import TelegramSender
from worker.gateways.telegram.webhook import Webhook

BATCH: Final = 100
"""Updates in one answer (https://core.telegram.org/bots/api#getupdates)."""

OWN_CONFLICTS: Final = 5
"""Conflicts before the first answered poll that are taken for our own: Telegram may still hold the poll of the process
before this one, and then refuses until it notices that nobody waits for it."""

KINDS: Final = ["message", "edited_message"]
STOPPED: Final = "stopped_message_generation"
"""Somebody pressed the button below a draft (https://core.telegram.org/bots/api#messagegenerationstopped)."""

COMMANDS: Final = [
    BotCommand(command="start", description="Begin"),
    BotCommand(command="hello", description="Is she there?"),
    BotCommand(command="hush", description="Stop her answer"),
    BotCommand(command="stop", description="Put her to sleep"),
    BotCommand(command="restart", description="Restart her"),
]
VISITORS_COMMANDS: Final = COMMANDS[:1]
"""The menu of an open channel, whose visitors cannot put her to sleep."""

_ENVELOPE: Final = ("message_id", "date", "edit_date", "chat", "from", "text", "caption")


class Timing(kernel.Timing, frozen=True, kw_only=True):
    """How long the gateway waits, in seconds."""

    poll: float = 30.0
    """How long a poll asks Telegram to wait for updates."""
    margin: float = 10.0
    """How much longer its answer may take before the poll counts as failed."""
    conflict: float = OTHER_POLLER_WAIT
    """Between two tries while another program polls."""
    album: float = 0.7
    """For the rest of a media group."""


class TelegramGateway(kernel.Gateway[TelegramAccount, TelegramSender, Timing]):
    """One bot of a persona."""

    account_type = TelegramAccount
    sender_type = TelegramSender
    timing_type = Timing
    max_file = 20 * 1024 * 1024
    """The limit of getFile (https://core.telegram.org/bots/api#getfile)."""

    def __init__(
        self, gateway: Channel, url: str, media: Path, link: GatewayLink, log: WorkerLog, timing: Timing | None = None
    ) -> None:
        super().__init__(gateway, url, media, link, log, timing)
        self._offset: int | None = None
        self._kinds = KINDS if gateway.open else [*KINDS, STOPPED]
        self._webhook = Webhook(gateway, self._kinds) if gateway.webhook else None
        self._own_conflicts = 0
        self._settling = self.backoff()

    def unusable(self) -> Trouble | None:
        return super().unusable() or (self._webhook.unusable() if self._webhook else None)

    async def exchange(self) -> float:
        """Poll, or make sure that Telegram calls our webhook."""
        if not self.identity.id:
            self.introduce(await self.account.whoami())
            self.spawn(self._set_commands())
        if self._webhook:
            if late := await self._webhook.exchange(self.account.bot):
                self.change("degraded", late)
            else:
                self.up()
            return self.timing.check
        try:
            updates = await self._poll()
        except Refusal as error:
            if error.status != 409:
                raise
            return await self._wait_for_other_poller(error)
        self.up()
        if updates:
            await self.commit(await self._items(updates))
            # The next poll confirms the updates, so the offset moves only after the commit
            # (https://core.telegram.org/bots/api#getupdates).
            self._offset = updates[-1].update_id + 1
        return 0.0

    async def read(self, webhooks: Sequence[WebhookRequest]) -> kernel.Reading:
        """Return the messages in these updates."""
        found = [(one.number, self._decoded(one)) for one in webhooks]
        unread = [Unread("Telegram's update has an unknown form", number) for number, update in found if not update]
        return kernel.Reading(await self._items([update for _, update in found if update]), unread)

    async def _poll(self) -> list[Update]:
        """Return the next updates. The first poll, also after trouble, returns at once to show that polling works."""
        updates = await self._ask(self.timing.poll if self.standing == "connected" else 0.0)
        return await self._whole_album(updates)

    async def _ask(self, seconds: float) -> list[Update]:
        """Call getUpdates once, with a time limit."""
        limit = seconds + self.timing.margin
        async with asyncio.timeout(limit):
            try:
                return await self.account.bot.get_updates(
                    self._offset, BATCH, int(seconds), self._kinds, request_timeout=int(limit) + 1
                )
            except OddAnswerError as error:
                found: Iterable[Any] = error.result if isinstance(error.result, list) else ()
        return [update for one in found if (update := self._readable(one))]

    async def _whole_album(self, updates: list[Update]) -> list[Update]:
        """Poll again while a batch ends within a media group: unconfirmed updates come again, with the rest."""
        while updates and len(updates) < BATCH and _in_album(updates[-1]):
            await asyncio.sleep(self.timing.album)
            again = await self._ask(0.0)
            if len(again) <= len(updates):
                return again
            updates = again
        return updates

    async def _wait_for_other_poller(self, error: Refusal) -> float:
        """Handle a 409: remove a webhook, which blocks polling, wait for our own last poll, or for another program.

        https://core.telegram.org/bots/api#getupdates
        """
        if "webhook" in error.message and await self._webhook_dropped():
            return 0.0
        if self.standing == "connecting" and self._own_conflicts < OWN_CONFLICTS:
            self._own_conflicts += 1
            return self._settling.next()
        self.change("degraded", self.account.trouble(error))
        return self.timing.conflict

    async def _webhook_dropped(self) -> bool:
        """Remove the webhook; its pending updates are kept (https://core.telegram.org/bots/api#deletewebhook)."""
        try:
            return await self.account.bot.delete_webhook(drop_pending_updates=False)
        except PROVIDER_ERRORS as error:
            self.log.warning("telegram.webhook_kept", reason=self.account.trouble(error).reason)
            return False

    async def _set_commands(self) -> None:
        """Put the commands into the bot's menu (https://core.telegram.org/bots/api#setmycommands).

        The commands work without the menu.
        """
        try:
            await self.account.bot.set_my_commands(VISITORS_COMMANDS if self.gateway.open else COMMANDS)
        except PROVIDER_ERRORS as error:
            self.log.warning("telegram.commands_not_set", reason=self.account.trouble(error).reason)

    async def _items(self, updates: list[Update]) -> list[Inbound]:
        """Return the messages in the updates, with their files."""
        wanted = [one for one in updates if STOPPED in self._kinds or not one.stopped_message_generation]
        found = drafts(wanted, self.identity)
        return list(await asyncio.gather(*(self._with_file(draft) for draft in found)))

    async def _with_file(self, draft: Draft) -> Inbound:
        if draft.file:
            note = await self.files.fetch(draft.inbound, draft.file)
            draft.inbound.content = joined(note, draft.inbound.content)
        return draft.inbound

    def _decoded(self, webhook: WebhookRequest) -> Update | None:
        try:
            return self._readable(fitted(parsed(webhook.body), dict[str, Any]))
        except UnreadableError as error:
            self.log.error("telegram.unreadable", update=str(webhook.number), reason=str(error))
            return None

    def _readable(self, raw: dict[str, Any]) -> Update | None:
        """Parse one update (Any: it may be any JSON); if aiogram cannot parse all of it, only its text."""
        for kind in KINDS:
            message = raw.get(kind)
            bare = (
                {**raw, kind: {k: message[k] for k in _ENVELOPE if k in message}} if isinstance(message, dict) else raw
            )
            for version in (raw, bare):
                try:
                    update = Update.model_validate(version)
                except ValidationError:
                    continue
                if _has_ids(update):
                    return update
        self.log.error("telegram.unreadable", update=str(raw.get("update_id")))
        return None


def _has_ids(update: Update) -> bool:
    """Whether the ids are Telegram's, which have 64 bits at most (https://core.telegram.org/bots/api#user)."""
    message = update.message or update.edited_message
    ids = [update.update_id]
    if message:
        ids += [message.message_id, message.chat.id, *([message.from_user.id] if message.from_user else ())]
    if update.stopped_message_generation:
        ids.append(update.stopped_message_generation.chat.id)
    return all(-(1 << 63) <= one < 1 << 63 for one in ids)


def _in_album(update: Update) -> bool:
    return update.message is not None and update.message.media_group_id is not None
