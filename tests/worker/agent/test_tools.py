"""What she does for her owner besides answering: painting, asking her teacher, and speaking."""

from __future__ import annotations

from pathlib import Path

import pytest

from proto.messages import Join, MindDown, Outgoing, Perceive, Perception, Reply
from proto.records import EMBEDDED, EMBEDDED_MIND, EMBEDDED_SENSES, Organ
from proto.secrets import Secret
from tests.emulators import samples
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Emulator, Step
from tests.worker.conftest import WEB, Seat, SeatMaker
from worker.agent.pace import Pace
from worker.prompting.speech import SPOKEN_CHARS, speakable
from worker.prompting.tools import MAX_ROUNDS, MAX_USES

EMBEDDED_BRAIN = Organ(EMBEDDED_MIND, EMBEDDED)
PAINT = Step(calls=(("imagine", '{"description": "a red fox"}'),))
ASK = Step(calls=(("ask_teacher", '{"question": "Why is the sky blue?"}'),))


def at(emulator: Emulator) -> Organ:
    provider = "anthropic" if isinstance(emulator, AnthropicEmulator) else "openai"
    return Organ("test-model", provider, Secret("sk-test-0123456789"), emulator.url)


@pytest.fixture(params=["openai", "anthropic"])
def thinker(request: pytest.FixtureRequest) -> Emulator:
    """The server of her mind, once for each provider."""
    served = request.getfixturevalue(request.param)
    assert isinstance(served, Emulator)
    return served


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Tools


async def test_a_picture_goes_out_beside_the_words(
    seat: SeatMaker, thinker: Emulator, openai: OpenAIEmulator, tmp_path: Path
) -> None:
    """A mind that calls ``imagine`` gets a picture: a complete file with its ``.part-`` link, in its own message."""
    thinker.script(PAINT, Step("There it is."))
    adam = seat(at(thinker), imagination=at(openai), media=tmp_path)
    adam.perceive("Paint a fox")
    words, picture = (await adam.first(Reply)).messages
    assert words == Outgoing("There it is.")
    assert (picture.content, picture.kind) == ("a red fox", "image")
    assert picture.media is not None
    assert files(tmp_path) == sorted([picture.media, f".part-{picture.media}"])
    assert (tmp_path / picture.media).read_bytes() == samples.PNG
    assert picture.media.endswith(".png")
    painted = openai.asked("generations")
    assert [entry.body for entry in painted] == [{"model": "test-model", "prompt": "a red fox", "n": 1}]


async def test_the_teacher_is_asked(seat: SeatMaker, thinker: Emulator, openai: OpenAIEmulator) -> None:
    """A mind that calls ``ask_teacher`` gets the answer. Only the tools that she has are offered."""
    teaching = Organ("teacher-model", "openai", None, openai.url)
    openai.script(*([ASK, Step("Rayleigh!"), Step()] if thinker is openai else [Step("Rayleigh!")]))
    if thinker is not openai:
        thinker.script(ASK)
    adam = seat(at(thinker), teacher=teaching)
    adam.perceive("Why is the sky blue?")
    assert (await adam.first(Reply)).messages == [Outgoing("Rayleigh!")]
    offered = thinker.journal[0].body["tools"]
    assert "ask_teacher" in str(offered)
    assert "imagine" not in str(offered)
    lesson = next(entry.body for entry in openai.journal if entry.body["model"] == "teacher-model")
    assert lesson["messages"] == [{"role": "user", "content": "Why is the sky blue?"}]


