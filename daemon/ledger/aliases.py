"""People whom a provider knows by two ids, one of which it may leave out.

WhatsApp names a person by their number and by an id of their own, and hides the number of people with a user name
(https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids). A person is known
by the id with which their conversation began.
"""

from __future__ import annotations

import sqlite3

import msgspec

from proto.gateways import Inbound


def resolved(connection: sqlite3.Connection, persona: str, channel: str, item: Inbound) -> Inbound:
    """Return the message as one of the person's known id, and remember a new other id of theirs."""
    known: tuple[str] | None = connection.execute(
        "SELECT account FROM alias WHERE channel = ? AND other = ?", (channel, item.account)
    ).fetchone()
    account = known[0] if known else item.account
    if item.alias and item.alias != item.account and not known:
        if _has_conversation(connection, channel, item.alias) and not _has_conversation(connection, channel, account):
            account = item.alias
        other = item.account if account == item.alias else item.alias
        connection.execute(
            "INSERT INTO alias (channel, other, account, persona) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (channel, other) DO UPDATE SET account = excluded.account WHERE account <> excluded.account",
            (channel, other, account, persona),
        )
    if account == item.account:
        return item
    chat = account if item.chat == item.account else item.chat
    return msgspec.structs.replace(item, account=account, chat=chat)


def _has_conversation(connection: sqlite3.Connection, channel: str, chat: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM channel_conversation WHERE channel = ? AND chat = ?", (channel, chat)
    ).fetchone()
    return found is not None
