"""What is told of an answer while she thinks, and how a hush ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.messages import Join, MindDown, Perceive, Perception, Reply
from proto.records import EMBEDDED, EMBEDDED_SENSES, Organ
from proto.streaming import Delta, DeltaTaken, Hush, Spoken
from proto.texts import MAX_TEXT
from tests.emulators import samples
from tests.emulators.dictated import DictatedMind, Dictation
from tests.emulators.server import Step
from tests.worker.conftest import WEB, Seat, SeatMaker
from worker.agent.telling import Telling
from worker.organs.ogg import joined


@pytest.fixture
def brain() -> Iterator[DictatedMind]:
    """A mind for this test only."""
    with DictatedMind() as mind:
        yield mind
        for answer in mind.answers:
            answer.end()


def at(brain: DictatedMind, name: str = "test-model") -> Organ:
    return Organ(name, "openai", None, brain.url)


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def asked(brain: DictatedMind, number: int = 1) -> Dictation:
    return await asyncio.to_thread(brain.answer, number)


async def shown(adam: Seat, words: str, turn: int = 1) -> list[Delta]:
    """Take everything that is told, as the daemon does, until these words are what people see; return all of it."""
    taken, seen = 0, ""
    while seen != words:
        told = await adam.several(Delta, taken + 1)
        for delta in told[taken:]:
            adam.agent.receive(DeltaTaken(delta.turn))
        taken = len(told)
        seen = ""
        for delta in (one for one in told if one.turn == turn):
            assert delta.offset <= len(seen)
            seen = seen[: delta.offset] + delta.text
    return [delta for delta in adam.of(Delta) if delta.turn == turn]


async def test_words_come_as_they_are_thought(seat: SeatMaker, brain: DictatedMind) -> None:
    """Before the answer ends, its words are told; the reply has all of them, and nothing is told after it."""
    adam = seat(at(brain))
    adam.perceive("hi")
    answer = await asked(brain)
    answer.say("Good ")
    assert [delta.text for delta in await shown(adam, "Good")] == ["Good"]
    answer.say("morn", "ing")
    told = await shown(adam, "Good morning")
    assert {(delta.turn, delta.conversation) for delta in told} == {(1, WEB)}
    answer.say("!")
    answer.end()
    assert [message.content for message in (await adam.first(Reply)).messages] == ["Good morning!"]
    assert isinstance(adam.sent[-1], Reply)


async def test_a_daemon_that_takes_nothing_gets_one(seat: SeatMaker, brain: DictatedMind) -> None:
    """Until the daemon has taken it, nothing more is told; the rest is merged into one."""
    adam = seat(at(brain), teacher=at(brain))
    adam.perceive("hi")
    answer = await asked(brain)
    answer.say("a")
    await adam.several(Delta, 1)
    for number in range(50):
        answer.say(f"{number} ")
    answer.call("unknown")
    answer = await asked(brain, 2)
    assert len(adam.of(Delta)) == 1
    adam.agent.receive(DeltaTaken(1))
    merged = (await adam.several(Delta, 2))[1]
    assert (merged.offset, merged.text.split()[-1]) == (1, "49")


async def test_reasoning_is_never_told(seat: SeatMaker, brain: DictatedMind) -> None:
    """Neither in tags that come in pieces nor in a field of its own."""
    adam = seat(at(brain))
    adam.perceive("hi")
    answer = await asked(brain)
    for piece in ("<th", "ink>secret", " plan</th", "ink>", "Hello", " <thi", "nk>more of it</think>", "you"):
        answer.say(piece)
        await asyncio.sleep(0.03)  # each piece is looked at by itself
    told = await shown(adam, "Hello you")
    assert not any("secret" in delta.text or "<" in delta.text or "more" in delta.text for delta in told)


async def test_a_thinking_model_is_known_by_its_name(seat: SeatMaker, brain: DictatedMind) -> None:
    """Its template may have opened the thought: before the end of it nothing is told."""
    adam = seat(at(brain, "deepseek-r1:7b"))
    adam.perceive("hi")
    answer = await asked(brain)
    answer.say("secret plan")
    await asyncio.sleep(0.1)
    answer.say("</think>", "Hello")
    assert "secret" not in str(await shown(adam, "Hello"))


async def test_a_tool_round_begins_anew(seat: SeatMaker, brain: DictatedMind) -> None:
    """What was said before a tool is shown until the next round's first word replaces it from offset 0."""
    adam = seat(at(brain), teacher=at(brain))
    adam.perceive("hi")
    first = await asked(brain)
    first.say("I will look.")
    await shown(adam, "I will look.")
    first.call("unknown")
    (await asked(brain, 2)).say("Here it is.")
    told = await shown(adam, "Here it is.")
    assert [delta.offset for delta in told if delta.text.startswith("H")] == [0]


