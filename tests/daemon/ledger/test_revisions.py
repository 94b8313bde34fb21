"""Edits of messages: what changed nothing is not news, and a step replaces the step before it."""

from __future__ import annotations

from typing import Literal

from daemon.ledger import Ledger
from proto.gateways import Inbound, Revision
from proto.messages import Conversation, Line, Outgoing
from tests.daemon.ledger.gateway_messages import ADAM, CHANNEL, CONVERSATION, EVE, add, inbound, pair, waiting
from tests.daemon.ledger.test_open_channels import LIMITS, VISITOR, open_

Edit = Literal["correction", "step"]


def message(
    key: int, content: str, edit: Edit | None = None, *, file: str = "", number: str = "7", words: str = ""
) -> Inbound:
    """A message, or an edit of it. ``file`` is the digest of its file, which was fetched under the key's name."""
    item = inbound(key, content)
    item.revision = Revision(number, words or content, file, edit)
    if file:
        item.kind, item.media = "image", f"{key}.jpg"
    return item


async def take(ledger: Ledger, *items: Inbound, place: Conversation = CONVERSATION) -> tuple[list[str], list[str]]:
    """Let the owner's messages in; returns what now waits and the files that are not needed."""
    committed = await ledger.take(ADAM, CHANNEL, place, list(items), 9)
    return [one.perception.content for one in committed.waiting], committed.unwanted


async def answer(ledger: Ledger, place: Conversation = CONVERSATION) -> None:
    """Answer everything that waits."""
    ids = [one.perception.id for one in await ledger.waiting(ADAM)]
    assert await ledger.answer(ADAM, ids, place, [Outgoing("yes")], [100 + max(ids)], 9)


async def said(ledger: Ledger, place: Conversation = CONVERSATION) -> list[str]:
    """What her mind sees of the person's words."""
    lines: list[Line] = await ledger.history(ADAM, place, 50)
    return [line.content for line in lines if line.role == "person"]


async def test_an_edit_that_changed_nothing_is_not_news(ledger: Ledger) -> None:
    """Providers report edits of fields that nobody sees; before and after the answer, and again after a correction."""
    await pair(ledger)
    assert await take(ledger, message(1, "tea at 5")) == (["tea at 5"], [])
    assert await take(ledger, message(2, "tea at 5", "correction")) == ([], [])
    await answer(ledger)
    assert await take(ledger, message(3, "tea at 5", "correction")) == ([], [])
    assert await take(ledger, message(4, "tea at 6", "correction")) == (["tea at 6"], [])
    assert await take(ledger, message(5, "tea at 6", "correction")) == ([], [])
    assert await take(ledger, message(6, "tea at 5", "correction")) == (["tea at 5"], [])


async def test_another_message_with_the_same_words_is_news(ledger: Ledger) -> None:
    """Only an edit is compared, and only with its own message in its own chat."""
    await pair(ledger)
    assert (await take(ledger, message(1, "ok"), message(2, "ok", number="8")))[0] == ["ok", "ok"]
    assert (await take(ledger, message(3, "ok", "correction", number="9")))[0] == ["ok"]
    elsewhere = Conversation("telegram", "alice", CHANNEL, "43")
    assert (await take(ledger, message(4, "ok", "correction"), place=elsewhere))[0] == ["ok"]


async def test_a_corrected_caption_brings_no_second_picture(ledger: Ledger) -> None:
    """The words of a caption are news, its unchanged picture is not; a replaced picture is."""
    await pair(ledger)
    await take(ledger, message(1, "my cat", file="a"))
    assert await take(ledger, message(2, "my cat", "correction", file="a")) == ([], ["2.jpg"])
    assert await take(ledger, message(3, "my dog", "correction", file="a")) == (["my dog"], ["3.jpg"])
    assert await take(ledger, message(4, "my dog", "correction", file="b")) == (["my dog"], [])
    kinds = [(one.perception.kind, one.perception.media) for one in await ledger.waiting(ADAM)]
    assert kinds == [("image", "1.jpg"), ("text", None), ("image", "4.jpg")]


async def test_a_redelivered_message_stays_known(ledger: Ledger) -> None:
    """A message that comes again after its correction is not taken for the newest words."""
    await pair(ledger)
    await take(ledger, message(1, "tea"), message(2, "coffee", "correction"))
    assert await take(ledger, message(1, "tea"), message(2, "coffee", "correction")) == ([], [])
    assert await take(ledger, message(3, "coffee", "correction")) == ([], [])


