"""The conversations in which a persona reaches her owner."""

from __future__ import annotations

from daemon.conversations.publisher import WEB
from daemon.ledger import Ledger
from daemon.personas.channel_records import channel_named, conversation_of
from proto.messages import Conversation
from proto.records import Persona


class NoSuchChannel(ValueError):
    """She has no such channel to her owner, or several; the text says what to send."""


async def known(ledger: Ledger, persona: Persona) -> list[Conversation]:
    """Return one conversation for each way to her owner: the web, and each paired channel. Raises LedgerError."""
    found = [Conversation(WEB, persona.id)]
    for row in await ledger.channels(persona.id):
        record = channel_named(persona, row.channel)
        if record and record.verified_at and row.account is not None and row.chat is not None:
            found.append(conversation_of(record, row.channel, row.chat))
    return found


def named(conversations: list[Conversation], channel: str) -> Conversation:
    """Return the conversation on the channel of this type, name or id. Raises NoSuchChannel."""
    found = [one for one in conversations if channel in (one.type, one.name, one.channel)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(one.type if one.type == WEB else f"{one.type} ({one.name})" for one in conversations)
    if found:
        raise NoSuchChannel(f"channel means several of her channels: send the name of one of {listed}.")
    raise NoSuchChannel(f"channel is none on which she reaches you: send one of {listed}, or leave it out.")
