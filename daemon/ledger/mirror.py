"""A persona's channels and their list in her config.json: bots' identities, and edits made there by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import msgspec

from daemon.ledger.errors import ChannelTaken

_NAME: Final = "coalesce(name, account_name, bot_name)"


class Mirrored(msgspec.Struct, frozen=True):
    """A channel in config.json; ``addable`` when its entry there is enough to create it.

    ``claim`` identifies its token, "" if it is the channel's id.
    """

    channel: str
    type: str
    name: str
    verified: bool
    addable: bool
    claim: str = ""


class ReadBack(msgspec.Struct, frozen=True):
    """The result of reading the list.

    ``changed`` are the channels updated from it. ``gone`` are those that it no longer has; they are kept. ``taken``
    maps its channels that belong to another persona to that persona. ``behind`` maps channels to the names that the
    list does not have yet.
    """

    changed: list[str]
    gone: list[str]
    taken: dict[str, str]
    behind: dict[str, str]


class Holder(msgspec.Struct, frozen=True):
    """The persona and the channel that have a bot."""

    persona: str
    channel: str


def read_back(connection: sqlite3.Connection, persona: str, listed: Iterable[Mirrored], at: int) -> ReadBack:
    """Update her channels from the list: add them, rename them, and unpair those that are not verified there."""
    rows = {
        channel: (shown, behind, paired)
        for channel, shown, behind, paired in connection.execute(
            f"SELECT channel, {_NAME}, mirror_name, account IS NOT NULL AND open = 0 FROM channel WHERE persona = ?",  # noqa: S608 - a constant
            (persona,),
        )
    }
    wanted = {one.channel: one for one in listed}
    found = ReadBack([], [channel for channel in rows if channel not in wanted], {}, {})
    for channel, one in wanted.items():
        claim = one.claim or channel
        if other := holder(connection, claim, but=channel):
            # Its token is another channel's, whatever its own id says.
            found.taken[channel] = other.persona
        elif channel in rows:
            connection.execute("UPDATE channel SET claim = ?1 WHERE channel = ?2 AND claim <> ?1", (claim, channel))
            _follow(connection, one, *rows[channel], at, found)
        elif other := holder(connection, channel):
            found.taken[channel] = other.persona
        elif one.addable:
            # Until the provider has identified the bot, the channel's own id stands in for the bot's id.
            connection.execute(
                "INSERT INTO channel (persona, channel, type, bot_id, bot_name, name, created_at, updated_at, claim)"
                " VALUES (?1, ?2, ?3, ?2, '', ?4, ?5, ?5, ?6)",
                (persona, channel, one.type, one.name, at, claim),
            )
            found.changed.append(channel)
    return found


def _follow(
    connection: sqlite3.Connection,
    one: Mirrored,
    shown: str,
    behind: str | None,
    paired: int,
    at: int,
    found: ReadBack,
) -> None:
    if behind is not None and one.name == behind:
        found.behind[one.channel] = shown
        return
    unpaired = paired and not one.verified
    if unpaired:
        # Keep the chat and its last key: if the same account pairs again, it continues from there.
        connection.execute("UPDATE channel SET account = NULL, account_name = NULL WHERE channel = ?", (one.channel,))
    if unpaired or behind is not None or one.name != shown:
        connection.execute(
            f"UPDATE channel SET mirror_name = NULL, name = iif({_NAME} = ?1, name, ?1), updated_at = ?2"  # noqa: S608 - a constant
            " WHERE channel = ?3",
            (one.name, at, one.channel),
        )
        found.changed.append(one.channel)


def mirrored(connection: sqlite3.Connection, channel: str) -> None:
    """Record that config.json now has the channel's name."""
    connection.execute("UPDATE channel SET mirror_name = NULL WHERE channel = ?", (channel,))


def identified(connection: sqlite3.Connection, persona: str, channel: str, bot_id: str, bot_name: str) -> None:
    """Store the bot's identity. Raise ChannelTaken when another channel has this bot."""
    taken: tuple[str] | None = connection.execute(
        "SELECT other.persona FROM channel AS other JOIN channel AS mine ON other.type = mine.type"
        " WHERE mine.channel = ?1 AND other.channel <> ?1 AND other.bot_id = ?2",
        (channel, bot_id),
    ).fetchone()
    if taken:
        raise ChannelTaken(taken[0])
    connection.execute(
        "UPDATE channel SET bot_id = ?, bot_name = ? WHERE persona = ? AND channel = ?",
        (bot_id, bot_name, persona, channel),
    )


def holder(
    connection: sqlite3.Connection, channel: str, type_: str = "", bot_id: str = "", but: str = ""
) -> Holder | None:
    """Return the persona who has this channel or its token, or another channel with this bot; not the channel ``but``.

    ``channel`` is a channel's id, or the claim on a token.
    """
    row = connection.execute(
        "SELECT persona, channel FROM channel WHERE (channel = ?1 OR claim = ?1 OR (type = ?2 AND bot_id = ?3))"
        " AND channel <> ?4 ORDER BY channel <> ?1",
        (channel, type_, bot_id, but),
    ).fetchone()
    return Holder(*row) if row else None


def owners(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of all personas who have a channel."""
    return [persona for (persona,) in connection.execute("SELECT DISTINCT persona FROM channel")]
