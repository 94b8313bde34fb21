"""Requests for a chat completion: kept until they are answered, and known again when a client sends them again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from daemon.ledger import inbox
from daemon.ledger.inbox import Waiting
from proto.conversation import OPENAI
from proto.messages import Conversation, Line, Outgoing, Perception
from proto.perception import PerceptionKind


class Piece(msgspec.Struct, frozen=True):
    """A text or a file of a message; ``content`` is the text that goes with a file."""

    kind: PerceptionKind
    content: str
    media: str | None = None


class New(msgspec.Struct, frozen=True):
    """A new message of a request; ``key`` identifies it by everything that was said up to it."""

    key: str
    pieces: Sequence[Piece]


class Standing(msgspec.Struct, frozen=True):
    """What became of a request: perceptions that wait now, or the ``answer`` that she has given already.

    ``last`` is the perception whose end is the end of the request. ``is_new``: its messages were not known before.
    """

    last: int
    waiting: list[Waiting] = []
    answer: list[Outgoing] | None = None
    is_new: bool = False


def conversation_of(key: str) -> Conversation:
    """Return the conversation of the request with this key."""
    return Conversation(OPENAI, OPENAI, "", key)


def take(
    connection: sqlite3.Connection,
    persona: str,
    messages: Sequence[New],
    history: Sequence[Line],
    instructions: str,
    at: int,
    fresh: int,
) -> Standing:
    """Keep a request whose last message has the request's key, unless it is known.

    One that waits goes on waiting, one that was set aside is taken up again, and one that was answered since ``fresh``
    gets that answer unless a client has it. Messages that came with an earlier request are not kept twice.
    """
    key = messages[-1].key
    known = _again(connection, persona, key, fresh)
    if known is not None:
        return known
    conversation = conversation_of(key)
    waiting = []
    for message in _unknown(connection, persona, messages):
        for piece in message.pieces:
            id_ = inbox.accept(connection, persona, conversation, piece.kind, piece.content, piece.media, at, None)
            assert id_ is not None
            perception = Perception(id_, piece.kind, piece.content, at, piece.media)
            waiting.append(Waiting(perception, conversation, 0))
    last = waiting[-1].perception.id
    connection.execute(
        "INSERT INTO request (persona, chat, perception, history, instructions, at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (persona, chat) DO UPDATE SET perception = excluded.perception, history = excluded.history,"
        " instructions = excluded.instructions, answer = '[]', state = 'waiting', at = excluded.at",
        (persona, key, last, msgspec.json.encode(list(history)).decode(), instructions, at),
    )
    return Standing(last, waiting, is_new=True)


def _again(connection: sqlite3.Connection, persona: str, key: str, fresh: int) -> Standing | None:
    """What is known of this request; None if it counts as new."""
    row: tuple[int, str, str, int] | None = connection.execute(
        "SELECT perception, state, answer, at FROM request WHERE persona = ? AND chat = ?", (persona, key)
    ).fetchone()
    if row is None:
        return None
    last, state, answer, at = row
    if state == "answered":
        return Standing(last, answer=msgspec.json.decode(answer, type=list[Outgoing])) if at > fresh else None
    if state == "taken":
        return None
    standing = connection.execute("SELECT state FROM inbox WHERE id = ? AND persona = ?", (last, persona)).fetchone()
    if standing == ("pending",):
        return Standing(last)
    return Standing(last, _taken_up(connection, persona, key)) if standing == ("poison",) else None


def _taken_up(connection: sqlite3.Connection, persona: str, key: str) -> list[Waiting]:
    """Let the messages of a request that was set aside wait again."""
    conversation = conversation_of(key)
    rows = connection.execute(
        "UPDATE inbox SET state = 'pending', deaths = 0, reason = ''"
        " WHERE persona = ? AND state = 'poison' AND state <> 'done' AND type = ? AND chat = ?"
        " RETURNING id, kind, content, at, media, title",
        (persona, OPENAI, key),
    ).fetchall()
    return [Waiting(Perception(*row), conversation, 0) for row in sorted(rows)]


def _unknown(connection: sqlite3.Connection, persona: str, messages: Sequence[New]) -> Sequence[New]:
    """Return the messages after the last that came with an earlier request; the last one of all always counts."""
    for number in range(len(messages) - 2, -1, -1):
        found = connection.execute(
            "SELECT 1 FROM request WHERE persona = ? AND chat = ?", (persona, messages[number].key)
        )
        if found.fetchone():
            return messages[number + 1 :]
    return messages


def history(connection: sqlite3.Connection, persona: str, conversation: Conversation) -> list[Line]:
    """Return what was said before the new messages, as the request tells it."""
    row: tuple[str] | None = connection.execute(
        "SELECT history FROM request WHERE persona = ? AND chat = ?", (persona, conversation.chat)
    ).fetchone()
    return msgspec.json.decode(row[0], type=list[Line]) if row else []


def instructions(connection: sqlite3.Connection, persona: str, key: str) -> str:
    """Return the instructions that came with a request."""
    row: tuple[str] | None = connection.execute(
        "SELECT instructions FROM request WHERE persona = ? AND chat = ?", (persona, key)
    ).fetchone()
    return row[0] if row else ""


def answered(
    connection: sqlite3.Connection,
    persona: str,
    key: str,
    perceptions: Sequence[int],
    messages: Sequence[Outgoing],
    at: int,
) -> None:
    """Keep her answer of this moment, or the first part of it, for the client of this request."""
    row: tuple[int, str] | None = connection.execute(
        "SELECT perception, answer FROM request WHERE persona = ? AND chat = ?", (persona, key)
    ).fetchone()
    if row is None:
        return
    said = [*msgspec.json.decode(row[1], type=list[Outgoing]), *messages]
    connection.execute(
        "UPDATE request SET answer = ? WHERE persona = ? AND chat = ?",
        (msgspec.json.encode(said).decode(), persona, key),
    )
    if row[0] in perceptions:
        connection.execute(
            "UPDATE request SET state = 'answered', history = '[]', instructions = '', at = ?"
            " WHERE persona = ? AND chat = ?",
            (at, persona, key),
        )


def taken(connection: sqlite3.Connection, persona: str, key: str) -> None:
    """A client has the answer: the same words are a new question from now on."""
    connection.execute(
        "UPDATE request SET state = 'taken', answer = '[]' WHERE persona = ? AND chat = ? AND state = 'answered'",
        (persona, key),
    )


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Delete requests older than ``before``, except those whose message still waits or is set aside."""
    connection.execute(
        "DELETE FROM request WHERE at < ? AND NOT EXISTS"
        " (SELECT 1 FROM inbox WHERE inbox.id = request.perception AND inbox.persona = request.persona)",
        (before,),
    )


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her requests."""
    connection.execute("DELETE FROM request WHERE persona = ?", (persona,))
