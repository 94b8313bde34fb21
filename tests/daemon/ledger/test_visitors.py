"""Visitors: a conversation per chat, one welcome, limits; webhook requests and idempotency keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from daemon.ledger import OPTED_OUT, ChannelFields, ChannelUnknown, Ledger, SenderLimits
from daemon.ledger.errors import WebhooksFull
from daemon.ledger.webhooks import MOST_OPEN, MOST_UNREAD
from proto.gateways import Unread
from proto.messages import Conversation, Outgoing
from tests.daemon.ledger.gateway_messages import ADAM, CHANNEL, EVE, OTHER, add, inbound
from tests.daemon.ledger.test_erasure import traces
from tests.daemon.ledger.test_open_channels import LIMITS, open_

MINUTE: Final = 60 * 1_000_000_000
DAY: Final = 24 * 60 * MINUTE
JSON: Final = "application/json"
SEQS: Final = list(range(1, 100))


async def test_new_people_are_welcomed_once(ledger: Ledger) -> None:
    """The welcome is in the transaction of the first message and never repeated, whatever the person's name."""
    await open_(ledger)
    visited = await ledger.visit(
        ADAM, CHANNEL, [inbound("1"), inbound("2"), inbound("3", account="43")], [], LIMITS, SEQS, 9
    )
    assert [(said.seq, said.conversation.name, said.content) for said in visited.said] == [
        (1, "@42", "Welcome!"),
        (2, "@43", "Welcome!"),
    ]
    assert [one.conversation.address for one in visited.waiting] == [(CHANNEL, chat) for chat in ("42", "42", "43")]
    renamed = inbound("4")
    renamed.account_name = "@renamed"
    visited = await ledger.visit(ADAM, CHANNEL, [renamed], [], LIMITS, SEQS[50:], 10)
    assert visited.said == []
    assert [one.conversation.name for one in visited.waiting] == ["@42"]
    assert [row.content for row in await ledger.outgoing(ADAM)] == ["Welcome!", "Welcome!"]


async def test_what_names_nobody_is_for_her_where_she_takes_part(ledger: Ledger) -> None:
    """Said in a thread without a mention, it waits only if the thread is a conversation already; else nothing stays."""
    await open_(ledger)
    aside = replace(inbound("1", "among others", "43"), chat="C1:17", unaddressed=True)
    visited = await ledger.visit(ADAM, CHANNEL, [aside], [], LIMITS, SEQS, 9)
    assert (visited.waiting, visited.said) == ([], [])
    assert await ledger.channel_conversations(CHANNEL) == []

    mention = replace(inbound("2", "what do you think?"), chat="C1:17")
    again = replace(aside, key="3", content="and on Friday?")
    visited = await ledger.visit(ADAM, CHANNEL, [mention, again], [], LIMITS, SEQS, 10)
    assert [one.perception.content for one in visited.waiting] == ["what do you think?", "and on Friday?"]
    assert {one.conversation.address for one in visited.waiting} == {(CHANNEL, "C1:17")}


async def test_a_person_with_two_ids_has_one_conversation(ledger: Ledger, path: Path) -> None:
    """Whichever id came first stays, also when it is left out later; with the conversation the other id is erased."""
    await open_(ledger)
    number, user = "42", "US.9"
    batches = (
        (number, user, {"42"}),
        (user, None, {"42"}),
        (number, None, {"42"}),
        (user, number, {"42"}),
        ("US.7", None, {"42", "US.7"}),
        ("77", "US.7", {"42", "US.7"}),
        ("77", None, {"42", "US.7"}),
    )
    for key, (account, alias, chats) in enumerate(batches):
        item = replace(inbound(str(key), f"word {key}", account), alias=alias)
        visited = await ledger.visit(ADAM, CHANNEL, [item], [], LIMITS, SEQS[key * 4 :], 9 + key)
        assert len(visited.waiting) == 1
        assert {one.chat for one in await ledger.channel_conversations(CHANNEL)} == chats
    counted = {one.chat: (one.messages, one.accounts) for one in await ledger.channel_conversations(CHANNEL)}
    assert counted == {"42": (5, ["42"]), "US.7": (4, ["US.7"])}

    await ledger.erase_conversation(CHANNEL, "42")
    assert not traces(path, "US.9")
    await ledger.remove_channel(ADAM, CHANNEL)
    assert not traces(path, "US.7")


