"""The channels, conversations and messages of the gateway tests."""

from __future__ import annotations

from daemon.ledger import Ledger, StoredChannel
from proto.gateways import Inbound
from proto.messages import Conversation, Outgoing

ADAM = "0a1b2c3d-0000-4000-8000-000000000001"
EVE = "0a1b2c3d-0000-4000-8000-000000000002"
CHANNEL = "00000000000000aa"
OTHER = "00000000000000bb"
CONVERSATION = Conversation("telegram", "alice", CHANNEL, "42")
OTHER_CONVERSATION = Conversation("telegram", "alice", OTHER, "42")
WEB = Conversation("web", "web")


def inbound(
    key: int | str, content: str = "hello", account: str = "42", at: int = 5, command: str | None = None
) -> Inbound:
    """A private message."""
    return Inbound(
        str(key), account, f"@{account}", account, private=True, kind="text", content=content, at=at, command=command
    )


async def add(ledger: Ledger, channel: str = CHANNEL, persona: str = ADAM, bot: str = "900") -> None:
    """Add a Telegram channel."""
    await ledger.add_channel(persona, channel, "telegram", bot, f"bot_{bot}", 1)


async def pair(ledger: Ledger, channel: str = CHANNEL, bot: str = "900") -> None:
    """Add a channel of Adam's and pair it with account 42."""
    await add(ledger, channel, bot=bot)
    await ledger.bind(ADAM, channel, "42", "alice", "42")


async def the_channel(ledger: Ledger, channel: str = CHANNEL, persona: str = ADAM) -> StoredChannel:
    """Return her channel's row."""
    [row] = [row for row in await ledger.channels(persona) if row.channel == channel]
    return row


async def say(
    ledger: Ledger, seq: int, content: str = "hi", where: Conversation = CONVERSATION, at: int = 1_000
) -> None:
    """Put a message from Adam into the outbox."""
    assert await ledger.answer(ADAM, [], where, [Outgoing(content)], [seq], at)


async def waiting(ledger: Ledger, persona: str = ADAM) -> list[str]:
    """Return the waiting messages, oldest first."""
    return [row.perception.content for row in await ledger.waiting(persona)]
