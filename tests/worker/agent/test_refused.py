"""A prompt that her mind refuses is not an outage: it is asked differently, and in the end given up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proto.messages import (
    Consolidate,
    Consolidated,
    ConsolidationFailed,
    Deferred,
    Join,
    Line,
    MindDown,
    OrganCall,
    Perceive,
    Perception,
    Refused,
    Reply,
)
from proto.records import EMBEDDED, EMBEDDED_SENSES, Organ
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.worker.conftest import WEB, SeatMaker
from worker.agent.tries import MAX_BROKEN, MAX_EMPTY

FILTERED = Step(status=400, code="content_filter", message="The response was filtered")
TALK = [Line("person" if at % 2 else "assistant", f"line {at} " + "x" * 300, at) for at in range(1, 30)]


@pytest.fixture
def brain() -> Iterator[ScriptedMind]:
    """A mind whose answers follow the words."""
    mind = ScriptedMind()
    with mind:
        yield mind


def at(brain: ScriptedMind) -> Organ:
    return Organ("test-model", "openai", None, brain.url)


@pytest.mark.parametrize(
    ("step", "kind", "tries"),
    [
        (FILTERED, "declined", 1),
        (Step(""), "empty", MAX_EMPTY),
        (Step("<think>only thoughts</think>"), "empty", MAX_EMPTY),
        # Her tools may be the cause, so each of these is asked again without them.
        (Step(status=422, message="Unprocessable Entity"), "faulty", 2 * MAX_EMPTY),
        (Step(status=400, message="Failed to call a function. Please adjust your prompt."), "faulty", 2 * MAX_EMPTY),
        (Step(status=500, message="error parsing tool call"), "faulty", 2 * MAX_EMPTY),
        (Step(status=400, code="context_length_exceeded", message="too long"), "too_long", 1),
        (Step(status=413, message="Request exceeds the maximum size"), "too_long", 1),
    ],
)
async def test_a_refused_message_is_given_up(
    seat: SeatMaker, brain: ScriptedMind, step: Step, kind: str, tries: int
) -> None:
    """After a few tries in all the message is refused, with the mind's own words, and no outage is reported."""
    brain.answer = lambda text: step if "BADWORD" in text else None
    adam = seat(at(brain))
    adam.perceive("this has BADWORD in it")
    refused = await adam.first(Refused)
    assert (refused.turn, refused.perceptions, refused.kind) == (1, [1], kind)
    assert brain.times("BADWORD") == tries
    assert "empty answer" in refused.reason if kind == "empty" else str(step.status) in refused.reason
    assert adam.of(MindDown) == []
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("are you there?"), [], {}))
    assert (await adam.first(Reply)).perceptions == [2]


async def test_a_connection_that_breaks_in_every_answer_is_no_outage(seat: SeatMaker, brain: ScriptedMind) -> None:
    """After a few tries the message is refused, and the next one is asked; no outage is reported."""
    brain.answer = lambda text: Step("half an answer", failure="drop") if "BADWORD" in text else None
    brain.default = Step("Say no more.", failure="drop")
    adam = seat(at(brain))
    adam.perceive("this has BADWORD in it")
    refused = await adam.first(Refused)
    assert (refused.perceptions, refused.kind) == ([1], "broken")
    assert "broke in the middle of an answer" in refused.reason
    assert brain.times("BADWORD") == MAX_BROKEN
    brain.default = Step()
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("are you there?"), [], {}))
    assert (await adam.first(Reply)).perceptions == [2]
    assert adam.of(MindDown) == []


async def test_a_visitors_broken_answers_end_too(seat: SeatMaker, anthropic: AnthropicEmulator) -> None:
    """A stranger's turn is not deferred again and again, whichever API it is."""
    anthropic.default = Step("half an answer", failure="drop")
    adam = seat(Organ("test-model", "anthropic", None, anthropic.url))
    adam.agent.receive(Perceive(1, WEB, adam.perceptions("hello"), [], {}, visitor="Ann"))
    assert (await adam.first(Refused)).kind == "broken"
    assert (adam.of(Deferred), adam.of(MindDown)) == ([], [])


