"""The terms of each channel: whether it is open or paused, which mind answers on it, what that mind may search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from daemon.ledger import Ledger, OpenChannel
from daemon.logging.log import Log
from daemon.runtime.clock import Clock
from proto.messages import Conversation
from proto.records import Organ

DEFAULT_FALLBACK: Final = "I cannot answer right now. I have kept your message and will answer as soon as I can."
"""The text that people get while no answer is possible, unless the operator has set another one for the channel."""


class Terms(msgspec.Struct, frozen=True):
    """The terms for all conversations of a channel. ``model`` names the ``mind``; "" and None mean her own."""

    persona: str
    is_open: bool
    is_paused: bool
    model: str
    mind: Organ | None
    datasets: list[str]
    fallback: str
    instructions: str


class ChannelTerms:
    """Mirrors from the ledger what every turn needs to know about its channel."""

    def __init__(self, ledger: Ledger, models: Mapping[str, Organ], clock: Clock, log: Log) -> None:
        self._ledger = ledger
        self._models = models
        self._clock = clock
        self._log = log
        self._terms: dict[str, Terms] = {}

    async def load(self, persona_id: str) -> None:
        """Read the terms of her channels. Raises LedgerError."""
        for row in await self._ledger.channels_of(persona_id, self._clock.time_ns()):
            self._keep(row)

    async def refresh(self, channel: str) -> OpenChannel | None:
        """Read the terms of one channel again, and return its row. Raises LedgerError."""
        row = await self._ledger.open_channel(channel, self._clock.time_ns())
        if row is None:
            self.drop(channel)
        else:
            self._keep(row)
        return row

    def drop(self, channel: str) -> None:
        """Forget a channel that is gone."""
        self._terms.pop(channel, None)

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona's channels."""
        self._terms = {channel: terms for channel, terms in self._terms.items() if terms.persona != persona_id}

    def of(self, conversation: Conversation) -> Terms | None:
        """The terms of the conversation's channel; None for the web and for a channel that is gone."""
        return self._terms.get(conversation.channel)

    def is_open_channel(self, channel: str) -> bool:
        """Whether anybody may write on this channel."""
        terms = self._terms.get(channel)
        return terms is not None and terms.is_open

    def is_open(self, conversation: Conversation) -> bool:
        """Whether the conversation is with a visitor of an open channel."""
        terms = self.of(conversation)
        return terms is not None and terms.is_open

    def is_paused(self, conversation: Conversation) -> bool:
        """Whether the conversation's messages have to wait."""
        terms = self.of(conversation)
        return terms is not None and terms.is_paused

    def model(self, conversation: Conversation) -> str:
        """The name of the mind that answers in the conversation; "" for her own."""
        terms = self.of(conversation)
        return terms.model if terms else ""

    def mind(self, channel: str) -> Organ | None:
        """The mind that answers on this channel in place of her own, or None."""
        terms = self._terms.get(channel)
        return terms.mind if terms else None

    def _keep(self, row: OpenChannel) -> None:
        model = row.fields.model
        if model is not None and model not in self._models:
            self._log.warning("channel.model_unknown", persona=row.persona, channel=row.channel, model=model)
        self._terms[row.channel] = Terms(
            persona=row.persona,
            is_open=row.open,
            is_paused=row.status == "paused",
            model=model if model is not None and model in self._models else "",
            mind=self._models.get(model) if model is not None else None,
            datasets=list(row.fields.datasets),
            fallback=row.fields.fallback or DEFAULT_FALLBACK,
            instructions=row.fields.instructions or "",
        )
