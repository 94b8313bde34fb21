"""The health of channels: the states that a persona's process reports, and the counts in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from daemon.conversations.lanes import MindTrouble
from daemon.ledger import DeadLetter, Depth, Ledger, OpenChannel, StoredChannel
from daemon.personas.channel_records import GATEWAYS, PAIRED, id_of
from proto.gateways import GatewayState
from proto.records import Channel, Persona

DEAD_LETTERS: Final = 20
MIND_DOWN: Final = "The mind cannot be reached; messages wait, and are answered when it is back."
EXCERPT: Final = 80
"""Characters of a dead letter that are shown."""


class ChannelHealth(msgspec.Struct):
    """A channel as ``personad status`` shows it.

    ``state`` is ``closed`` while her process has no gateway for it. ``round_trip_s`` is the age in seconds of the last
    completed exchange with the provider. ``received`` counts the paired person's messages, ``strangers`` those of
    others; ``sent``, ``dead`` and ``pending`` count hers. ``channel`` is the id that logs use. On an ``open`` channel
    ``received`` counts all messages, ``limited`` those over the senders' limits,
    ``unread`` what came in and this version cannot read.
    """

    type: str
    name: str
    verified: bool
    channel: str | None
    state: Literal["closed", "connecting", "connected", "degraded", "stopped"] = "closed"
    round_trip_s: float | None = None
    error: str = ""
    hint: str = ""
    received: int = 0
    strangers: int = 0
    sent: int = 0
    dead: int = 0
    pending: int = 0
    open: bool = False
    paused: bool = False
    conversations: int = 0
    limited: int = 0
    unread: int = 0


class DeadLetterShown(msgspec.Struct):
    """A message that could not be delivered; ``time`` is ISO 8601 with its offset, ``content`` an excerpt."""

    persona: str
    persona_name: str
    type: str
    name: str
    content: str
    reason: str
    time: str


async def channel_health(
    ledger: Ledger,
    persona: Persona,
    gateways: Iterable[GatewayState],
    minds_down: Mapping[str, MindTrouble],
    now: int,
) -> list[ChannelHealth]:
    """Her channels in the order of her record.

    ``gateways`` is what her process reported, ``minds_down`` which of her minds cannot be reached, ``now`` is in epoch
    nanoseconds. Raises LedgerError.
    """
    if not persona.channels:
        return []
    states = {state.channel: state for state in gateways}
    stored = {row.channel: row for row in await ledger.channels(persona.id)}
    shown = {row.channel: row for row in await ledger.channels_of(persona.id, now)}
    pending = await ledger.pending_by_channel(persona.id)
    found = []
    for record in persona.channels:
        health = _health(record)
        if health.channel is not None:
            _add_state(health, states.get(health.channel))
            _add_counts(health, stored.get(health.channel))
            row = shown.get(health.channel)
            _add_terms(health, row)
            mind = minds_down.get((row.fields.model if row else None) or "")
            if mind and not health.error:
                health.error, health.hint = MIND_DOWN, mind.reason
            health.pending = pending.get(health.channel, 0)
        found.append(health)
    return found


async def dead_letters(
    ledger: Ledger, personas: Iterable[Persona], depths: Mapping[str, Depth]
) -> list[DeadLetterShown]:
    """The last dead letters of these personas, newest first. Raises LedgerError."""
    found: list[tuple[DeadLetter, Persona]] = []
    for persona in personas:
        if depths.get(persona.id, Depth()).outbox_dead:
            letters = await ledger.dead_letters(persona.id, DEAD_LETTERS)
            found.extend((letter, persona) for letter in letters)
    found.sort(key=lambda one: one[0].seq, reverse=True)
    return [_shown(letter, persona) for letter, persona in found[:DEAD_LETTERS]]


def _health(record: Channel) -> ChannelHealth:
    health = ChannelHealth(record.type, record.name, verified=False, channel=id_of(record))
    if record.type not in GATEWAYS:
        health.error = f"This version of personad has no gateway for {record.type}."
        health.hint = f"Remove the channel; {', '.join(GATEWAYS)} are the kinds that there are."
    elif health.channel is None:
        health.error = "The channel has no token."
        health.hint = "Remove it and add it again."
    return health


def _add_state(health: ChannelHealth, state: GatewayState | None) -> None:
    if state:
        health.state, health.error, health.hint = state.state, state.error, state.hint
        health.round_trip_s = None if state.round_trip is None else round(state.round_trip, 3)


def _add_counts(health: ChannelHealth, row: StoredChannel | None) -> None:
    if row:
        health.verified = row.account is not None
        health.received, health.strangers, health.sent, health.dead = row.received, row.strangers, row.sent, row.dead


def _add_terms(health: ChannelHealth, row: OpenChannel | None) -> None:
    if row:
        health.verified |= row.open
        health.open, health.paused = row.open, row.status == "paused"
        health.conversations, health.limited, health.unread = row.conversation_count, row.limited, row.unread
        if row.unread and not health.error:
            health.error = row.shown_error or ""
    if not health.open and health.type not in PAIRED and not health.error:
        health.error = f"A channel of the kind {health.type} is made by POST /v1/channels only."
        health.hint = "Remove it from config.json, and make it there."


def _shown(letter: DeadLetter, persona: Persona) -> DeadLetterShown:
    content = letter.content if len(letter.content) <= EXCERPT else letter.content[: EXCERPT - 1] + "…"
    when = datetime.fromtimestamp(letter.created_at / 1e9, UTC).astimezone().isoformat(timespec="milliseconds")
    return DeadLetterShown(persona.id, persona.name, letter.type, letter.name, content, letter.reason, when)
