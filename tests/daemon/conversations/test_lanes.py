"""Lanes: which conversation's turn is next."""

from __future__ import annotations

from daemon.conversations.lane import Lane
from daemon.conversations.lanes import Lanes
from daemon.ledger import Waiting
from proto.messages import Conversation, Perception


def waiting(number: int, chat: str = "", deaths: int = 0, channel: str = "x") -> Waiting:
    """A perception of this chat."""
    return Waiting(Perception(number, "text", "words", number), Conversation("t", "n", channel, chat), deaths)


def start(lanes: Lanes) -> list[str]:
    """Start every turn that may start; returns the chats."""
    return [lane.take(0.0).conversation.chat for lane in lanes.startable()]


def finish(lanes: Lanes, chat: str) -> None:
    """End the turn of this chat, as an answer does."""
    lane = lanes.visitor(("x", chat))
    lane.in_hand = None
    lanes.rotate(lane)


def test_visitors_take_turns_and_her_owner_never_waits() -> None:
    """At most two visitors are in hand, the one who has waited longest is next, and her owner never waits."""
    lanes = Lanes(10, 2, lambda _: False, lambda _: "")
    lanes.admit([waiting(n, chat) for n, chat in enumerate(["a", "a", "b", "c", "d"], 1)], visitors=True)
    assert start(lanes) == ["a", "b"]
    lanes.admit([waiting(6)], visitors=False)
    lanes.admit([waiting(7, "a")], visitors=True)
    assert start(lanes) == [""]
    finish(lanes, "a")
    assert start(lanes) == ["c"]
    finish(lanes, "b")
    assert start(lanes) == ["d"]
    finish(lanes, "c")
    assert start(lanes) == ["a"]
    assert {lane.in_hand.conversation.chat for lane in lanes.visitors if lane.in_hand} == {"d", "a"}
    assert len(lanes.visitors) == 2


def test_turns_of_all_lanes_have_different_numbers() -> None:
    """A reply's number leads to one lane."""
    lanes = Lanes(10, 4, lambda _: False, lambda _: "")
    lanes.admit([waiting(1, "a"), waiting(2, "b")], visitors=True)
    lanes.admit([waiting(3)], visitors=False)
    start(lanes)
    found = [lanes.holding(number) for number in (1, 2, 3)]
    assert found == [lanes.own, lanes.visitor(("x", "a")), lanes.visitor(("x", "b"))]
    assert lanes.holding(4) is None


def test_what_is_held_waits_alone() -> None:
    """Held messages do not block other conversations, also in the owner's lane."""
    held = {"a"}
    lanes = Lanes(10, 4, lambda conversation: conversation.chat in held, lambda _: "")
    lanes.admit([waiting(1, "a"), waiting(2, "b")], visitors=True)
    lanes.admit([waiting(3, "a"), waiting(4)], visitors=False)
    assert start(lanes) == ["", "b"]
    held.clear()
    lanes.own.in_hand = None
    assert start(lanes) == ["a", "a"]


def test_suspects_of_a_death_are_in_hand_one_at_a_time() -> None:
    """After a crash what was in hand is tried one by one, her owner's first; new messages do not wait for that."""
    lanes = Lanes(10, 4, lambda _: False, lambda _: "")
    lanes.admit([waiting(1, "a", 1), waiting(2, "b", 1), waiting(3, "c")], visitors=True)
    lanes.admit([waiting(4, "", 1)], visitors=False)
    assert start(lanes) == ["", "c"]
    lanes.own.in_hand = None
    assert start(lanes) == ["a"]
    finish(lanes, "a")
    assert start(lanes) == ["b"]