async def test_a_join_begins_anew(seat: SeatMaker, brain: DictatedMind) -> None:
    """The next answer's first words replace the ones before, also when they are the same."""
    adam = seat(at(brain))
    adam.perceive("hi")
    (await asked(brain)).say("Good morning")
    await shown(adam, "Good morning")
    adam.agent.receive(Join(1, adam.perceptions("and more")))
    again = await asked(brain, 2)
    again.say("Good evening")
    told = await shown(adam, "Good evening")
    assert [delta.offset for delta in told][-1] == 0
    again.end()
    reply = await adam.first(Reply)
    assert (reply.perceptions, reply.hushed, reply.messages[0].content) == ([1, 2], False, "Good evening")


async def test_a_retry_begins_anew(seat: SeatMaker, brain: DictatedMind) -> None:
    """An answer that broke off is asked again, and nothing of the first one stays."""
    adam = seat(at(brain))
    adam.perceive("hi")
    brain.script(Step(text="one two three four five six", failure="drop"))
    again = await asked(brain)
    again.say("seven")
    await shown(adam, "seven")
    again.end()
    assert [message.content for message in (await adam.first(Reply)).messages] == ["seven"]


async def test_two_conversations_are_told_apart(seat: SeatMaker, brain: DictatedMind) -> None:
    """Each turn has its own pace, words and conversation."""
    adam = seat(at(brain))
    other = type(WEB)("telegram", "Bo", "7e1e000000000001", "5")
    adam.perceive("hi")
    adam.agent.receive(Perceive(2, other, adam.perceptions("hello"), [], {}, visitor="Bo"))
    both = {one.asked: one for one in (await asked(brain), await asked(brain, 2))}
    both["hi"].say("for you")
    both["hello"].say("for Bo")
    assert {delta.conversation for delta in await shown(adam, "for you", 1)} == {WEB}
    assert {delta.conversation for delta in await shown(adam, "for Bo", 2)} == {other}


async def test_hushed_in_the_middle(seat: SeatMaker, brain: DictatedMind) -> None:
    """What was said so far is the answer, and it says so."""
    adam = seat(at(brain))
    adam.perceive("hi")
    (await asked(brain)).say("Once upon a time")
    await shown(adam, "Once upon a time")
    adam.agent.receive(Hush(1))
    reply = await adam.first(Reply)
    assert (reply.perceptions, reply.hushed) == ([1], True)
    assert [message.content for message in reply.messages] == ["Once upon a time"]


async def test_hushed_before_the_first_word(seat: SeatMaker, brain: DictatedMind) -> None:
    """The turn ends without a message, also when it has only begun."""
    adam = seat(at(brain))
    adam.perceive("hi")
    await asked(brain)
    adam.agent.receive(Hush(1))
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("more"), [], {}))
    adam.agent.receive(Hush(2))
    ends = [(reply.perceptions, reply.hushed, reply.messages) for reply in await adam.several(Reply, 2)]
    assert sorted(ends) == [([1], True, []), ([2], True, [])]


async def test_hushed_while_her_mind_is_down(seat: SeatMaker, brain: DictatedMind) -> None:
    """She stops trying."""
    adam = seat(at(brain))
    brain.script(*[Step(status=503)] * 50)
    adam.perceive("hi")
    await adam.first(MindDown)
    adam.agent.receive(Hush(1))
    assert (await adam.first(Reply)).hushed


async def test_hushed_after_the_end(seat: SeatMaker, brain: DictatedMind) -> None:
    """It changes nothing, and the next turn is answered."""
    adam = seat(at(brain))
    brain.script(Step(text="one"), Step(text="two"))
    adam.perceive("hi")
    await adam.first(Reply)
    adam.agent.receive(Hush(1))
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("more"), [], {}))
    replies = await adam.several(Reply, 2)
    assert [(reply.hushed, reply.messages[0].content) for reply in replies] == [(False, "one"), (False, "two")]


