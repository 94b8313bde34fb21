"""The transactions in which inbox, conversation and outbox change together."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from daemon.ledger import (
    calls,
    channels,
    delivery,
    erasure,
    feeds,
    inbox,
    memory_history,
    open_channels,
    outbox,
    pairing,
    reminder_requests,
    reminders,
    requests,
    revisions,
)
from daemon.ledger import conversation as lines
from proto.conversation import OPENAI
from proto.messages import Conversation, Outgoing


def answer(
    connection: sqlite3.Connection,
    persona: str,
    perceptions: list[int],
    conversation: Conversation,
    messages: list[Outgoing],
    seqs: list[int],
    at: int,
    perceived: Mapping[int, str],
    hushed: bool = False,
) -> bool:
    """Close the perceptions and keep her answer. Change nothing and return False unless all are pending and her own.

    ``hushed``: the messages are as far as she came.
    """
    if not inbox.all_pending(connection, persona, perceptions):
        return False
    lines.heard(connection, perceptions, perceived)
    inbox.finish(connection, perceptions)
    lines.said(connection, persona, conversation, messages, at, hushed=hushed)
    outbox.add(connection, persona, conversation, messages, seqs, at, hushed=hushed)
    if conversation.type == OPENAI:
        requests.answered(connection, persona, conversation.chat, perceptions, messages, at)
    end_outage(connection, persona, conversation)
    return True


def end_outage(connection: sqlite3.Connection, persona: str, conversation: Conversation) -> None:
    """Her mind works again for this conversation: the next outage is told again."""
    connection.execute(
        "DELETE FROM outage WHERE persona = ? AND type = ? AND name = ? AND channel = ? AND chat = ?",
        (persona, conversation.type, conversation.name, conversation.channel, conversation.chat),
    )


def tell(
    connection: sqlite3.Connection, persona: str, conversation: Conversation, content: str, seq: int, at: int
) -> bool:
    """Keep a notice, at most one until the conversation's next answer. Return False when there is one already."""
    marked = connection.execute(
        "INSERT INTO outage (persona, type, name, channel, chat, since) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (persona, conversation.type, conversation.name, conversation.channel, conversation.chat, at),
    )
    if not marked.rowcount:
        return False
    say(connection, persona, conversation, content, seq, at)
    return True


def say(
    connection: sqlite3.Connection, persona: str, conversation: Conversation, content: str, seq: int, at: int
) -> None:
    """Keep a message in her name that her mind never sees."""
    notice = [Outgoing(content)]
    lines.said(connection, persona, conversation, notice, at, notice=True)
    outbox.add(connection, persona, conversation, notice, [seq], at)


def remove_channel(connection: sqlite3.Connection, persona: str, channel: str) -> None:
    """Delete the channel, its codes and held messages, and close its open messages: they can no longer be answered.

    What visitors said on an open channel is erased.
    """
    erasure.whole_channel(connection, persona, channel)
    rows = connection.execute(
        "SELECT id FROM inbox WHERE persona = ? AND state <> 'done' AND channel = ?", (persona, channel)
    )
    perceptions = [id_ for (id_,) in rows]
    lines.heard(connection, perceptions)
    inbox.finish(connection, perceptions)
    connection.execute("DELETE FROM outage WHERE persona = ? AND channel = ?", (persona, channel))
    delivery.remove(connection, persona, channel, "the channel was removed")
    pairing.remove(connection, persona, channel)
    if channels.remove(connection, persona, channel):
        open_channels.remove(connection, channel)


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Delete rows older than ``before`` that only serve repeated keys, replays and pairing."""
    inbox.prune(connection, before)
    outbox.prune(connection, before)
    pairing.prune(connection, before)
    revisions.prune(connection, before)
    reminders.prune(connection)
    requests.prune(connection, before)


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete everything that belongs to the persona."""
    inbox.forget(connection, persona)
    lines.forget(connection, persona)
    outbox.forget(connection, persona)
    channels.forget(connection, persona)
    open_channels.forget(connection, persona)
    pairing.forget(connection, persona)
    feeds.forget(connection, persona)
    memory_history.forget(connection, persona)
    revisions.forget(connection, persona)
    requests.forget(connection, persona)
    erasure.forget(connection, persona)
    reminders.forget(connection, persona)
    reminder_requests.forget(connection, persona)
    calls.forget(connection, persona)
    connection.execute("DELETE FROM outage WHERE persona = ?", (persona,))