async def test_start_is_answered_by_the_welcome(ledger: Ledger) -> None:
    """Only without a welcome does /start wait for an answer; other commands are ordinary messages."""
    await open_(ledger)
    start, stop = inbound("1", "", command="start"), inbound("2", "now", command="stop")
    visited = await ledger.visit(ADAM, CHANNEL, [start, stop], [], LIMITS, SEQS, 9)
    assert [one.perception.content for one in visited.waiting] == ["/stop now"]
    await open_(ledger, ChannelFields(name="Silent"), OTHER)
    visited = await ledger.visit(ADAM, OTHER, [start], [], LIMITS, SEQS[50:], 9)
    assert [one.perception.content for one in visited.waiting] == ["/start"]
    assert visited.said == []


async def test_what_is_over_a_senders_limits_is_not_kept(ledger: Ledger) -> None:
    """Three messages a minute and five a day are kept per sender; a sender over that gets one notice per window."""
    await open_(ledger, ChannelFields(name="Shop"))
    limits = SenderLimits(3, 5)
    kept: list[str | None] = []
    told: list[str] = []

    async def write(key: int, at: int, account: str = "42") -> None:
        one = inbound(key, account=account, at=at)
        one.media = f"file{key}"
        visited = await ledger.visit(ADAM, CHANNEL, [one], [], limits, [2 * key, 2 * key + 1], at)
        kept.extend(item.perception.media for item in visited.waiting)
        told.extend(said.content for said in visited.said)
        assert visited.unwanted == ([] if visited.waiting else [one.media])

    begin = 400 * DAY
    for key in range(1, 6):
        await write(key, begin)
    await write(6, begin, "43")
    assert kept == ["file1", "file2", "file3", "file6"]
    assert len(told) == 1
    assert "a minute" in told[0]
    for key in range(7, 11):
        await write(key, begin + MINUTE)
    assert kept[4:] == ["file7", "file8"]
    assert "until tomorrow" in told[1]
    await write(11, begin + 2 * MINUTE)
    assert len(told) == 2
    await write(12, begin + DAY)
    assert kept[6:] == ["file12"]
    found = await ledger.open_channel(CHANNEL, begin)
    assert found is not None
    assert found.limited == 5
    await ledger.prune_channels(begin + 3 * DAY)
    await write(13, begin + 3 * DAY)
    assert kept[7:] == ["file13"]


async def test_a_person_is_welcomed_once_wherever_they_write(ledger: Ledger) -> None:
    """Each mention on Slack is a conversation of its own, but the person is the same."""
    await open_(ledger)
    items = [replace(inbound(f"{n}", account=who), chat=f"C1:{n}") for n, who in enumerate(["U1", "U1", "U2", "U1"])]
    visited = await ledger.visit(ADAM, CHANNEL, items, [], LIMITS, SEQS, 9)
    assert [said.conversation.chat for said in visited.said] == ["C1:0", "C1:2"]
    await ledger.remove_channel(ADAM, CHANNEL)
    await open_(ledger)
    visited = await ledger.visit(ADAM, CHANNEL, [inbound("9", account="U1")], [], LIMITS, SEQS[20:], 9)
    assert len(visited.said) == 1