async def test_a_connection_that_broke_and_cannot_be_made_is_an_outage(seat: SeatMaker) -> None:
    """A server that dies within an answer is waited for: the message is kept and answered when it is back."""
    with OpenAIEmulator(Step("half an answer", failure="drop")) as dying:
        adam = seat(Organ("test-model", "openai", None, dying.url))
        port = int(dying.url.rpartition(":")[2])
        adam.agent.receive(Perceive(1, WEB, adam.perceptions("hello"), [], {}))
        await dying.requests(1)
    down = await adam.first(MindDown)
    with OpenAIEmulator(port=port):
        assert (await adam.first(Reply)).perceptions == [1]
    assert "Could not connect" in down.reason
    assert adam.of(Refused) == []


async def test_only_the_culprit_is_given_up(seat: SeatMaker, brain: ScriptedMind) -> None:
    """Of several messages the mind is asked about fewer, the oldest first, until the refused one is alone."""
    brain.answer = lambda text: FILTERED if "BADWORD" in text else None
    adam = seat(at(brain))
    adam.perceive("one", "two", "BADWORD", "four")
    assert (await adam.first(Reply)).perceptions == [1, 2]
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("BADWORD", "four"), [], {}))
    refused = await adam.first(Refused)
    assert refused.perceptions == [5]


async def test_what_was_said_before_may_be_the_reason(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A filter that stumbles over the history answers the message without it."""
    openai.script(FILTERED)
    adam = seat(Organ("test-model", "openai", None, openai.url))
    adam.perceive("harmless", history=TALK)
    assert (await adam.first(Reply)).perceptions == [1]
    assert [len(entry.body["messages"]) > 2 for entry in openai.journal] == [True, False]


async def test_a_message_that_joins_is_not_refused_unasked(seat: SeatMaker, brain: ScriptedMind) -> None:
    """What joins while the refused message is tried is not given up with it."""
    brain.answer = lambda text: Step("") if "EMPTY" in text else None
    brain.hold("EMPTY")
    adam = seat(at(brain))
    adam.perceive("EMPTY")
    await brain.requests(1)
    adam.agent.receive(Join(1, adam.perceptions("hello")))
    brain.let_go("EMPTY")
    assert (await adam.first(Refused)).perceptions == [1]


@pytest.mark.parametrize("status", [400, 422, 500])
async def test_a_mind_that_answers_nothing_at_all_is_down(seat: SeatMaker, openai: OpenAIEmulator, status: int) -> None:
    """The same status with every prompt is an outage: the message is kept and answered in the end."""
    openai.default = Step(status=status, message="the model is not loaded")
    adam = seat(Organ("test-model", "openai", None, openai.url))
    adam.perceive("hello")
    assert str(status) in (await adam.first(MindDown)).reason
    openai.default = Step()
    assert (await adam.first(Reply)).perceptions == [1]
    assert adam.of(Refused) == []


async def test_the_oldest_history_is_left_out_first(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A mind with a small context gets as much of the newest history as fits, and its size is remembered."""
    openai.context = 2_000
    adam = seat(Organ("test-model", "openai", None, openai.url))
    adam.perceive("and now?", history=TALK, memory={"person": "- Dog: Biscuit"})
    assert (await adam.first(Reply)).perceptions == [1]
    asked = len(openai.journal)
    assert asked <= 3
    shown = str(openai.journal[-1].body["messages"])
    assert "line 29 " in shown
    assert "line 1 " not in shown
    assert "Biscuit" in shown
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("and then?"), TALK, {}))
    assert (await adam.several(Reply, 2))[1].perceptions == [2]
    assert len(openai.journal) == asked + 1


