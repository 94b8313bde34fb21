"""Messages that are set aside: her mind refused them, or her process died too often with them in hand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from daemon.ledger import answers, inbox
from daemon.ledger import conversation as lines
from daemon.ledger.inbox import Waiting
from proto.messages import Conversation, Perception
from proto.perception import PerceptionKind

DIED: Final = "Her process ended each time while it had this message in hand."


class SetAside(msgspec.Struct, frozen=True):
    """A message that is set aside, with the reason; ``at`` is the time of its acceptance in epoch nanoseconds."""

    id: int
    conversation: Conversation
    kind: PerceptionKind
    content: str
    title: str
    at: int
    reason: str


class Notice(msgspec.Struct, frozen=True):
    """What the sender of a message is told if it is set aside; with ``seq`` 0 nothing is told."""

    perception: int
    conversation: Conversation
    content: str
    seq: int


def refuse(
    connection: sqlite3.Connection, persona: str, perceptions: list[int], reason: str, notice: Notice, at: int
) -> bool:
    """Set these perceptions aside and keep the notice. Change nothing and return False unless all are pending."""
    if not inbox.all_pending(connection, persona, perceptions):
        return False
    _put(connection, perceptions, reason)
    answers.end_outage(connection, persona, notice.conversation)
    answers.say(connection, persona, notice.conversation, notice.content, notice.seq, at)
    return True


def died(connection: sqlite3.Connection, persona: str, notices: list[Notice], limit: int, at: int) -> list[int]:
    """Count a death for each pending perception. Those that reach ``limit`` are set aside, told and returned."""
    ended = []
    for notice in notices:
        row: tuple[int] | None = connection.execute(
            "UPDATE inbox SET deaths = deaths + 1 WHERE id = ? AND persona = ? AND state = 'pending' RETURNING deaths",
            (notice.perception, persona),
        ).fetchone()
        if row and row[0] >= limit:
            _put(connection, [notice.perception], DIED)
            if notice.seq:
                answers.say(connection, persona, notice.conversation, notice.content, notice.seq, at)
            ended.append(notice.perception)
    return ended


def of(connection: sqlite3.Connection, persona: str, limit: int) -> list[SetAside]:
    """Return her messages that are set aside, oldest first."""
    rows = connection.execute(
        "SELECT id, type, name, channel, chat, kind, content, title, at, reason FROM inbox"
        " WHERE persona = ? AND state = 'poison' AND state <> 'done' ORDER BY id LIMIT ?",
        (persona, limit),
    )
    return [
        SetAside(id_, Conversation(type_, name, channel, chat), kind, content, title, at, reason or DIED)
        for id_, type_, name, channel, chat, kind, content, title, at, reason in rows
    ]


def take_up(connection: sqlite3.Connection, persona: str, perception: int | None) -> list[Waiting]:
    """Let her messages that are set aside wait again as if they were new, one or all; return them, oldest first."""
    rows = connection.execute(
        "UPDATE inbox SET state = 'pending', deaths = 0, reason = ''"
        " WHERE persona = ?1 AND state = 'poison' AND state <> 'done' AND (?2 IS NULL OR id = ?2)"
        " RETURNING id, kind, content, at, media, title, type, name, channel, chat",
        (persona, perception),
    ).fetchall()
    return [
        Waiting(Perception(id_, kind, content, at, media, title), Conversation(type_, name, channel, chat), 0)
        for id_, kind, content, at, media, title, type_, name, channel, chat in sorted(rows)
    ]


def drop(connection: sqlite3.Connection, persona: str, perception: int | None) -> list[int]:
    """Close her messages that are set aside, one or all, without an answer; return their ids.

    They stay in the conversation as lines that her owner sees and her mind never gets.
    """
    rows = connection.execute(
        "SELECT id FROM inbox WHERE persona = ?1 AND state = 'poison' AND state <> 'done'"
        " AND (?2 IS NULL OR id = ?2) ORDER BY id",
        (persona, perception),
    )
    ids = [id_ for (id_,) in rows]
    lines.heard(connection, ids, notice=True)
    inbox.finish(connection, ids)
    return ids


def _put(connection: sqlite3.Connection, perceptions: Iterable[int], reason: str) -> None:
    connection.execute(
        "UPDATE inbox SET state = 'poison', reason = ? WHERE id IN (SELECT value FROM json_each(?))",
        (reason, json.dumps(list(perceptions))),
    )
