"""Open channels: their operator's fields, their status, their conversations and messages.

The paired channels of the persona API are in the same table and are shown with the same figures.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any, Final, Literal, TypeAlias

import msgspec

from daemon.ledger.channels import add
from daemon.ledger.errors import ChannelUnknown
from proto.gateways import ErrorClass, GatewayType

SECOND: Final = 1_000_000_000
TROUBLE_AFTER: Final = 300
"""Seconds after which a transient error is shown as the status ``error``."""

_WAITING: Final = 2**60
_PLACE: Final = f"iif(role = 'assistant', id + {2**61}, id)"
"""The order of messages of the same time: what people said, what of it still waits, what was said to them."""

ChannelStatus: TypeAlias = Literal["active", "paused", "error"]

_STATUS: Final = (
    "CASE WHEN paused THEN 'paused' WHEN error_class IS NULL THEN 'active'"
    " WHEN error_class = 'credential' OR error_class = 'config' OR error_since <= ?1 THEN 'error' ELSE 'active' END"
)
_UNREAD: Final = "FROM webhook WHERE webhook.channel = channel.channel AND unread IS NOT NULL AND done = 0"
_COLUMNS: Final = (
    "channel, persona, type, open, coalesce(name, account_name, bot_name), phone, provider_account, model, datasets,"
    f" welcome, fallback, instructions, iif(bot_id = channel, '', bot_id), bot_name, {_STATUS}, error_class,"
    " last_error, last_error_at, created_at, updated_at, conversations, messages, last_message_at, limited,"
    f" (SELECT count(*) {_UNREAD}), (SELECT unread {_UNREAD} ORDER BY number DESC LIMIT 1), (SELECT max(at) {_UNREAD})"
)
"""The columns of ``OpenChannel`` and ``ChannelFields``. An error that began before ``?1`` has lasted too long."""


class ChannelFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that an open channel's operator sets.

    ``account`` names an entry of ``[accounts]``, ``model`` one of ``[models]``. ``instructions`` stand in the prompt.
    """

    name: str
    phone: str | None = None
    account: str = ""
    model: str | None = None
    datasets: tuple[str, ...] = ()
    welcome: str | None = None
    fallback: str | None = None
    instructions: str | None = None


class OpenChannel(msgspec.Struct, frozen=True):
    """A channel as /v1 shows it; ``open`` is False for a persona API channel, which is paired with her owner.

    ``error`` is the latest error, until the channel recovers. ``limited`` counts messages over the senders' limits,
    ``unread`` what came in and this version cannot read, the last time for ``unread_why``.
    Times are in epoch nanoseconds.
    """

    channel: str
    persona: str
    type: GatewayType
    open: bool
    fields: ChannelFields
    bot_id: str
    bot_name: str
    status: ChannelStatus
    error_class: ErrorClass | None
    error: str | None
    error_at: int | None
    created_at: int
    updated_at: int
    conversation_count: int
    message_count: int
    last_message_at: int | None
    limited: int
    unread: int = 0
    unread_why: str | None = None
    unread_at: int | None = None

    @property
    def shown_error(self) -> str | None:
        """The latest error, else what came in and could not be read."""
        if self.error is not None or not self.unread:
            return self.error
        them, they = ("One message", "it") if self.unread == 1 else (f"{self.unread} messages", "they")
        return (
            f"{them} of the provider could not be read ({self.unread_why}). Update personad: {they} will be read then."
        )

    @property
    def shown_error_at(self) -> int | None:
        """When that happened."""
        return self.unread_at if self.error is None else self.error_at


class ChannelConversation(msgspec.Struct, frozen=True):
    """One conversation of a channel.

    ``name`` is the person's name in the first message. ``error`` is the reason why messages do not reach the person.
    ``accounts`` are the accounts that wrote in it.
    """

    chat: str
    name: str
    messages: int
    first_at: int
    last_at: int
    error: str | None
    error_at: int | None
    accounts: list[str]


class ChannelMessage(msgspec.Struct, frozen=True):
    """A line of a channel's conversation; ``id`` is 0 for an unanswered message, which is not a line yet.

    ``place`` orders messages of the same time.
    """

    id: int
    role: Literal["person", "assistant"]
    content: str
    media: str | None
    at: int
    place: int