async def test_a_paused_channel_says_nothing(ledger: Ledger) -> None:
    """Neither a welcome nor a notice of too many messages; who wrote meanwhile is welcomed afterwards."""
    await open_(ledger)
    await ledger.pause_channel(CHANNEL, paused=True, at=8)
    limits, seqs = SenderLimits(2, 99), iter(range(1, 99))

    async def write(key: str, command: str | None = None, at: int = 9) -> list[str]:
        item = inbound(key, command=command)
        visited = await ledger.visit(ADAM, CHANNEL, [item], [], limits, [next(seqs), next(seqs)], at)
        return [said.content for said in visited.said]

    assert [await write(key) for key in ("1", "2", "3", "4")] == [[], [], [], []]
    await ledger.pause_channel(CHANNEL, paused=False, at=10)
    assert await write("5", at=MINUTE) == ["Welcome!"]
    assert await write("6", at=MINUTE) == []
    assert len(await write("7", at=MINUTE)) == 1


async def test_stop_holds_until_start(ledger: Ledger) -> None:
    """Nothing more is sent to who opted out, whatever else happens to the channel; a START undoes it."""
    await open_(ledger)
    seqs = iter(range(1, 1000))

    async def write(key: str, content: str = "hello", *, out: bool | None = None, at: int) -> list[str]:
        item = replace(inbound(key, content, at=at), opt_out=out)
        visited = await ledger.visit(ADAM, CHANNEL, [item], [], LIMITS, [next(seqs), next(seqs)], at)
        return [one.perception.content for one in visited.waiting]

    async def sends(content: str, to: str = "42") -> str:
        seq = next(seqs)
        where = Conversation("telegram", f"@{to}", CHANNEL, to)
        await ledger.answer(ADAM, [], where, [Outgoing(content)], [seq], 50)
        return await ledger.sending(seq)

    async def error() -> str | None:
        return {one.chat: one for one in await ledger.channel_conversations(CHANNEL)}["42"].error

    assert await write("1", at=10) == ["hello"]
    assert await sends("one") == "open"
    assert await write("2", "STOP", out=True, at=20) == []
    assert (await sends("two"), await sends("two", to="43")) == ("opted out", "open")
    assert await error() == OPTED_OUT
    # What is listed again changes nothing, and another message is no START.
    assert await write("0", "START", out=False, at=15) == []
    assert await write("3", at=21) == ["hello"]
    assert await sends("three") == "opted out"
    await ledger.pause_channel(CHANNEL, paused=True, at=22)
    await ledger.prune_channels(400 * DAY)
    await ledger.remove_channel(ADAM, CHANNEL)
    await open_(ledger)
    assert await write("4", at=30) == ["hello"]
    assert await sends("four") == "opted out"
    assert await write("5", "START", out=False, at=40) == []
    assert (await sends("five"), await error()) == ("open", None)
    assert await write("2", "STOP", out=True, at=20) == []
    assert await sends("six") == "open"
    assert [one.content for one in await ledger.channel_messages(CHANNEL, "42")].count("STOP") == 0


async def test_a_channel_that_is_not_open_takes_no_visitors(ledger: Ledger) -> None:
    """Messages for a paired or a removed channel are not kept as a visitor's."""
    await add(ledger)
    for channel in (CHANNEL, OTHER):
        with pytest.raises(ChannelUnknown):
            await ledger.visit(ADAM, channel, [inbound("1")], [], LIMITS, SEQS, 9)
    assert await ledger.waiting(ADAM) == []


async def test_a_webhook_request_is_kept_until_its_messages_are(ledger: Ledger) -> None:
    """A request is kept once per key, and closed by the transaction that keeps its messages."""
    await open_(ledger)
    first = await ledger.webhook(CHANNEL, "e1", "application/json", b"{1}", 5)
    second = await ledger.webhook(CHANNEL, "e2", "application/json", b"{2}", 6)
    assert await ledger.webhook(CHANNEL, "e1", "application/json", b"{1}", 7) is None
    with pytest.raises(ChannelUnknown):
        await ledger.webhook(OTHER, "e1", "application/json", b"{1}", 7)
    assert first is not None
    assert second is not None
    assert [(one.number, one.body) for one in await ledger.open_webhooks(ADAM)] == [(first, b"{1}"), (second, b"{2}")]
    assert [one.number for one in await ledger.open_webhooks(ADAM, first)] == [second]
    assert await ledger.open_webhooks(EVE) == []
    await ledger.visit(ADAM, CHANNEL, [inbound("1")], [first], LIMITS, SEQS, 9)
    assert [one.number for one in await ledger.open_webhooks(ADAM)] == [second]
    assert await ledger.webhook(CHANNEL, "e1", "application/json", b"{1}", 9) is None
    assert [await ledger.webhooks_died([first, second], 2, "1") for _ in range(2)] == [[], [second]]
    assert await ledger.open_webhooks(ADAM, version="1") == []
    await ledger.prune_channels(9 * DAY)
    assert await ledger.webhook(CHANNEL, "e1", "application/json", b"{1}", 9 * DAY) is not None


