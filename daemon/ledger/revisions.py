"""Edits of messages: what one changed, and what is kept of it.

Providers report an edit for many reasons that a person does not see. Telegram says so of ``edited_message``: the update
"may at times be triggered by changes to message fields that are either unavailable or not actively used by your bot"
(https://core.telegram.org/bots/api#update). So an edit is compared with what was kept of the message before.
"""

from __future__ import annotations

import sqlite3

import msgspec

from daemon.ledger import conversation as lines
from proto.gateways import Inbound
from proto.messages import Conversation


def news(connection: sqlite3.Connection, channel: str, chat: str, item: Inbound) -> Inbound | None:
    """Return what is new in this message: nothing, the corrected words without the unchanged file, or all of it."""
    revision = item.revision
    if revision is None or revision.edit is None:
        return item
    before: tuple[str, str] | None = connection.execute(
        "SELECT words, file FROM revision WHERE channel = ? AND chat = ? AND message = ?",
        (channel, chat, revision.message),
    ).fetchone()
    if before is None:
        return item
    if before == (revision.words, revision.file):
        return None
    if before[1] == revision.file and item.media:
        return msgspec.structs.replace(item, kind="text", media=None, title="")
    return item


def kept(
    connection: sqlite3.Connection,
    persona: str,
    channel: str,
    chat: str,
    item: Inbound,
    at: int,
    *,
    perception: int | None = None,
    line: int | None = None,
) -> None:
    """Record what this message says now, and the inbox row or the line that says it."""
    revision = item.revision
    if revision is None:
        return
    connection.execute(
        "INSERT INTO revision (channel, chat, message, persona, words, file, perception, line, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (channel, chat, message) DO UPDATE SET words = excluded.words,"
        " file = excluded.file, perception = excluded.perception, line = excluded.line, at = excluded.at",
        (channel, chat, revision.message, persona, revision.words, revision.file, perception, line, at),
    )


def step(connection: sqlite3.Connection, persona: str, conversation: Conversation, item: Inbound, at: int) -> None:
    """Put this step of a message in place of the one before, as a line that nobody answers.

    A message that still waits is changed itself. Otherwise the last step's line moves to the end with its new words.
    """
    revision = item.revision
    assert revision is not None
    place = (conversation.channel, conversation.chat, revision.message)
    before: tuple[int | None, int | None] = connection.execute(
        "SELECT perception, line FROM revision WHERE channel = ? AND chat = ? AND message = ?", place
    ).fetchone() or (None, None)
    perception, line = before
    changed = connection.execute(
        "UPDATE inbox SET content = ? WHERE id = ? AND persona = ? AND state <> 'done'",
        (item.content, perception, persona),
    )
    if not changed.rowcount:
        lines.replaced(connection, persona, line)
        perception, line = None, lines.noted(connection, persona, conversation, item.content, item.at or at)
    kept(connection, persona, conversation.channel, conversation.chat, item, at, perception=perception, line=line)


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Forget what messages said that nobody has sent or edited since ``before``."""
    connection.execute("DELETE FROM revision WHERE at < ?", (before,))


def remove(connection: sqlite3.Connection, channel: str) -> None:
    """Forget a channel's messages."""
    connection.execute("DELETE FROM revision WHERE channel = ?", (channel,))


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Forget all messages to her."""
    connection.execute("DELETE FROM revision WHERE persona = ?", (persona,))