async def test_sizes_that_are_not_told_are_found(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A server that only says "too long" gets half as much each time, until it answers."""
    openai.context, openai.tells_sizes = 1_200, False
    adam = seat(Organ("test-model", "openai", None, openai.url))
    adam.perceive("and now?", history=TALK)
    assert (await adam.first(Reply)).perceptions == [1]
    assert len(openai.journal) <= 4


async def test_new_messages_are_split(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Messages that do not fit together are answered in several turns."""
    openai.context = 2_000
    adam = seat(Organ("test-model", "openai", None, openai.url))
    adam.perceive(*(f"message {number} " + "y" * 2_000 for number in range(4)))
    reply = await adam.first(Reply)
    assert reply.perceptions in ([1], [1, 2])


async def test_a_message_longer_than_the_mind_is_refused(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A paste that fits into no prompt of this mind is given up; the next message is answered."""
    openai.context = 2_000
    adam = seat(Organ("test-model", "openai", None, openai.url))
    adam.perceive("z" * 40_000, history=TALK, memory={"person": "- Dog: Biscuit " * 500})
    refused = await adam.first(Refused)
    assert (refused.kind, refused.perceptions) == ("too_long", [1])
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("short"), TALK, {}))
    assert (await adam.first(Reply)).perceptions == [2]


async def test_anthropics_window(seat: SeatMaker, anthropic: AnthropicEmulator) -> None:
    """A stop because the window is full counts as too long."""
    anthropic.script(Step("", finish="model_context_window_exceeded"))
    adam = seat(Organ("test-model", "anthropic", None, anthropic.url))
    adam.perceive("and now?", history=TALK)
    assert (await adam.first(Reply)).perceptions == [1]
    sizes = [len(str(entry.body["messages"])) for entry in anthropic.journal]
    assert sizes[1] < sizes[0]


async def test_a_visitors_turn_makes_room_for_another_probe(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """While a mind is down, a visitor's turn ends after its try; her owner's keeps trying."""
    openai.default = Step(status=503)
    adam = seat(Organ("test-model", "openai", None, openai.url))
    adam.agent.receive(Perceive(1, WEB, adam.perceptions("hello"), [], {}, visitor="Ann"))
    assert (await adam.first(Deferred)).turn == 1
    assert [down.turn for down in adam.of(MindDown)] == [1]
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("hello"), [], {}))
    await openai.requests(4)
    assert len(adam.of(Deferred)) == 1
    openai.default = Step()
    assert (await adam.first(Reply)).turn == 2


async def test_a_file_is_perceived_once_over_several_probes(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """What a visitor's deferred turn understood of a file is kept for the turn that answers it."""
    adam = seat(Organ("test-model", "openai", None, openai.url), ear=Organ(EMBEDDED_SENSES["ear"], EMBEDDED))
    clip = Perception(1, "audio", "", 1, media="visitor-clip.ogg")
    openai.default = Step(status=503)
    adam.agent.receive(Perceive(1, WEB, [clip], [], {}, visitor="Ann"))
    await adam.host(text="what time is it")
    await adam.first(Deferred)
    openai.default = Step()
    adam.agent.receive(Perceive(2, WEB, [clip], [], {}, visitor="Ann"))
    reply = await adam.first(Reply)
    assert reply.perceived == {1: "what time is it"}
    assert len(adam.of(OrganCall)) == 1


@pytest.mark.parametrize("status", [400, 500])
async def test_a_malformed_tool_call_is_asked_without_tools(
    seat: SeatMaker, openai: OpenAIEmulator, status: int
) -> None:
    """One call that the server cannot read is answered without tools, and the next message may use them again."""
    teacher = Organ("teacher-model", "openai", None, openai.url)
    openai.script(Step(status=status, message="error parsing tool call: raw='{'"))
    adam = seat(Organ("test-model", "openai", None, openai.url), teacher=teacher)
    adam.perceive("hello")
    await adam.first(Reply)
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("again"), [], {}))
    await adam.several(Reply, 2)
    assert ["tools" in entry.body for entry in openai.journal] == [True, False, True]


# Consolidation


@pytest.mark.parametrize("context", [0, 600])
async def test_one_line_keeps_no_memory_from_being_written(seat: SeatMaker, brain: ScriptedMind, context: int) -> None:
    """A line that the provider refuses is left out of her memory; what is too long at once is folded in parts."""
    brain.context = context
    brain.answer = lambda text: FILTERED if "BADWORD" in text else Step("## person\n- one\n\n## end")
    adam = seat(at(brain))
    talk = [
        Line("person", f"line {number} {'BADWORD' if number == 2 else ''}" + "x" * 300, number) for number in range(6)
    ]
    adam.agent.receive(Consolidate(1, talk, {}))
    assert (await adam.first(Consolidated)).memory == {"person": "- one\n"}
    folded = " ".join(text for text in brain.heard if "BADWORD" not in text)
    assert [number for number in range(6) if f"line {number} " in folded] == [0, 1, 3, 4, 5]


async def test_a_memory_that_is_refused_is_an_error(seat: SeatMaker, brain: ScriptedMind) -> None:
    """If every line is refused, nothing is taken for learned."""
    brain.answer = lambda _: FILTERED
    adam = seat(at(brain))
    adam.agent.receive(Consolidate(1, TALK[:4], {}))
    assert "filtered" in (await adam.first(ConsolidationFailed)).reason