async def test_rounds_are_bounded(seat: SeatMaker, thinker: Emulator, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """After four rounds of tools the mind has to answer; the same picture is painted once."""
    thinker.script(*[PAINT] * MAX_ROUNDS, Step("Enough."))
    adam = seat(at(thinker), imagination=at(openai), media=tmp_path)
    adam.perceive("Paint a fox")
    assert [message.kind for message in (await adam.first(Reply)).messages] == ["text", "image"]
    asked = [entry.body for entry in thinker.journal if "messages" in entry.body]
    assert len(asked) == MAX_ROUNDS + 1
    assert ["tool_choice" in body for body in asked] == [False] * MAX_ROUNDS + [True]
    assert len(openai.asked("generations")) == 1


async def test_uses_are_bounded(seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """A mind can use tools at most eight times in one turn."""
    many = tuple(("imagine", f'{{"description": "fox {number}"}}') for number in range(MAX_USES))
    openai.script(Step(calls=many), Step(calls=(("imagine", '{"description": "one more"}'),)), Step())
    adam = seat(at(openai), imagination=at(openai), media=tmp_path)
    adam.perceive("Paint foxes")
    reply = await adam.first(Reply)
    assert [message.kind for message in reply.messages] == ["text"] + ["image"] * MAX_USES
    assert "are the most for one answer" in reply.messages[0].content


@pytest.mark.parametrize(
    ("calls", "says"),
    [
        ((("imagine", "no json"),), "give one text as 'description'"),
        ((("imagine", '{"description": 5}'),), "give one text as 'description'"),
        ((("shell", '{"command": "rm"}'),), "There is no tool 'shell'"),
    ],
)
async def test_calls_that_are_none(
    seat: SeatMaker, openai: OpenAIEmulator, calls: tuple[tuple[str, str], ...], says: str
) -> None:
    """A call that cannot be understood is answered with the reason, and the turn goes on."""
    openai.script(Step(calls=calls))
    adam = seat(at(openai), imagination=at(openai))
    adam.perceive("Paint a fox")
    assert says in (await adam.first(Reply)).messages[0].content


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Step(status=400, message="against the rules"), "against the rules"),
        (Step(failure="malformed"), "a kind that was not asked for"),
    ],
)
async def test_imagination_that_fails(
    seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path, step: Step, says: str
) -> None:
    """A picture that cannot be made is reported to the mind, and leaves no file."""
    openai.script(PAINT)
    openai.script_at("generations", step)
    adam = seat(at(openai), imagination=at(openai), media=tmp_path)
    adam.perceive("Paint a fox")
    assert says in (await adam.first(Reply)).messages[0].content
    assert files(tmp_path) == []


