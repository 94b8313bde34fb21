"""Messages that come in over an open channel, the welcome of each conversation, and the limits per sender."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

import msgspec

from daemon.ledger import aliases, answers, erasure, inbox, opt_outs, revisions, webhooks
from daemon.ledger import conversation as lines
from daemon.ledger.errors import ChannelUnknown
from daemon.ledger.inbox import Waiting
from proto.gateways import Inbound
from proto.messages import Conversation, Perception

MINUTE: Final = 60 * 1_000_000_000
DAY: Final = 24 * 60 * MINUTE
FRESH: Final = 2 * 1_000_000_000
"""Nanoseconds."""

_TOO_MANY: Final = "You write faster than I can read: please wait {wait}. I did not keep your last message."


class SenderLimits(msgspec.Struct, frozen=True):
    """How many messages one sender may send on a channel."""

    per_minute: int
    per_day: int


class Said(msgspec.Struct, frozen=True):
    """A message said in her name, in the transaction that kept the visitor's message."""

    seq: int
    conversation: Conversation
    content: str


class Visited(msgspec.Struct, frozen=True):
    """The new part of a batch: messages that now wait, immediate replies, and files to delete."""

    waiting: list[Waiting]
    said: list[Said]
    unwanted: list[str]
    stepped: list[Conversation] = []
    """Conversations of which a line was replaced."""


class _Open(msgspec.Struct, frozen=True):
    """The columns of the channel that this transaction needs."""

    persona: str
    channel: str
    type: str
    welcome: str | None
    is_paused: bool


def take(
    connection: sqlite3.Connection,
    persona: str,
    channel: str,
    items: list[Inbound],
    webhook_numbers: list[int],
    limits: SenderLimits,
    seqs: list[int],
    at: int,
) -> Visited:
    """Keep new messages within the senders' limits. Raise ChannelUnknown when the channel is gone.

    ``seqs`` holds at least two numbers for each item. The webhook requests that brought the items are closed.
    """
    row: tuple[str, str | None, bool] | None = connection.execute(
        "SELECT type, welcome, paused FROM channel WHERE persona = ? AND channel = ? AND open = 1", (persona, channel)
    ).fetchone()
    if row is None:
        raise ChannelUnknown(channel)
    opened, visited, free = _Open(persona, channel, *row), Visited([], [], []), iter(seqs)
    for item in items:
        _take_one(connection, opened, item, limits, free, at, visited)
    webhooks.done(connection, persona, webhook_numbers)
    return visited


def _take_one(
    connection: sqlite3.Connection,
    channel: _Open,
    sent: Inbound,
    limits: SenderLimits,
    seqs: Iterator[int],
    at: int,
    visited: Visited,
) -> None:
    if sent.opt_out is not None:
        opt_outs.note(connection, channel.channel, sent, at)
        return
    sent = aliases.resolved(connection, channel.persona, channel.channel, sent)
    name = _name(connection, channel.channel, sent.chat)
    if sent.unaddressed and not name:
        return
    conversation = Conversation(channel.type, name or _called(sent), channel.channel, sent.chat)
    if inbox.is_known(connection, channel.persona, conversation, sent.key):
        return
    if sent.revision and sent.revision.edit == "step":
        if name:
            revisions.step(connection, channel.persona, conversation, sent, at)
            visited.stepped.append(conversation)
        return
    item = revisions.news(connection, channel.channel, sent.chat, sent)
    if sent.media and (item is None or item.media is None):
        visited.unwanted.append(sent.media)
    if item is None:
        return
    if over := _over(connection, channel, item.account, limits, at):
        if over.notify and name and not channel.is_paused:
            _say(connection, channel, conversation, _TOO_MANY.format(wait=over.wait), seqs, at, visited)
        visited.unwanted.extend(filter(None, [item.media]))
        return
    content = f"/{item.command} {item.content}".strip() if item.command else item.content
    when = _when(item.at, at)
    id_ = inbox.accept(
        connection, channel.persona, conversation, item.kind, content, item.media, when, item.key, item.title
    )
    assert id_ is not None
    erasure.take_part(connection, channel.persona, channel.channel, item.chat, item.account)
    revisions.kept(connection, channel.persona, channel.channel, item.chat, item, at, perception=id_)
    connection.execute(
        "UPDATE channel SET received = received + 1 WHERE persona = ? AND channel = ?",
        (channel.persona, channel.channel),
    )
    if not channel.is_paused and _is_new(connection, channel, item) and channel.welcome:
        _say(connection, channel, conversation, channel.welcome, seqs, at, visited)
        if item.command == "start":
            # The welcome answers the start command.
            lines.heard(connection, [id_])
            inbox.finish(connection, [id_])
            return
    visited.waiting.append(Waiting(Perception(id_, item.kind, content, when, item.media, item.title), conversation, 0))