async def shown(ledger: Ledger) -> tuple[int, str | None, int | None]:
    """Return what the channel shows of what could not be read."""
    channel = await ledger.open_channel(CHANNEL, 9)
    assert channel
    return channel.unread, channel.shown_error, channel.shown_error_at


async def test_what_cannot_be_read_is_kept_for_another_version(ledger: Ledger) -> None:
    """It stays open, is shown on the channel, and only another version gets it again; a part replaces the whole."""
    await open_(ledger)
    first = await ledger.webhook(CHANNEL, "e1", "application/json", b"{1}", 5) or 0
    found = [Unread("no text", first, body=b"{part}"), Unread("no id", key="e2", body=b"{2}")]
    for _ in range(2):
        await ledger.keep_unread(ADAM, CHANNEL, found, 7, "1")
    assert await ledger.open_webhooks(ADAM, version="1") == []
    again = await ledger.open_webhooks(ADAM, version="2")
    assert [(one.body, one.content_type) for one in again] == [(b"{part}", JSON), (b"{2}", JSON)]
    assert await shown(ledger) == (
        2,
        "2 messages of the provider could not be read (no id). Update personad: they will be read then.",
        7,
    )
    assert await ledger.webhook(CHANNEL, "e2", JSON, b"{2}", 9) is None
    await ledger.visit(ADAM, CHANNEL, [inbound("1")], [again[0].number], LIMITS, SEQS, 9)
    assert (await shown(ledger))[0] == 1
    await ledger.close_webhooks(ADAM, [again[1].number])
    assert await shown(ledger) == (0, None, None)


async def test_what_cannot_be_read_is_erased_with_what_was_said(ledger: Ledger) -> None:
    """The time for which visitors' words are kept holds for it, too; what just waits is not touched."""
    await open_(ledger)
    await ledger.keep_unread(ADAM, CHANNEL, [Unread("odd", key="old", body=b"{}")], 7, "1")
    await ledger.keep_unread(ADAM, CHANNEL, [Unread("odd", key="new", body=b"{2}")], 9, "1")
    await ledger.webhook(CHANNEL, "waits", JSON, b"{3}", 7)
    await ledger.erase_old_lines(ADAM, 8)
    assert [one.body for one in await ledger.open_webhooks(ADAM, version="2")] == [b"{2}", b"{3}"]


async def test_an_erased_person_is_new(ledger: Ledger) -> None:
    """An erased sender is welcomed again, except one who also wrote in another conversation; a STOP is kept."""
    await open_(ledger)
    seqs = iter(range(1, 99))

    async def write(key: str, account: str, chat: str, *, out: bool | None = None) -> int:
        item = replace(inbound(key, account=account, at=9), chat=chat, opt_out=out)
        visited = await ledger.visit(ADAM, CHANNEL, [item], [], LIMITS, [next(seqs), next(seqs)], 9)
        return len(visited.said)

    assert [await write("1", "U1", "C1:1"), await write("2", "U1", "C1:2"), await write("3", "42", "42")] == [1, 0, 1]
    await write("4", "42", "42", out=True)
    await ledger.erase_conversation(CHANNEL, "C1:1")
    assert await write("5", "U1", "C1:3") == 0
    for _, chat in await ledger.conversations_of("42"):
        await ledger.erase_conversation(CHANNEL, chat)
    await ledger.forget_sender("42")
    assert await write("6", "42", "42") == 1
    assert await ledger.sending(next(seqs) - 2) == "opted out"


