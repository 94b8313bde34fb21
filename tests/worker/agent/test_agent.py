"""An agent's turns, driven by the daemon's messages, with a mind behind a real protocol."""

from __future__ import annotations

import time

import pytest

from proto.messages import (
    Consolidate,
    Consolidated,
    ConsolidationFailed,
    Join,
    Line,
    MindDown,
    MindLimits,
    Perceive,
    Perception,
    Reply,
    Typing,
)
from proto.records import Organ
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Emulator, Step
from tests.worker.conftest import WEB, Seat, SeatMaker
from worker.agent.pace import Pace
from worker.agent.turn import MAX_JOINS
from worker.base.organ_errors import OrganConfigError


def organ_at(emulator: Emulator) -> Organ:
    return Organ("test-model", "openai", None, emulator.url)


def last_words(emulator: Emulator, request: int) -> str:
    words = emulator.journal[request].body["messages"][-1]["content"]
    assert isinstance(words, str)
    return words


async def test_a_message_is_answered(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A turn that is answered at once sends no typing sign and ends with one reply that names what it answers."""
    adam = seat(organ_at(openai), pace=Pace(at_once=5.0))
    adam.perceive("hello there")
    reply = await adam.first(Reply)
    assert not any(isinstance(message, Typing) for message in adam.sent)
    assert (reply.turn, reply.perceptions) == (1, [1])
    assert [message.content for message in reply.messages] == ["hello there"]


async def test_prompt_holds_who_what_and_when(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """The mind sees her name, age and memory, the conversation in turns, and last the new messages in order."""
    adam = seat(organ_at(openai), birthday="2020-01-01")
    history = [
        Line("assistant", "Good morning.", 1),
        Line("person", "I am off to work.", 2),
        Line("person", "Bye!", 3),
        Line("assistant", "Bye.", 4),
    ]
    adam.perceive("I am back.", "Did I miss something?", history=history, memory={"person": "- Dog: Biscuit", "x": " "})
    await adam.first(Reply)
    system, *talk = openai.journal[0].body["messages"]
    assert system["role"] == "system"
    assert "You are Adam" in system["content"]
    assert "born on 2020-01-01" in system["content"]
    assert "## The person you talk with\n- Dog: Biscuit" in system["content"]
    assert [(turn["role"], turn["content"]) for turn in talk] == [
        ("user", "(You spoke first.)"),
        ("assistant", "Good morning."),
        ("user", "I am off to work.\n\nBye!"),
        ("assistant", "Bye."),
        ("user", "I am back.\n\nDid I miss something?"),
    ]


async def test_file_is_described_by_name_and_caption(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A picture is described to the mind, since she has no eye: its name, its caption, and that she cannot see it."""
    adam = seat(organ_at(openai))
    picture = Perception(7, "image", "my cat", 1, media="image-1.png", title="cat.png")
    adam.agent.receive(Perceive(1, WEB, [picture], [], {}))
    assert (await adam.first(Reply)).perceptions == [7]
    words = last_words(openai, 0)
    assert "cat.png" in words
    assert "no eye" in words
    assert words.endswith("my cat")


async def test_empty_message_is_no_empty_turn(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Blank messages become a turn that every provider accepts."""
    adam = seat(organ_at(openai))
    adam.perceive("  ")
    await adam.first(Reply)
    assert last_words(openai, 0).strip()


async def test_typing_goes_on_while_she_thinks(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Typing is repeated while the mind is slow, and stops with the reply."""
    openai.script(Step(failure="hang"))
    adam = seat(organ_at(openai))
    adam.perceive("hello")
    await adam.several(Typing, 4)
    openai.release()
    await adam.first(Reply)
    count = len(adam.of(Typing))
    adam.agent.receive(Consolidate(1, [], {}))
    await adam.first(Consolidated)
    assert len(adam.of(Typing)) <= count


async def test_join_asks_again_with_all_messages(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Messages that arrive during a mind call restart it, and one reply answers them all."""
    openai.script(Step(failure="hang"))
    adam = seat(organ_at(openai))
    adam.perceive("one")
    await openai.requests(1)
    adam.agent.receive(Join(1, adam.perceptions("two")))
    reply = await adam.first(Reply)
    assert reply.perceptions == [1, 2]
    assert last_words(openai, 1) == "one\n\ntwo"
    assert len(adam.of(Reply)) == 1


async def test_joins_are_limited(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """After eight restarts the call goes on; later messages are left for the next turn."""
    openai.script(*[Step(failure="hang")] * (MAX_JOINS + 1))
    adam = seat(organ_at(openai))
    adam.perceive("first")
    for number in range(MAX_JOINS + 1):
        await openai.requests(number + 1)
        adam.agent.receive(Join(1, adam.perceptions(f"word {number}")))
    openai.release()
    reply = await adam.first(Reply)
    assert reply.perceptions == list(range(1, MAX_JOINS + 2))
    assert len(openai.journal) == MAX_JOINS + 1


async def test_late_join_is_ignored(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A join for a turn that has ended changes nothing; the daemon sends its messages again."""
    adam = seat(organ_at(openai))
    adam.perceive("one")
    await adam.first(Reply)
    adam.agent.receive(Join(1, adam.perceptions("two")))
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("three"), [], {}))
    assert (await adam.several(Reply, 2))[1].perceptions == [3]


async def test_too_many_messages_are_left_for_the_next_turn(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A burst that fits into no prompt is answered from its beginning, and the reply names only what it answered."""
    adam = seat(organ_at(openai))
    adam.perceive(*["x" * 60_000] * 3)
    assert (await adam.first(Reply)).perceptions == [1, 2]


async def test_mind_down_and_back(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A failing mind is reported once per reason while she keeps trying, and the message is answered in the end."""
    openai.script(*(Step(status=status) for status in (503, 503, 401, 401, 503)))
    adam = seat(organ_at(openai))
    adam.perceive("hello")
    reply = await adam.first(Reply)
    assert reply.perceptions == [1]
    downs = adam.of(MindDown)
    assert [down.turn for down in downs] == [1, 1, 1]
    assert ["answered 503" in down.reason for down in downs] == [True, False, True]
    assert "api_key" in downs[1].hint
    assert len(openai.journal) == 6


async def test_messages_that_join_an_outage_are_answered_with_it(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """While the mind is down, new messages wait with the others."""
    openai.default = Step(status=503)
    adam = seat(organ_at(openai))
    adam.perceive("one")
    await adam.first(MindDown)
    adam.agent.receive(Join(1, adam.perceptions("two")))
    openai.default = Step()
    assert (await adam.first(Reply)).perceptions == [1, 2]


async def test_no_typing_during_an_outage(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Once the mind was reported as down, no typing signs are sent."""
    openai.default = Step(status=503)
    adam = seat(organ_at(openai))
    adam.perceive("hello")
    await adam.first(MindDown)
    count = len(adam.of(Typing))
    await openai.requests(len(openai.journal) + 5)
    assert len(adam.of(Typing)) == count


async def test_permanent_errors_are_retried_slowly(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """An error that only a person can fix is not retried as often as an outage."""
    openai.script(Step(status=404))
    adam = seat(organ_at(openai), pace=Pace(typing=1.0, shortest=0.001, longest=0.002, permanent=0.5))
    begun = time.monotonic()
    adam.perceive("hello")
    await adam.first(MindDown)
    await adam.first(Reply)
    # At least four fifths of the pause. The pauses of an outage are a hundred times shorter.
    assert time.monotonic() - begun >= 0.4


async def test_unexpected_error_is_reported(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """An unexpected error in a turn is passed on, so that it ends the process, and nothing is answered."""
    adam = seat(organ_at(openai))
    broken = Perception(1, "smell", "roses", 1)  # type: ignore[arg-type]  # what no daemon of this version sends
    adam.agent.receive(Perceive(1, WEB, [broken], [], {}))
    assert isinstance(await adam.failure(), KeyError)
    assert adam.of(Reply) == []


async def test_close_in_the_middle_of_a_call(openai: OpenAIEmulator) -> None:
    """Closing cancels the call in hand, without a reply and without an error."""
    openai.script(Step(failure="hang"))
    adam = Seat(organ_at(openai))
    adam.perceive("hello")
    await openai.requests(1)
    await adam.agent.close()
    assert (adam.of(Reply), adam.failures) == ([], [])


async def test_impossible_organ_is_refused_at_once(seat: SeatMaker) -> None:
    """An agent with an unknown provider is not created."""
    with pytest.raises(OrganConfigError, match="no provider"):
        seat(Organ("m", "cohere"))


# Consolidation

TALK = [Line("person", "I moved to Lisbon.", 1), Line("assistant", "How lovely!", 2)]


async def test_consolidation_rewrites_files(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """The files that the mind rewrote are returned in full; one that did not change is left out."""
    openai.script(Step("## person\n- Lives in: Lisbon\n\n## wishes\n- a boat\n\n## end"))
    adam = seat(organ_at(openai))
    adam.agent.receive(Consolidate(3, TALK, {"wishes": "- a boat\n"}))
    done = await adam.first(Consolidated)
    assert (done.task, done.memory) == (3, {"person": "- Lives in: Lisbon\n"})
    asked = last_words(openai, 0)
    assert "person: I moved to Lisbon." in asked
    assert "Adam: How lovely!" in asked


async def test_malformed_consolidation_changes_nothing(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """An answer in the wrong form fails the consolidation with a reason."""
    openai.script(Step("Sure! Here is what I noted: Lisbon."))
    adam = seat(organ_at(openai))
    adam.agent.receive(Consolidate(4, TALK, {}))
    failed = await adam.first(ConsolidationFailed)
    assert failed.task == 4
    assert "cut off" in failed.reason


async def test_consolidation_without_a_mind(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A mind that is down fails the consolidation instead of blocking it for ever."""
    openai.default = Step(status=503)
    adam = seat(organ_at(openai), limits=MindLimits(5.0, 5.0, 0))
    adam.agent.receive(Consolidate(5, TALK, {}))
    assert "503" in (await adam.first(ConsolidationFailed)).reason


async def test_consolidation_blocks_no_turn(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Messages are answered while a consolidation runs, and only one consolidation runs at a time."""
    openai.script(Step("## end", failure="hang"))
    adam = seat(organ_at(openai))
    adam.agent.receive(Consolidate(6, TALK, {}))
    await openai.requests(1)
    adam.agent.receive(Consolidate(7, TALK, {}))
    assert (await adam.first(ConsolidationFailed)).task == 7
    adam.perceive("hello")
    await adam.first(Reply)
    assert adam.of(Consolidated) == []
    openai.release()
    assert (await adam.first(Consolidated)).memory == {}


async def test_a_long_conversation_is_folded_in_parts(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A conversation too long for one prompt is folded in parts, each seeing what the earlier parts noted."""
    openai.script(Step("## person\n- one\n\n## end"), Step("## person\n- one\n- two\n\n## end"))
    adam = seat(organ_at(openai))
    adam.agent.receive(Consolidate(8, [Line("person", "x" * 20_000, 1), Line("person", "y" * 20_000, 2)], {}))
    assert (await adam.first(Consolidated)).memory == {"person": "- one\n- two\n"}
    assert "## person\n- one" in last_words(openai, 1)


def test_default_pace() -> None:
    """Production uses the documented waits; only the tests are faster."""
    assert Pace() == Pace(typing=4.0, shortest=0.5, longest=60.0, permanent=60.0)


async def test_a_mind_that_would_forget_is_asked_once_more(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """It is told what would be lost; if it leaves that out again, nothing changes."""
    full = "".join(f"- The plant number {number} is called {chr(97 + number % 26) * 90}\n" for number in range(110))
    cut, whole = f"## person\n{full[:6000]}\n\n## end", f"## person\n{full}- A cat\n\n## end"
    adam = seat(organ_at(openai))
    openai.script(Step(text=cut), Step(text=whole))
    adam.agent.receive(Consolidate(9, TALK, {"person": full}, ["# Never\n\nNever remember names."]))
    assert (await adam.first(Consolidated)).memory == {"person": f"{full}- A cat\n"}
    first, second = (call.body["messages"] for call in await openai.requests(2))
    assert "Never remember names." in first[0]["content"]
    assert "of the 110 lines of person would be lost" in second[-1]["content"]
    openai.script(Step(text=cut), Step(text=cut))
    adam.agent.receive(Consolidate(10, TALK, {"person": full}))
    assert "would be lost" in (await adam.first(ConsolidationFailed)).reason