def _when(stated: int, at: int) -> int:
    """Return when a message was written. Most providers state whole seconds, so for a fresh one our own time says more.

    With it, a message that follows an answer within one second does not stand before that answer.
    """
    return at if not stated or at - stated < FRESH else stated


def _is_new(connection: sqlite3.Connection, channel: _Open, item: Inbound) -> bool:
    """Whether this person has not been welcomed on the channel, in whatever chat; from now on they have."""
    known = connection.execute(
        "SELECT 1 FROM visitor WHERE channel = ? AND account IN (?, ?)", (channel.channel, item.account, item.chat)
    ).fetchone()
    connection.execute(
        "INSERT INTO visitor (channel, account, persona) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (channel.channel, item.account, channel.persona),
    )
    return known is None


def _name(connection: sqlite3.Connection, channel: str, chat: str) -> str:
    """Return the person's name as the first message gave it; "" before the first message."""
    row: tuple[str] | None = connection.execute(
        "SELECT name FROM channel_conversation WHERE channel = ? AND chat = ?", (channel, chat)
    ).fetchone()
    return row[0] if row else ""


def _called(item: Inbound) -> str:
    return item.account_name or item.account


class _Over(msgspec.Struct, frozen=True):
    wait: str
    notify: bool


def _over(connection: sqlite3.Connection, channel: _Open, account: str, limits: SenderLimits, at: int) -> _Over | None:
    """Count one message of a sender. If it is over a limit, return how long to wait and whether to say so now."""
    minute, day = at // MINUTE, at // DAY
    in_minute, in_day, told_until = connection.execute(
        "INSERT INTO sender (channel, account, persona, minute, in_minute, day, in_day)"
        " VALUES (?1, ?2, ?3, ?4, 1, ?5, 1)"
        " ON CONFLICT (channel, account) DO UPDATE SET"
        " in_minute = iif(minute = ?4, in_minute, 0) + 1, in_day = iif(day = ?5, in_day, 0) + 1, minute = ?4, day = ?5"
        " RETURNING in_minute, in_day, told_until",
        (channel.channel, account, channel.persona, minute, day),
    ).fetchone()
    # A refused message counts in neither window, so that a sender who keeps writing is heard in the next minute.
    over_day, over_minute = in_day > limits.per_day, in_minute > limits.per_minute
    if not over_day and not over_minute:
        return None
    until = (day + 1) * DAY if over_day else (minute + 1) * MINUTE
    connection.execute(
        "UPDATE sender SET in_minute = in_minute - 1, in_day = in_day - 1, told_until = max(told_until, ?)"
        " WHERE channel = ? AND account = ?",
        (until, channel.channel, account),
    )
    connection.execute("UPDATE channel SET limited = limited + 1 WHERE channel = ?", (channel.channel,))
    return _Over("until tomorrow" if over_day else "a minute", notify=told_until < until)


def _say(
    connection: sqlite3.Connection,
    channel: _Open,
    conversation: Conversation,
    content: str,
    seqs: Iterator[int],
    at: int,
    visited: Visited,
) -> None:
    said = Said(next(seqs), conversation, content)
    answers.say(connection, channel.persona, conversation, content, said.seq, at)
    visited.said.append(said)


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Delete the counts of senders who wrote nothing for a day."""
    connection.execute("DELETE FROM sender WHERE day < ?", (now // DAY - 1,))