async def test_a_request_that_kills_is_kept(ledger: Ledger) -> None:
    """It is shown on the channel, and after an upgrade one more death is enough to keep it again."""
    await open_(ledger)
    first = await ledger.webhook(CHANNEL, "e1", JSON, b"{1}", 5) or 0
    assert [await ledger.webhooks_died([first], 2, "1") for _ in range(2)] == [[], [first]]
    assert (await shown(ledger))[0] == 1
    assert [one.deaths for one in await ledger.open_webhooks(ADAM, version="2")] == [2]
    assert await ledger.webhooks_died([first], 2, "2") == [first]
    assert await ledger.open_webhooks(ADAM, version="2") == []


async def test_what_cannot_be_read_has_a_limit(ledger: Ledger) -> None:
    """Beyond it the oldest is given up. What waits unread takes no room from what waits to be read."""
    await open_(ledger)
    for number in range(MOST_UNREAD + 5):
        await ledger.keep_unread(ADAM, CHANNEL, [Unread("odd", key=f"u{number}", body=b"{}")], 7, "1")
    kept = await ledger.open_webhooks(ADAM, limit=1000, version="2")
    assert (len(kept), kept[0].number) == (MOST_UNREAD, 6)
    await asyncio.gather(*(ledger.webhook(CHANNEL, f"k{n}", JSON, b"{}", 5) for n in range(MOST_OPEN)))
    await ledger.prune_channels(8 * DAY)
    assert len(await ledger.open_webhooks(ADAM, limit=5000, version="2")) == MOST_UNREAD + MOST_OPEN
    await ledger.prune_channels(91 * DAY)
    assert (await shown(ledger))[0] == 0


async def test_webhook_requests_wait_for_a_persona_who_is_stopped(ledger: Ledger) -> None:
    """An open request is never deleted, and the number of waiting ones is limited."""
    await open_(ledger)
    first = await ledger.webhook(CHANNEL, "0", "application/json", b"{}", 5)
    await ledger.prune_channels(30 * DAY)
    assert [one.number for one in await ledger.open_webhooks(ADAM)] == [first]
    keys = map(str, range(1, MOST_OPEN))
    await asyncio.gather(*(ledger.webhook(CHANNEL, key, "application/json", b"{}", 5) for key in keys))
    with pytest.raises(WebhooksFull):
        await ledger.webhook(CHANNEL, "one more", "application/json", b"{}", 5)
    assert await ledger.webhook(CHANNEL, "0", "application/json", b"{}", 6) is None
    await ledger.visit(ADAM, CHANNEL, [], [first or 0], LIMITS, SEQS, 9)
    assert await ledger.webhook(CHANNEL, "one more", "application/json", b"{}", 5) is not None


async def test_a_repeated_request_gets_the_first_ones_answer(ledger: Ledger) -> None:
    """A key is new, then begun, then done for a day; with another request it is refused."""
    assert (await ledger.idempotency_begin("k", "create a", 1)).state == "new"
    assert (await ledger.idempotency_begin("k", "create a", 2)).state == "begun"
    assert (await ledger.idempotency_begin("k", "create b", 2)).state == "other"
    await ledger.idempotency_done("k", 201, b"{}")
    done = await ledger.idempotency_begin("k", "create a", 3)
    assert (done.state, done.at, done.status, done.body) == ("done", 1, 201, b"{}")
    assert (await ledger.idempotency_begin("k", "create b", DAY + 2)).state == "new"
    await ledger.idempotency_drop("k")
    assert (await ledger.idempotency_begin("k", "create c", DAY + 3)).state == "new"
    await ledger.prune_channels(3 * DAY)
    assert (await ledger.idempotency_begin("k", "create d", DAY + 4)).state == "new"