async def test_picture_by_url(seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """A picture that the provider returns as a URL is fetched without her key."""
    openai.gives_urls = True
    openai.script(PAINT)
    adam = seat(at(openai), imagination=at(openai), media=tmp_path)
    adam.perceive("Paint a fox")
    assert (await adam.first(Reply)).messages[1].kind == "image"
    assert "authorization" not in openai.asked("/painted.png")[0].headers


async def test_server_that_refuses_tools(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A server that does not support tools is called again without them, and is not offered tools any more."""
    openai.refuses_tools = True
    adam = seat(at(openai), imagination=at(openai))
    adam.perceive("hello")
    assert (await adam.first(Reply)).messages == [Outgoing("hello")]
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("again"), [], {}))
    await adam.several(Reply, 2)
    assert ["tools" in entry.body for entry in openai.journal] == [True, False, False]
    assert adam.of(MindDown) == []


async def test_join_keeps_what_was_made(seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """A restarted mind call does not paint a picture twice. A picture that no answer uses is removed."""
    openai.script(PAINT, Step(failure="hang"), Step("Never mind then."))
    adam = seat(at(openai), imagination=at(openai), media=tmp_path)
    adam.perceive("Paint a fox")
    await openai.requests(3)
    adam.agent.receive(Join(1, adam.perceptions("No, do not.")))
    assert (await adam.first(Reply)).messages == [Outgoing("Never mind then.")]
    assert files(tmp_path) == []


async def test_join_while_she_paints(seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """Messages that arrive while a picture is being made do not start it again."""
    openai.script(PAINT, PAINT, Step("There it is."))
    openai.script_at("generations", Step(failure="hang"))
    adam = seat(at(openai), imagination=at(openai), media=tmp_path)
    adam.perceive("Paint a fox")
    await openai.requests(2)
    adam.agent.receive(Join(1, adam.perceptions("Quick!")))
    await openai.requests(3)
    openai.release()
    assert [message.kind for message in (await adam.first(Reply)).messages] == ["text", "image"]
    assert len(openai.asked("generations")) == 1


async def test_calls_that_share_an_index(seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """Some servers give all calls the same index; each is identified by its id."""
    openai.counts_calls = False
    openai.script(Step(calls=(*PAINT.calls, ("imagine", '{"description": "a blue owl"}'))), Step("Both."))
    adam = seat(at(openai), imagination=at(openai), media=tmp_path)
    adam.perceive("Paint a fox and an owl")
    made = (await adam.first(Reply)).messages[1:]
    assert [picture.content for picture in made] == ["a red fox", "a blue owl"]


async def test_no_tools_without_organs(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A mind is not offered tools that she does not have."""
    adam = seat(at(openai))
    adam.perceive("hello")
    await adam.first(Reply)
    offered = str(openai.journal[0].body["tools"])
    assert "imagine" not in offered
    assert "ask_teacher" not in offered


async def test_embedded_mind_paints_and_asks(seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """The embedded mind has no tools: requests to her imagination and her teacher are recognized by code."""
    adam = seat(EMBEDDED_BRAIN, imagination=at(openai), teacher=at(openai), media=tmp_path)
    adam.perceive("Please draw me a red fox!")
    words, picture = (await adam.first(Reply)).messages
    assert (words.content, picture.kind, picture.content) == ("Here it is.", "image", "a red fox")
    openai.script(Step("Because of Rayleigh."))
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("Ask your teacher why the sky is blue"), [], {}))
    assert (await adam.several(Reply, 2))[1].messages == [Outgoing("My teacher says: Because of Rayleigh.")]
    assert openai.asked("completions")[0].body["messages"][-1]["content"] == "why the sky is blue"


@pytest.mark.parametrize(
    ("words", "answer"), [("Draw a fox", "I have nothing to draw with"), ("Ask your teacher who won", "no teacher")]
)
async def test_embedded_mind_without_organs(seat: SeatMaker, words: str, answer: str) -> None:
    """Asked for something that she has no organ for, she says so."""
    adam = seat(EMBEDDED_BRAIN)
    adam.perceive(words)
    assert answer in (await adam.first(Reply)).messages[0].content


# Mouth


def hear(adam: Seat) -> None:
    adam.agent.receive(Perceive(1, WEB, [Perception(1, "audio", "", 1, "a.ogg")], [], {}))


def ears_and(mouth: Organ) -> dict[str, Organ]:
    return {"ear": Organ(EMBEDDED_SENSES["ear"], EMBEDDED), "mouth": mouth}


async def test_what_was_spoken_is_answered_aloud(seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """A spoken question gets a spoken answer: one message with text and a complete OGG file, still ``.part-``."""
    openai.script(Step("It is **sunny**."))
    adam = seat(at(openai), media=tmp_path, **ears_and(at(openai)))
    hear(adam)
    await adam.host(text="How is the weather?")
    (message,) = (await adam.first(Reply)).messages
    assert (message.content, message.kind) == ("It is **sunny**.", "audio")
    assert message.media is not None
    assert files(tmp_path) == sorted([message.media, f".part-{message.media}"])
    assert (tmp_path / message.media).read_bytes() == samples.ogg()
    spoken = openai.asked("speech")[0].body
    assert (spoken["input"], spoken["response_format"]) == ("It is sunny.", "opus")
    assert "spoken aloud" in openai.asked("completions")[0].body["messages"][0]["content"]


async def test_embedded_mouth(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """The organ host speaks as well."""
    openai.script(Step("hello to you"))
    adam = seat(at(openai), **ears_and(Organ(EMBEDDED_SENSES["mouth"], EMBEDDED)))
    hear(adam)
    await adam.host(1, text="hello")
    call = await adam.host(2, media="audio-1.ogg")
    assert (call.organ, "hello" in call.text) == ("mouth", True)
    assert (await adam.first(Reply)).messages[0].media == "audio-1.ogg"


@pytest.mark.parametrize("step", [Step(status=500), Step(status=401), Step(failure="malformed")])
async def test_mouth_that_fails(seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path, step: Step) -> None:
    """An answer that cannot be spoken is sent as text, and leaves no file."""
    openai.script(Step("It is sunny."))
    openai.script_at("speech", step)
    adam = seat(at(openai), media=tmp_path, **ears_and(at(openai)))
    hear(adam)
    await adam.host(text="How is the weather?")
    assert (await adam.first(Reply)).messages == [Outgoing("It is sunny.")]
    assert files(tmp_path) == []


async def test_mouth_that_hangs(seat: SeatMaker, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """An answer does not wait for its recording for ever."""
    openai.script_at("speech", Step(failure="hang"))
    adam = seat(at(openai), media=tmp_path, pace=Pace(speaking=0.2), **ears_and(at(openai)))
    hear(adam)
    await adam.host(text="How is the weather?")
    assert (await adam.first(Reply)).messages[0].kind == "text"
    assert files(tmp_path) == []


async def test_what_is_not_said_aloud(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Typed, unintelligible and long messages are answered in writing."""
    adam = seat(at(openai), **ears_and(at(openai)))
    adam.perceive("hello")
    await adam.first(Reply)
    hear(adam)
    await adam.host(1, error="It is no recording.")
    await adam.several(Reply, 2)
    openai.script(Step("x" * (SPOKEN_CHARS + 1)))
    hear(adam)
    await adam.host(2, text="Tell me a long story")
    assert [reply.messages[0].kind for reply in await adam.several(Reply, 3)] == ["text"] * 3
    assert openai.asked("speech") == []


def test_markup_is_not_said() -> None:
    """Markup is left out of the spoken text; the words stay."""
    words = "# News\n- **Big** `x_y` and [a link](http://h/) of 3 * 4\n> so _so_"
    assert speakable(words) == "News\nBig x_y and a link of 3  4\nso so"
    assert speakable("***") == "***"
