"""What the ledger does for /v1: open channels, visitors' messages, providers' webhooks and idempotency keys."""

from __future__ import annotations

from collections.abc import Sequence

from daemon.ledger import channels, delivery, idempotency, mirror, open_channels, opt_outs, visitors, webhooks
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
from proto.gateways import ErrorClass, Inbound, Unread

FIRST = (0, "")
"""The cursor before the first channel."""


class ChannelOperations:
    """A part of ``Ledger``, with the same promises. Channel ids are unique across all personas."""

    _writer: Writer
    _reader: Reader

    async def add_open_channel(
        self,
        persona_id: str,
        channel: str,
        type_: str,
        bot_id: str,
        bot_name: str,
        fields: ChannelFields,
        at: int,
        claim: str = "",
    ) -> None:
        """Add her open channel, created ``at``. ``claim`` identifies its token, "" if it is the channel's id.

        Raise ChannelTaken when the ledger already has this channel, or another channel with this bot or number.
        """
        await self._writer.submit(
            open_channels.add_open, persona_id, channel, type_, bot_id, bot_name, fields, at, claim
        )

    async def update_open_channel(self, channel: str, fields: ChannelFields, at: int) -> None:
        """Replace the fields that the operator sets. Raise ChannelUnknown when the channel is gone."""
        await self._writer.submit(open_channels.update, channel, fields, at)

    async def read_back(self, persona_id: str, listed: Sequence[Mirrored], at: int) -> ReadBack:
        """Update her channels from the list in config.json. Channels missing there are kept and reported."""
        return await self._writer.submit(mirror.read_back, persona_id, listed, at)

    async def mirrored(self, channel: str) -> None:
        """Record that config.json now has the channel's latest name."""
        await self._writer.submit(mirror.mirrored, channel)

    async def identified(self, persona_id: str, channel: str, bot_id: str, bot_name: str) -> None:
        """Store the identity of her channel's bot. Raise ChannelTaken when another channel has this bot."""
        await self._writer.submit(mirror.identified, persona_id, channel, bot_id, bot_name)

    async def holder(self, channel: str, type_: str = "", bot_id: str = "") -> Holder | None:
        """Return the persona who has this channel, or another channel with this bot; None when both are free."""
        return await self._reader.submit(mirror.holder, channel, type_, bot_id)

    async def is_former_channel(self, channel: str) -> bool:
        """Return whether a channel with this id was removed on which somebody had written."""
        return await self._reader.submit(channels.is_former, channel)

    async def channel_owners(self) -> list[str]:
        """Return the ids of all personas who have a channel."""
        return await self._reader.submit(mirror.owners)

    async def pause_channel(self, channel: str, paused: bool, at: int) -> None:
        """Pause or resume the channel: a paused one makes no turns. Raise ChannelUnknown when the channel is gone."""
        await self._writer.submit(open_channels.pause, channel, paused, at)

    async def open_channel(self, channel: str, now: int) -> OpenChannel | None:
        """Return the channel with this id, open or paired. ``now`` decides whether an error has lasted too long."""
        return await self._reader.submit(open_channels.found, channel, now)

    async def open_channels(
        self,
        now: int,
        status: ChannelStatus | None = None,
        type_: str | None = None,
        after: tuple[int, str] = FIRST,
        limit: int = 100,
    ) -> list[OpenChannel]:
        """Return all personas' open channels and paired Telegram channels, oldest first.

        ``after`` is the ``(created_at, channel)`` of the last channel that the caller has.
        """
        return await self._reader.submit(open_channels.listed, now, status, type_, after, limit)

    async def channels_of(self, persona_id: str, now: int) -> list[OpenChannel]:
        """Return all her channels, open and paired, oldest first."""
        return await self._reader.submit(open_channels.of_persona, persona_id, now)

    async def channel_conversations(
        self, channel: str, before: tuple[int, str] | None = None, limit: int = 100
    ) -> list[ChannelConversation]:
        """Return a channel's conversations, latest first.

        ``before`` is the ``(last_at, chat)`` of the last conversation that the caller has.
        """
        return await self._reader.submit(open_channels.conversations, channel, before, limit)

    async def channel_messages(
        self, channel: str, chat: str, before: tuple[int, int] | None = None, limit: int = 100
    ) -> list[ChannelMessage]:
        """Return a conversation's messages, newest first; unanswered ones have the id 0.

        ``before`` is the ``(at, place)`` of the last one that the caller has.
        """
        return await self._reader.submit(open_channels.messages, channel, chat, before, limit)

    async def channel_error(
        self, persona_id: str, channel: str, error: str, at: int, error_class: ErrorClass = "transient"
    ) -> None:
        """Store the channel's latest error."""
        await self._writer.submit(channels.error, persona_id, channel, error, at, error_class)

    async def channel_recovered(self, persona_id: str, channel: str) -> None:
        """Clear the channel's error: its provider answers again."""
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
        """Keep what people wrote on her open channel, one conversation per chat, and close the webhook requests.

        A new conversation gets its welcome in the same transaction. A sender over the limits gets a notice, once per
        window. ``seqs`` are the numbers for these messages: two for each item. Keys that a conversation has seen are
        skipped. Raise ChannelUnknown, and keep nothing, when the channel is gone.
        """
        return await self._writer.submit(visitors.take, persona_id, channel, items, webhook_numbers, limits, seqs, at)

    async def webhook(self, channel: str, key: str, content_type: str, body: bytes, at: int) -> int | None:
        """Keep a verified webhook request and return its number, or None when this key is known already.

        Raise ChannelUnknown when there is no such channel, WebhooksFull when too many requests are waiting.
        """
        return await self._writer.submit(webhooks.add, channel, key, content_type, body, at)

    async def open_webhooks(
        self, persona_id: str, after: int = 0, limit: int = 100, version: str = ""
    ) -> list[OpenWebhook]:
        """Return her webhook requests above the number ``after`` that are not closed, oldest first.

        Those that this version cannot read are left out.
        """
        return await self._reader.submit(webhooks.open_, persona_id, after, limit, version)

    async def close_webhooks(self, persona_id: str, numbers: list[int]) -> None:
        """Close requests whose messages are kept."""
        await self._writer.submit(webhooks.done, persona_id, numbers)

    async def keep_unread(self, persona_id: str, channel: str, found: list[Unread], at: int, version: str) -> None:
        """Keep what her gateway cannot read, until another version reads it."""
        await self._writer.submit(webhooks.unread, persona_id, channel, found, at, version)

    async def webhooks_died(self, numbers: list[int], limit: int, version: str = "") -> list[int]:
        """Count a worker's death for the requests it had in hand. Return those that become unread."""
        return await self._writer.submit(webhooks.died, numbers, limit, version)

    async def receipt(self, persona_id: str, channel: str, provider_id: str, error: str, at: int) -> DeadLetter | None:
        """Give up a sent message that did not reach its person, and mark its conversation with the reason.

        Return None when no sent message has this id.
        """
        return await self._writer.submit(delivery.receipt, persona_id, channel, provider_id, error, at)

    async def idempotency_begin(self, key: str, fingerprint: str, at: int) -> Idempotent:
        """Claim a key for a request, or return the state of the request that has it. Keys live for 24 hours.

        A claim ends with ``idempotency_done`` or ``idempotency_drop``. It outlives the daemon, so a request repeated
        after a crash is recognized.
        """
        return await self._writer.submit(idempotency.begin, key, fingerprint, at)

    async def idempotency_done(self, key: str, status: int, body: bytes) -> None:
        """Keep the answer for a repetition of the request."""
        await self._writer.submit(idempotency.done, key, status, body)

    async def idempotency_drop(self, key: str) -> None:
        """Release a key whose request was not carried out."""
        await self._writer.submit(idempotency.drop, key)

    async def prune_channels(self, now: int) -> None:
        """Delete expired webhook requests, idempotency keys, senders and opt-ins."""
        for prune in (webhooks.prune, idempotency.prune, visitors.prune, opt_outs.prune):
            await self._writer.submit(prune, now)