def add_open(
    connection: sqlite3.Connection,
    persona: str,
    channel: str,
    type_: str,
    bot_id: str,
    bot_name: str,
    fields: ChannelFields,
    at: int,
    claim: str = "",
) -> None:
    """Add her channel. Raise ChannelTaken when the channel, the token or the bot belongs to another one."""
    add(connection, persona, channel, type_, bot_id, bot_name, at, claim)
    connection.execute("UPDATE channel SET open = 1 WHERE persona = ? AND channel = ?", (persona, channel))
    update(connection, channel, fields, at)


def update(connection: sqlite3.Connection, channel: str, fields: ChannelFields, at: int) -> None:
    """Replace the fields that the operator sets. Raise ChannelUnknown when the channel is gone.

    After a rename the row keeps the old name, which config.json still has, until ``mirror.mirrored`` clears it.
    """
    changed = connection.execute(
        "UPDATE channel SET mirror_name = iif(name IS ?1, mirror_name, coalesce(mirror_name, name)), name = ?1,"
        " phone = ?2, provider_account = ?3, model = ?4, datasets = ?5, welcome = ?6, fallback = ?7, instructions = ?8,"
        " updated_at = ?9 WHERE channel = ?10",
        (
            fields.name,
            fields.phone,
            fields.account,
            fields.model,
            json.dumps(fields.datasets),
            fields.welcome,
            fields.fallback,
            fields.instructions,
            at,
            channel,
        ),
    )
    _require(changed, channel)


def pause(connection: sqlite3.Connection, channel: str, paused: bool, at: int) -> None:
    """Pause or resume the channel. Raise ChannelUnknown when the channel is gone."""
    changed = connection.execute(
        "UPDATE channel SET updated_at = iif(paused = ?1, updated_at, ?2), paused = ?1 WHERE channel = ?3",
        (paused, at, channel),
    )
    _require(changed, channel)


def recovered(connection: sqlite3.Connection, persona: str, channel: str) -> None:
    """Clear the channel's error: its provider answers again."""
    connection.execute(
        "UPDATE channel SET error_class = NULL, error_since = NULL, last_error = NULL, last_error_at = NULL"
        " WHERE persona = ? AND channel = ? AND last_error IS NOT NULL",
        (persona, channel),
    )


def found(connection: sqlite3.Connection, channel: str, now: int) -> OpenChannel | None:
    """Return the channel with this id, or None."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM channel WHERE channel = ?2",  # noqa: S608 - a constant
        (now - TROUBLE_AFTER * SECOND, channel),
    ).fetchone()
    return _shown(row) if row else None


def listed(
    connection: sqlite3.Connection,
    now: int,
    status: str | None,
    type_: str | None,
    after: tuple[int, str],
    limit: int,
) -> list[OpenChannel]:
    """Return all personas' open and Telegram channels after ``after`` (``created_at`` and id), oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM channel WHERE (created_at, channel) > (?2, ?3) AND (?4 IS NULL OR type = ?4)"  # noqa: S608 - a constant
        f" AND (?5 IS NULL OR {_STATUS} = ?5) AND (open = 1 OR type = 'telegram')"
        " ORDER BY created_at, channel LIMIT ?6",
        (now - TROUBLE_AFTER * SECOND, *after, type_, status, limit),
    )
    return [_shown(row) for row in rows]


