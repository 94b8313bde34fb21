"""What the ledger does for /v1: open channels, their visitors' words, providers' webhooks, idempotency keys."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.ledger import channels, delivery, idempotency, mirror, open_channels, visitors, webhooks
from daemon.ledger.delivery import DeadLetter
from daemon.ledger.idempotency import Idempotent
from daemon.ledger.mirror import Holder, Mirrored, ReadBack
from daemon.ledger.open_channels import (
    ChannelConversation,
    ChannelFields,
    ChannelMessage,
    ChannelStatus,
    OpenChannel,
)
from daemon.ledger.threads import Reader
from daemon.ledger.visitors import SenderLimits, Visited
from daemon.ledger.webhooks import OpenWebhook
from daemon.ledger.writer import Writer
from proto.gateways import ErrorClass, Inbound

FIRST = (0, "")
"""The cursor before all channels."""


class ChannelOperations:
    """A part of the ``Ledger``, with the same promises. Channel ids are unique over all personas."""

    _writer: Writer
    _reader: Reader

    async def add_open_channel(
        self, persona_id: str, channel: str, type_: str, bot_id: str, bot_name: str, fields: ChannelFields, at: int
    ) -> None:
        """Add her open channel, created ``at``.

        Raise ChannelTaken when this channel, or another one of this bot or number, is in the ledger already.
        """
        await self._writer.submit(open_channels.add_open, persona_id, channel, type_, bot_id, bot_name, fields, at)

    async def update_open_channel(self, channel: str, fields: ChannelFields, at: int) -> None:
        """Replace what its operator set. Raise ChannelUnknown when the channel is gone."""
        await self._writer.submit(open_channels.update, channel, fields, at)

    async def read_back(self, persona_id: str, listed: Sequence[Mirrored], at: int) -> ReadBack:
        """Let her channels follow the list of them in config.json; those that it does not have stay, and are told."""
        return await self._writer.submit(mirror.read_back, persona_id, listed, at)

    async def mirrored(self, channel: str) -> None:
        """The list has the name that the channel was given last."""
        await self._writer.submit(mirror.mirrored, channel)

    async def identified(self, persona_id: str, channel: str, bot_id: str, bot_name: str) -> None:
        """Keep whose bot her channel is. Raise ChannelTaken when another channel has this bot."""
        await self._writer.submit(mirror.identified, persona_id, channel, bot_id, bot_name)

    async def holder(self, channel: str, type_: str = "", bot_id: str = "") -> Holder | None:
        """Who has this channel, or another one of this bot; None when it is free."""
        return await self._reader.submit(mirror.holder, channel, type_, bot_id)

    async def channel_owners(self) -> list[str]:
        """Every persona who has a channel."""
        return await self._reader.submit(mirror.owners)

    async def pause_channel(self, channel: str, paused: bool, at: int) -> None:
        """Keep whether turns are made of its words. Raise ChannelUnknown when the channel is gone."""
        await self._writer.submit(open_channels.pause, channel, paused, at)

    async def open_channel(self, channel: str, now: int) -> OpenChannel | None:
        """The channel with this id, open or paired. ``now`` decides whether trouble has lasted too long."""
        return await self._reader.submit(open_channels.found, channel, now)

    async def open_channels(
        self,
        now: int,
        status: ChannelStatus | None = None,
        type_: str | None = None,
        after: tuple[int, str] = FIRST,
        limit: int = 100,
    ) -> list[OpenChannel]:
        """Open channels of all personas, and paired Telegram ones, oldest first.

        ``after`` is ``(created_at, channel)`` of the last one that the caller has.
        """
        return await self._reader.submit(open_channels.listed, now, status, type_, after, limit)

    async def channels_of(self, persona_id: str, now: int) -> list[OpenChannel]:
        """All channels of hers, open and paired, oldest first."""
        return await self._reader.submit(open_channels.of_persona, persona_id, now)

    async def channel_conversations(
        self, channel: str, before: tuple[int, str] | None = None, limit: int = 100
    ) -> list[ChannelConversation]:
        """A channel's conversations, the latest first; ``before`` is ``(last_at, chat)`` of the caller's last one."""
        return await self._reader.submit(open_channels.conversations, channel, before, limit)

    async def channel_messages(
        self, channel: str, chat: str, before: int | None = None, limit: int = 100
    ) -> list[ChannelMessage]:
        """A conversation's messages, newest first; ``before`` is the id of the caller's last one.

        Without ``before``, words that wait for an answer come first, under the id 0.
        """
        return await self._reader.submit(open_channels.messages, channel, chat, before, limit)

    async def channel_error(
        self, persona_id: str, channel: str, error: str, at: int, error_class: ErrorClass = "transient"
    ) -> None:
        """Keep what went wrong with a channel last."""
        await self._writer.submit(channels.error, persona_id, channel, error, at, error_class)

    async def channel_recovered(self, persona_id: str, channel: str) -> None:
        """Its provider answers again: nothing is wrong with it."""
        await self._writer.submit(open_channels.recovered, persona_id, channel)

    async def visit(
        self,
        persona_id: str,
        channel: str,
        items: list[Inbound],
        webhook_numbers: list[int],
        limits: SenderLimits,
        seqs: list[int],
        at: int,
    ) -> Visited:
        """Keep what people wrote on her open channel, a conversation for each chat, and close the webhook requests.

        A new conversation is welcomed in the same transaction; a sender over the limits is told so, once a window.
        ``seqs`` are for what is said so: two for each item. Keys that a conversation had before are skipped. Raise
        ChannelUnknown when the channel is gone, and keep nothing.
        """
        return await self._writer.submit(visitors.take, persona_id, channel, items, webhook_numbers, limits, seqs, at)

    async def webhook(self, channel: str, key: str, content_type: str, body: bytes, at: int) -> int | None:
        """Keep a verified webhook request and return its number; None when one with this key was kept before.

        Raise ChannelUnknown when there is no such channel, WebhooksFull when too many wait already.
        """
        return await self._writer.submit(webhooks.add, channel, key, content_type, body, at)

    async def open_webhooks(self, persona_id: str, after: int = 0, limit: int = 100) -> list[OpenWebhook]:
        """Her webhook requests that no ``visit`` has closed, with a number above ``after``, oldest first."""
        return await self._reader.submit(webhooks.open_, persona_id, after, limit)

    async def webhooks_died(self, numbers: list[int], limit: int) -> list[int]:
        """Count a worker's death with these in hand; those that reach ``limit`` are set aside, and returned."""
        return await self._writer.submit(webhooks.died, numbers, limit)

    async def receipt(self, persona_id: str, channel: str, provider_id: str, error: str, at: int) -> DeadLetter | None:
        """A message of hers did not reach its person: it is dead, and its conversation says why. None when unknown."""
        return await self._writer.submit(delivery.receipt, persona_id, channel, provider_id, error, at)

    async def idempotency_begin(self, key: str, fingerprint: str, at: int) -> Idempotent:
        """Claim a key for a request, or tell what became of the request that has it. Keys live for 24 hours.

        A claim ends by ``idempotency_done`` or ``idempotency_drop``. It outlives the daemon, so that who asks again
        after its death is known.
        """
        return await self._writer.submit(idempotency.begin, key, fingerprint, at)

    async def idempotency_done(self, key: str, status: int, body: bytes) -> None:
        """Keep the answer for who repeats the request."""
        await self._writer.submit(idempotency.done, key, status, body)

    async def idempotency_drop(self, key: str) -> None:
        """Let go of a key whose request was not carried out."""
        await self._writer.submit(idempotency.drop, key)

    async def prune_channels(self, now: int) -> None:
        """Forget webhook requests, idempotency keys and senders whose time is over."""
        for prune in (webhooks.prune, idempotency.prune, visitors.prune):
            await self._writer.submit(prune, now)