async def test_steps_are_not_answered_and_replace_each_other(ledger: Ledger) -> None:
    """A live location is answered once. Afterwards she knows where the person is now, as the newest of one line."""
    await pair(ledger)
    await take(ledger, message(1, "at 0"))
    await answer(ledger)
    for number in range(1, 6):
        assert await take(ledger, message(1 + number, f"at {number}", "step")) == ([], [])
    assert await said(ledger) == ["at 0", "at 5"]
    await take(ledger, message(7, "hello", number="8"))
    await answer(ledger)
    await take(ledger, message(8, "at 6", "step"))
    assert await said(ledger) == ["at 0", "hello", "at 6"]
    assert await waiting(ledger) == []


async def test_a_step_of_a_message_that_still_waits(ledger: Ledger) -> None:
    """Where the person is now is in the message that she has not answered yet, once."""
    await pair(ledger)
    await take(ledger, message(1, "at 0"), message(2, "at 1", "step"), message(3, "at 2", "step"))
    assert await waiting(ledger) == ["at 2"]
    await answer(ledger)
    assert await said(ledger) == ["at 2"]


async def test_a_step_of_an_unknown_message(ledger: Ledger) -> None:
    """A location that was shared before she listened is noted all the same."""
    await pair(ledger)
    await take(ledger, message(1, "at 1", "step"), message(2, "at 2", "step"))
    assert await said(ledger) == ["at 2"]


async def test_visitors_edits(ledger: Ledger) -> None:
    """On an open channel, too. What is no news costs a sender nothing of their limits."""
    await open_(ledger)
    items = [message(1, "tea"), message(2, "tea", "correction"), message(3, "coffee", "correction")]
    steps = [message(10 + number, f"at {number}", "step", number="8") for number in range(3)]
    visited = await ledger.visit(ADAM, CHANNEL, [*items, *steps], [], LIMITS, list(range(1, 50)), 9)
    assert [one.perception.content for one in visited.waiting] == ["tea", "coffee"]
    assert await said(ledger, VISITOR) == ["at 2"]
    photo = message(20, "cat", file="a", number="9")
    again = message(21, "cat", "correction", file="a", number="9")
    visited = await ledger.visit(ADAM, CHANNEL, [photo, again], [], LIMITS, list(range(50, 90)), 9)
    assert (len(visited.waiting), visited.unwanted) == (1, ["21.jpg"])


async def test_before_the_pairing(ledger: Ledger) -> None:
    """Held messages are compared as well, and steps of an unpaired account are nobody's yet."""
    await add(ledger)
    items = [message(1, "tea"), message(2, "tea", "correction"), message(3, "at 1", "step", number="8")]
    assert await ledger.hold(ADAM, CHANNEL, items, 9) == 1


async def test_nothing_is_left(ledger: Ledger) -> None:
    """What messages said is forgotten with its channel, its persona, and after a while."""
    await pair(ledger)
    await take(ledger, message(1, "tea"))
    await ledger.prune(10)
    assert (await take(ledger, message(2, "tea", "correction")))[0] == ["tea"]
    await ledger.remove_channel(ADAM, CHANNEL)
    await pair(ledger)
    assert (await take(ledger, message(3, "tea", "correction")))[0] == ["tea"]
    await ledger.forget(ADAM)
    await ledger.forget(EVE)
    await pair(ledger)
    assert (await take(ledger, message(4, "tea", "correction")))[0] == ["tea"]


async def test_words_held_in_a_topic_are_answered_there(ledger: Ledger) -> None:
    """A topic of the bound chat is a conversation of its own, also for what was held before the pairing."""
    await add(ledger)
    here, there = inbound(1, "here"), inbound(2, "there")
    there.chat = "42:77"
    await ledger.hold(ADAM, CHANNEL, [here, there], 9)
    await ledger.bind(ADAM, CHANNEL, "42", "alice", "42")
    released = await ledger.release(ADAM, CHANNEL, CONVERSATION)
    assert [(one.perception.content, one.conversation.chat) for one in released] == [("here", "42"), ("there", "42:77")]