def of_persona(connection: sqlite3.Connection, persona: str, now: int) -> list[OpenChannel]:
    """Return all her channels, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM channel WHERE persona = ?2 ORDER BY created_at, channel",  # noqa: S608 - a constant
        (now - TROUBLE_AFTER * SECOND, persona),
    )
    return [_shown(row) for row in rows]


def conversations(
    connection: sqlite3.Connection, channel: str, before: tuple[int, str] | None, limit: int
) -> list[ChannelConversation]:
    """Return the channel's conversations, latest first; ``before`` is (``last_at``, chat) of the caller's last one."""
    last_at, chat = before or (2**63 - 1, "")
    rows = connection.execute(
        "SELECT chat, name, messages, first_at, last_at, error, error_at,"
        " (SELECT json_group_array(account) FROM participant"
        "  WHERE participant.channel = ?1 AND participant.chat = channel_conversation.chat)"
        " FROM channel_conversation"
        " WHERE channel = ?1 AND (last_at < ?2 OR (last_at = ?2 AND chat > ?3))"
        " ORDER BY last_at DESC, chat LIMIT ?4",
        (channel, last_at, chat, limit),
    )
    return [ChannelConversation(*(*row[:-1], json.loads(row[-1]))) for row in rows]


def messages(
    connection: sqlite3.Connection, channel: str, chat: str, before: tuple[int, int] | None, limit: int
) -> list[ChannelMessage]:
    """Return a conversation's messages before ``before`` (``at`` and ``place`` of the caller's last one), newest first.

    Unanswered messages stand among the lines by their time. Lines from before the channel was open are left out.
    """
    at, place = before or (2**63 - 1, 0)
    lines = connection.execute(
        f"SELECT id, role, content, media, at, {_PLACE} FROM conversation"  # noqa: S608 - a constant
        f" WHERE channel = ?1 AND channel <> '' AND chat = ?2 AND at <= ?3 AND (at, {_PLACE}) < (?3, ?4)"
        " AND open = 1 AND persona = (SELECT persona FROM channel WHERE channel = ?1)"
        f" ORDER BY at DESC, {_PLACE} DESC LIMIT ?5",
        (channel, chat, at, place, limit),
    )
    waiting = connection.execute(
        f"SELECT 0, 'person', content, media, at, id + {_WAITING} FROM inbox"  # noqa: S608 - a constant
        f" WHERE state <> 'done' AND channel = ?1 AND chat = ?2 AND (at, id + {_WAITING}) < (?3, ?4)"
        " AND persona = (SELECT persona FROM channel WHERE channel = ?1 AND open = 1)"
        " ORDER BY at DESC, id DESC LIMIT ?5",
        (channel, chat, at, place, limit),
    )
    found = [ChannelMessage(*row) for row in (*lines, *waiting)]
    return sorted(found, key=lambda one: (one.at, one.place), reverse=True)[:limit]


def mark_conversation(connection: sqlite3.Connection, channel: str, chat: str, error: str | None, at: int) -> None:
    """Store the reason why messages do not reach this person; None once a message has."""
    connection.execute(
        "UPDATE channel_conversation SET error = ?1, error_at = iif(?1 IS NULL, NULL, ?2)"
        " WHERE channel = ?3 AND chat = ?4 AND error IS NOT ?1",
        (error, at, channel, chat),
    )


def remove(connection: sqlite3.Connection, channel: str) -> None:
    """Delete the channel's conversations, visitors, senders, their ids and webhook requests; the lines stay."""
    for table in ("channel_conversation", "visitor", "sender", "webhook", "alias"):
        connection.execute(f"DELETE FROM {table} WHERE channel = ?", (channel,))  # noqa: S608 - a constant


def forget(connection: sqlite3.Connection, persona: str) -> None:
    """Delete all her conversations, visitors, senders and webhook requests on channels."""
    for table in ("channel_conversation", "visitor", "sender", "webhook", "alias"):
        connection.execute(f"DELETE FROM {table} WHERE persona = ?", (persona,))  # noqa: S608 - a constant


def _require(changed: sqlite3.Cursor, channel: str) -> None:
    if not changed.rowcount:
        raise ChannelUnknown(channel)


def _shown(row: tuple[Any, ...]) -> OpenChannel:
    # Any: the schema determines the columns' types.
    channel, persona, type_, open_, name, phone, account, model, datasets, *rest = row
    welcome, fallback, instructions, *figures = rest
    fields = ChannelFields(
        name=name,
        phone=phone,
        account=account,
        model=model,
        datasets=tuple(json.loads(datasets)),
        welcome=welcome,
        fallback=fallback,
        instructions=instructions,
    )
    return OpenChannel(channel, persona, type_, bool(open_), fields, *figures)