def test_a_removed_channel_leaves_no_lane() -> None:
    """Its conversations are forgotten, and so are its messages in the owner's lane."""
    lanes = Lanes(10, 4, lambda _: False, lambda _: "")
    lanes.admit([waiting(1, "1"), waiting(2, "1", channel="y"), waiting(3, "2")], visitors=True)
    lanes.admit([waiting(4, "2"), waiting(5, channel="")], visitors=False)
    assert (lanes.depth_of("x"), lanes.depth_of("y")) == (2, 1)
    lanes.drop_channel("x")
    assert start(lanes) == ["", "1"]
    assert (lanes.depth_of("x"), lanes.depth_of("y")) == (0, 1)
    assert isinstance(lanes.own, Lane)


def test_what_is_in_hand_from_a_removed_channel_is_not_given_again() -> None:
    """The owner's lane goes on without it; an answer that is being committed is left to its end."""
    lanes = Lanes(10, 4, lambda _: False, lambda _: "")
    lanes.admit([waiting(1), waiting(2, channel="y"), waiting(3, channel="z")], visitors=False)
    assert start(lanes) == [""]
    lanes.drop_channel("x")
    assert lanes.own.drop_turn() == []
    assert [lane.take(0.0).conversation.channel for lane in lanes.startable()] == ["y"]
    assert lanes.own.in_hand is not None
    lanes.own.in_hand.replied = True
    lanes.drop_channel("y")
    assert lanes.own.in_hand is not None
    assert lanes.own.depth == 2


def test_a_mind_that_is_down_keeps_nobody_from_another() -> None:
    """Its turns in hand continue, at most one other conversation tries it, and other minds have all the room."""
    lanes = Lanes(10, 2, lambda _: False, lambda conversation: conversation.chat[0])
    lanes.admit([waiting(n, chat) for n, chat in enumerate(["a1", "a2", "a3", "b1", "b2", "b3"], 1)], visitors=True)
    assert start(lanes) == ["a1", "a2"]
    lanes.down.add("a")
    assert start(lanes) == ["b1", "b2"]
    finish(lanes, "a1")
    assert start(lanes) == []
    finish(lanes, "a2")
    assert start(lanes) == ["a3"]
    lanes.down.clear()
    finish(lanes, "b1")
    assert start(lanes) == []
    finish(lanes, "b2")
    assert start(lanes) == ["b3"]


def test_minds_that_are_down_say_why() -> None:
    """Each mind has its own reason, from its first failure on, until it answers."""
    lanes = Lanes(10, 4, lambda _: False, lambda conversation: conversation.channel.strip("x"))
    lanes.admit([waiting(1, "a"), waiting(2, "b", channel="xclerk")], visitors=True)
    own, clerk = lanes.visitor(("x", "a")), lanes.visitor(("xclerk", "b"))
    assert lanes.troubles() == {}
    for lane, reason, at in ((own, "no network", 5), (own, "still none", 6), (clerk, "no key", 7)):
        lanes.trouble(lane, reason, at)
        lanes.down.add(lanes.model(lane))
    assert lanes.troubles() == {"": ("no network", 5), "clerk": ("no key", 7)}
    lanes.down.discard("")
    assert lanes.troubles() == {"clerk": ("no key", 7)}
    lanes.trouble(lanes.own, "again", 8)
    lanes.own.mind_down = "I cannot reach my mind."
    assert lanes.troubles() == {"": ("again", 8), "clerk": ("no key", 7)}


def test_what_no_budget_has_room_for_is_held_until_one_has() -> None:
    """Her owner's lane by itself, and visitors by their mind; what is free or has another budget goes on."""
    minds = {"a": "dear", "b": "dear", "c": ""}
    lanes = Lanes(10, 4, lambda _: False, lambda conversation: minds.get(conversation.chat, ""))
    lanes.admit([waiting(n, chat) for n, chat in enumerate("abc", 1)], visitors=True)
    lanes.hold(lanes.visitor(("x", "a")))
    assert start(lanes) == ["c"]
    lanes.admit([waiting(4)], visitors=False)
    lanes.hold(lanes.own)
    lanes.own.mind_down = "No budget."
    assert start(lanes) == []
    lanes.afford()
    assert lanes.own.mind_down == ""
    assert start(lanes) == ["", "a", "b"]