async def test_a_mind_that_never_ends(seat: SeatMaker, brain: DictatedMind) -> None:
    """What is told is bounded like the answer, and so is what goes over the link meanwhile."""
    adam = seat(at(brain))
    adam.perceive("hi")
    answer = await asked(brain)
    for _ in range(40):
        answer.say("\ud83d" + "x" * 9_999 + "\0")
    reply = await adam.first(Reply)
    assert len(reply.messages[0].content) <= MAX_TEXT
    assert sum(len(delta.text) for delta in adam.of(Delta)) <= MAX_TEXT


async def test_a_text_that_changes_all_the_time_is_paced() -> None:
    """Told anew at each look, a long text goes no faster than the link may take."""
    sent: list[Delta] = []
    loop = asyncio.get_running_loop()
    telling = Telling(1, WEB, sent.append)
    telling.begin(aloud=False)
    until, number = loop.time() + 0.5, 0
    while loop.time() < until:
        number += 1
        telling.say(f"{number} {'x' * 20_000}")
        telling.taken()
        await asyncio.sleep(0)
    telling.end()
    assert len(sent) < 5
    assert all(delta.offset == 0 for delta in sent)


async def test_a_spoken_answer_comes_sentence_by_sentence(seat: SeatMaker, brain: DictatedMind, tmp_path: Path) -> None:
    """The first sentence is heard while the rest is thought; the message has one recording of all of them."""
    adam = seat(at(brain), media=tmp_path, ear=Organ(EMBEDDED_SENSES["ear"], EMBEDDED), mouth=at(brain))
    adam.agent.receive(Perceive(1, WEB, [Perception(1, "audio", "", 1, "a.ogg")], [], {}))
    await adam.host(text="How is the weather?")
    answer = await asked(brain)
    answer.say("It is sunny today. ", "And")
    first = await adam.first(Spoken)
    assert (first.number, first.text, first.audio) == (1, "It is sunny today.", samples.ogg())
    answer.say(" warm. Take a hat!")
    answer.end()
    (message,) = (await adam.first(Reply)).messages
    assert [spoken.text for spoken in adam.of(Spoken)] == ["It is sunny today.", "And warm. Take a hat!"]
    assert (message.kind, message.content) == ("audio", "It is sunny today. And warm. Take a hat!")
    assert message.media is not None
    assert (tmp_path / message.media).read_bytes() == joined([samples.ogg()] * 2)
    assert files(tmp_path) == sorted([message.media, f".part-{message.media}"])


async def test_a_sentence_that_cannot_be_spoken(seat: SeatMaker, brain: DictatedMind, tmp_path: Path) -> None:
    """The whole answer is spoken once more when it is there."""
    brain.script_at("speech", Step(status=500))
    adam = seat(at(brain), media=tmp_path, ear=Organ(EMBEDDED_SENSES["ear"], EMBEDDED), mouth=at(brain))
    adam.agent.receive(Perceive(1, WEB, [Perception(1, "audio", "", 1, "a.ogg")], [], {}))
    await adam.host(text="How is the weather?")
    answer = await asked(brain)
    answer.say("It is sunny today. ", "Take a hat!")
    answer.end()
    (message,) = (await adam.first(Reply)).messages
    assert message.kind == "audio"
    assert adam.of(Spoken) == []
    assert [entry.body["input"] for entry in brain.asked("speech")][-1] == "It is sunny today. Take a hat!"


async def test_hushed_while_she_speaks(seat: SeatMaker, brain: DictatedMind, tmp_path: Path) -> None:
    """What was said comes in writing, and no sound stays."""
    adam = seat(at(brain), media=tmp_path, ear=Organ(EMBEDDED_SENSES["ear"], EMBEDDED), mouth=at(brain))
    adam.agent.receive(Perceive(1, WEB, [Perception(1, "audio", "", 1, "a.ogg")], [], {}))
    await adam.host(text="How is the weather?")
    (await asked(brain)).say("It is sunny today. ", "And")
    await adam.first(Spoken)
    adam.agent.receive(Hush(1))
    reply = await adam.first(Reply)
    assert [(one.kind, one.content) for one in reply.messages] == [("text", "It is sunny today. And")]
    assert files(tmp_path) == []
