"""Channels: each one's bot, the account it is paired with, its incoming messages and its counters."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from daemon.ledger import inbox, revisions
from daemon.ledger.errors import ChannelTaken, ChannelUnknown
from daemon.ledger.inbox import Waiting
from proto.gateways import ErrorClass, Inbound
from proto.messages import Conversation, Perception


class StoredChannel(msgspec.Struct, frozen=True):
    """A channel; ``account`` and ``chat`` are None until it is paired.

    ``last_key`` is the numerically largest key committed from that chat. ``received`` counts the chat's messages,
    ``strangers`` everybody else's. ``sent`` and ``dead`` count her own messages.
    """

    channel: str
    type: str
    bot_id: str
    bot_name: str
    account: str | None
    account_name: str | None
    chat: str | None
    last_key: str | None
    received: int
    strangers: int
    sent: int
    dead: int
    last_error: str | None
    last_error_at: int | None


class Committed(msgspec.Struct, frozen=True):
    """The new part of a batch: perceptions that now wait, commands to carry out, and files that are not needed."""

    waiting: list[Waiting]
    commands: list[str]
    unwanted: list[str] = []
    is_stepped: bool = False
    """Whether a line of the conversation was replaced."""


def add(
    connection: sqlite3.Connection,
    persona: str,
    channel: str,
    type_: str,
    bot_id: str,
    bot_name: str,
    at: int,
    claim: str = "",
) -> None:
    """Add her channel, or update its bot. ``claim`` identifies its token, "" if it is the channel's id.

    Raise ChannelTaken when the channel, the token or the bot belongs to another one.
    """
    taken: tuple[str] | None = connection.execute(
        "SELECT persona FROM channel WHERE channel = ?2 AND persona <> ?1"
        " UNION ALL SELECT persona FROM channel WHERE type = ?3 AND bot_id = ?4 AND (persona <> ?1 OR channel <> ?2)"
        " UNION ALL SELECT persona FROM channel WHERE claim = ?5 AND channel <> ?2",
        (persona, channel, type_, bot_id, claim or channel),
    ).fetchone()
    if taken:
        raise ChannelTaken(taken[0])
    connection.execute(
        "INSERT INTO channel (persona, channel, type, bot_id, bot_name, created_at, claim) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (persona, channel) DO UPDATE SET bot_id = excluded.bot_id, bot_name = excluded.bot_name,"
        " claim = excluded.claim",
        (persona, channel, type_, bot_id, bot_name, at, claim or channel),
    )


def stored(connection: sqlite3.Connection, persona: str) -> list[StoredChannel]:
    """Return her channels, oldest first."""
    rows = connection.execute(
        "SELECT channel, type, iif(bot_id = channel, '', bot_id), bot_name, account, account_name, chat, last_key,"
        " received, strangers, sent, dead, last_error, last_error_at"
        " FROM channel WHERE persona = ? ORDER BY created_at, channel",
        (persona,),
    )
    return [StoredChannel(*row) for row in rows]


def take(
    connection: sqlite3.Connection,
    persona: str,
    channel: str,
    conversation: Conversation,
    items: Iterable[Inbound],
    at: int,
) -> Committed:
    """Keep the paired person's new messages. Raise ChannelUnknown when the channel is gone."""
    committed, keys, is_stepped = Committed([], []), [], False
    for sent in items:
        keys.append(sent.key)
        if inbox.is_known(connection, persona, conversation, sent.key):
            continue
        if sent.revision and sent.revision.edit == "step":
            revisions.step(connection, persona, conversation, sent, at)
            is_stepped = True
            continue
        item = revisions.news(connection, channel, conversation.chat, sent)
        if sent.media and (item is None or item.media is None):
            committed.unwanted.append(sent.media)
        if item is None:
            continue
        when = item.at or at
        id_ = inbox.accept(
            connection, persona, conversation, item.kind, item.content, item.media, when, item.key, item.title
        )
        assert id_ is not None
        revisions.kept(connection, persona, channel, conversation.chat, item, at, perception=id_)
        if item.command is None:
            perception = Perception(id_, item.kind, item.content, when, item.media, item.title)
            committed.waiting.append(Waiting(perception, conversation, 0))
        else:
            inbox.finish(connection, [id_])
            committed.commands.append(item.command)
    count_received(connection, persona, channel, len(committed.waiting) + len(committed.commands), keys)
    return msgspec.structs.replace(committed, is_stepped=is_stepped)


def count_received(connection: sqlite3.Connection, persona: str, channel: str, count: int, keys: list[str]) -> None:
    """Count the paired person's messages and keep the largest key. Raise ChannelUnknown when the channel is gone."""
    last: tuple[str | None] | None = connection.execute(
        "SELECT last_key FROM channel WHERE persona = ? AND channel = ?", (persona, channel)
    ).fetchone()
    if last is None:
        raise ChannelUnknown(channel)
    known = [key for key in (*last, *keys) if key is not None and key.isascii() and key.isdecimal()]
    connection.execute(
        "UPDATE channel SET received = received + ?, last_key = ? WHERE persona = ? AND channel = ?",
        (count, max(known, key=int, default=last[0]), persona, channel),
    )


def strangers(connection: sqlite3.Connection, persona: str, channel: str, keys: Iterable[str]) -> None:
    """Count messages from other accounts, each key of the batch once."""
    connection.execute(
        "UPDATE channel SET strangers = strangers + ? WHERE persona = ? AND channel = ?",
        (len(set(keys)), persona, channel),
    )


def error(
    connection: sqlite3.Connection, persona: str, channel: str, text: str, at: int, error_class: ErrorClass
) -> None:
    """Store the latest error, and when the current trouble began."""
    connection.execute(
        "UPDATE channel SET last_error = ?1, last_error_at = ?2, error_class = ?3,"
        " error_since = coalesce(error_since, ?2) WHERE persona = ?4 AND channel = ?5",
        (text, at, error_class, persona, channel),
    )


def remove(connection: sqlite3.Connection, persona: str, channel: str) -> bool:
    """Delete the channel; return False when she has no such channel."""
    connection.execute(
        "INSERT OR IGNORE INTO former_channel (channel, persona) SELECT channel, persona FROM channel"
        " WHERE persona = ? AND channel = ? AND conversations > 0",
        (persona, channel),
    )
    gone = connection.execute("DELETE FROM channel WHERE persona = ? AND channel = ?", (persona, channel))
    return gone.rowcount > 0


def is_former(connection: sqlite3.Connection, channel: str) -> bool:
    """Return whether a channel with this id was removed on which somebody had written."""
    return connection.execute("SELECT 1 FROM former_channel WHERE channel = ?", (channel,)).fetchone() is not None


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her channels."""
    connection.execute("DELETE FROM channel WHERE persona = ?", (persona,))
