"""Pairing: codes, messages held until their code is claimed, and the account that a channel is bound to."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from daemon.ledger import channels, inbox, revisions
from daemon.ledger.errors import ChannelUnknown
from daemon.ledger.inbox import Waiting
from proto.gateways import Inbound, chat_of
from proto.messages import Conversation, Perception

CODES: Final = 3
"""Accounts that may have a code for one channel at the same time."""

HELD: Final = 20
"""Messages held for one account."""

HELD_CHARACTERS: Final = 65_536
"""Characters held for one account."""

HELD_CHANNEL: Final = 200
"""Messages held on one channel."""


class PendingPairing(msgspec.Struct, frozen=True):
    """The account that was shown a code, and the channel and chat where it was shown."""

    channel: str
    account: str
    account_name: str
    chat: str


def bind(
    connection: sqlite3.Connection, persona: str, channel: str, account: str, account_name: str, chat: str
) -> None:
    """Bind her channel to this account and chat. Raise ChannelUnknown when it is not in the ledger."""
    # Keys are per chat, so another chat starts without one. From now on the account's name is the channel's name,
    # even if somebody had renamed the channel by hand.
    bound = connection.execute(
        "UPDATE channel SET account = ?1, account_name = ?2, name = NULL, chat = ?3,"
        " last_key = iif(chat IS ?3, last_key, NULL) WHERE persona = ?4 AND channel = ?5",
        (account, account_name, chat, persona, channel),
    )
    if not bound.rowcount:
        raise ChannelUnknown(channel)


def hold(connection: sqlite3.Connection, persona: str, channel: str, items: Iterable[Inbound], at: int) -> int:
    """Hold messages within the limits and return how many are new. Raise ChannelUnknown when the channel is gone.

    An edit that changed nothing is not new, and a step of a message has no conversation yet.
    """
    _require(connection, persona, channel)
    on_channel: int = connection.execute("SELECT count(*) FROM held WHERE channel = ?", (channel,)).fetchone()[0]
    lengths: dict[str, list[int]] = {}
    kept = 0
    for item in items:
        if item.account not in lengths:
            lengths[item.account] = _held_lengths(connection, channel, item.account)
        mine = lengths[item.account]
        if on_channel + kept >= HELD_CHANNEL or len(mine) >= HELD:
            continue
        if sum(mine) + len(item.content) > HELD_CHARACTERS:
            continue
        edit = item.revision.edit if item.revision else None
        if edit == "step" or not revisions.news(connection, channel, item.chat, item):
            continue
        added = connection.execute(
            "INSERT INTO held (persona, channel, account, chat, kind, content, media, at, key, title)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (channel, key) DO NOTHING",
            (
                persona,
                channel,
                item.account,
                item.chat,
                item.kind,
                item.content,
                item.media,
                item.at or at,
                item.key,
                item.title,
            ),
        )
        if added.rowcount:
            revisions.kept(connection, persona, channel, item.chat, item, at)
            mine.append(len(item.content))
            kept += 1
    return kept


def release(connection: sqlite3.Connection, persona: str, channel: str, conversation: Conversation) -> list[Waiting]:
    """Move the bound account's held messages to the inbox, delete the others and all codes; nothing while unbound."""
    account: tuple[str | None] | None = connection.execute(
        "SELECT account FROM channel WHERE persona = ? AND channel = ?", (persona, channel)
    ).fetchone()
    if account is None or account[0] is None:
        return []
    rows = connection.execute(
        "SELECT chat, kind, content, media, title, at, key FROM held WHERE channel = ? AND account = ? ORDER BY id",
        (channel, *account),
    ).fetchall()
    released = []
    for place, kind, content, media, title, at, key in rows:
        # What was written in a topic of the bound chat is answered there.
        is_there = chat_of(place) == chat_of(conversation.chat)
        here = msgspec.structs.replace(conversation, chat=place) if is_there else conversation
        id_ = inbox.accept(connection, persona, here, kind, content, media, at, key, title)
        if id_ is not None:
            released.append(Waiting(Perception(id_, kind, content, at, media, title), here, 0))
    if rows:
        channels.count_received(connection, persona, channel, len(released), [row[-1] for row in rows])
    remove(connection, persona, channel)
    return released


def add_code(
    connection: sqlite3.Connection,
    persona: str,
    channel: str,
    account: str,
    account_name: str,
    chat: str,
    code_hash: str,
    expires_at: int,
    now: int,
) -> bool:
    """Keep an account's code in place of its last one; False when ``CODES`` other accounts have one for this channel.

    Raise ChannelUnknown when the channel is gone.
    """
    _require(connection, persona, channel)
    connection.execute("DELETE FROM pairing_code WHERE expires_at <= ?", (now,))
    others: int = connection.execute(
        "SELECT count(*) FROM pairing_code WHERE persona = ? AND channel = ? AND account <> ?",
        (persona, channel, account),
    ).fetchone()[0]
    if others >= CODES:
        return False
    connection.execute(
        "INSERT INTO pairing_code (hash, persona, channel, account, account_name, chat, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (persona, channel, account) DO UPDATE SET hash = excluded.hash,"
        " account_name = excluded.account_name, chat = excluded.chat, expires_at = excluded.expires_at",
        (code_hash, persona, channel, account, account_name, chat, expires_at),
    )
    return True


def find_code(connection: sqlite3.Connection, persona: str, code_hash: str, now: int) -> PendingPairing | None:
    """Return the account that was shown this code; None when the code is unknown or expired."""
    row = connection.execute(
        "SELECT channel, account, account_name, chat FROM pairing_code"
        " WHERE hash = ? AND persona = ? AND expires_at > ?",
        (code_hash, persona, now),
    ).fetchone()
    return PendingPairing(*row) if row else None


def drop_code(connection: sqlite3.Connection, code_hash: str) -> None:
    """Delete a code."""
    connection.execute("DELETE FROM pairing_code WHERE hash = ?", (code_hash,))


def remove(connection: sqlite3.Connection, persona: str, channel: str) -> None:
    """Delete a channel's codes and held messages."""
    connection.execute("DELETE FROM pairing_code WHERE persona = ? AND channel = ?", (persona, channel))
    connection.execute("DELETE FROM held WHERE channel = ? AND persona = ?", (channel, persona))


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Delete codes that expired before ``before`` and messages held since before it."""
    connection.execute("DELETE FROM pairing_code WHERE expires_at < ?", (before,))
    connection.execute("DELETE FROM held WHERE at < ?", (before,))


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her codes and held messages."""
    connection.execute("DELETE FROM pairing_code WHERE persona = ?", (persona,))
    connection.execute("DELETE FROM held WHERE persona = ?", (persona,))


def _require(connection: sqlite3.Connection, persona: str, channel: str) -> None:
    query = "SELECT 1 FROM channel WHERE persona = ? AND channel = ?"
    if not connection.execute(query, (persona, channel)).fetchone():
        raise ChannelUnknown(channel)


def _held_lengths(connection: sqlite3.Connection, channel: str, account: str) -> list[int]:
    # SQLite's length() stops at a NUL (https://www.sqlite.org/lang_corefunc.html#length), so Python counts. The limits
    # above bound what is read.
    rows = connection.execute("SELECT content FROM held WHERE channel = ? AND account = ?", (channel, account))
    return [len(content) for (content,) in rows]
