"""The embedded mind: what code answers, what the model answers, and how it remembers."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from proto.host import Answered, FromHost, Generate
from proto.messages import (
    ChatTurn,
    Consolidate,
    Consolidated,
    Line,
    MindDown,
    MindLimits,
    OrganCall,
    OrganResult,
    Perceive,
    Perception,
    Reply,
)
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ, Persona
from tests.patience import PATIENCE
from tests.worker.conftest import WEB, SeatMaker
from worker.agent.pace import Pace
from worker.base.log import WorkerLog
from worker.embedded import host as organ_host
from worker.embedded import mind as embedded_mind
from worker.embedded import weights
from worker.embedded.host import OrganHost
from worker.organs.embedded_mind import WORDS_BYTES, first_sentence, tail
from worker.organs.known import WHAT, known_answer
from worker.organs.statements import fold, stated
from worker.prompting.prompt import Prompt

ORGAN = Organ(EMBEDDED_MIND, EMBEDDED)
NOW = datetime.fromisoformat("2026-11-22T09:05:00+01:00")
PERSON = (
    "- Name: Sam\n- Dog's name: Biscuit\n- Likes: jazz\n- Likes: tea\n- Favourite colour: green\n- Lives in: Lisbon\n"
)


def asked(
    *words: str, person: str = PERSON, history: list[Line] | None = None, birthday: str = "2026-11-20"
) -> str | None:
    perceptions = [Perception(number, "text", word, number) for number, word in enumerate(words, 1)]
    adam = Persona(WEB.name, "Adam", ORGAN, birthday=birthday)
    return known_answer(Prompt(adam, {"person": person}, history or [], perceptions, NOW))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is your name?", "My name is Adam."),
        ("hi, what's your name", "My name is Adam."),
        ("What’s your name?", "My name is Adam."),
        ("How old are you?", "I was born on 2026-11-20, 2 days ago."),
        ("What time is it?", "It is 09:05."),
        ("What day is it today?", "Today is Sunday, 22 November 2026."),
        ("What is my name?", "Your name is Sam."),
        ("Who am I?", "Your name is Sam."),
        ("Where do I live?", "You live in Lisbon."),
        ("What do I like?", "You like jazz and tea."),
        ("What is my dog called?", "Your dog is called Biscuit."),
        ("what's my dog's name?", "Your dog is called Biscuit."),
        ("What is the name of my dog?", "Your dog is called Biscuit."),
        ("What is my favorite colour?", "Your favourite colour is green."),
        ("What is my cat called?", "I do not know that yet. Tell me about your cat, and I will remember it."),
        ("My name is Kim.", "Nice to meet you, Kim. I will remember your name."),
        ("Remember that the door code is 4711", "I will remember that."),
        ("  ", "Your message was empty."),
    ],
)
def test_code_answers(question: str, answer: str) -> None:
    """Questions about her, the time and what she was told are answered from facts, whatever the punctuation."""
    assert (asked(question) or "").replace("favorite", "favourite") == answer


@pytest.mark.parametrize(
    "words",
    ["Hello!", "What is the capital of France?", "Tell me a joke.", "What is your opinion of my name?", "I like it."],
)
def test_model_answers_the_rest(words: str) -> None:
    """Anything but a question of facts is left to the model."""
    assert asked(words) is None


def test_who_are_you_is_honest() -> None:
    """She says who she is and that her built-in mind is very small."""
    answer = asked("Who are you?") or ""
    assert "Adam" in answer
    assert "very small" in answer


def test_what_was_just_said_is_known() -> None:
    """A fact from this conversation is known before any consolidation, and the newest one counts."""
    history = [Line("person", "My name is Kim. I live in Porto.", 1), Line("assistant", "My name is Adam.", 2)]
    assert asked("What is my name?", history=history) == "Your name is Kim."
    assert asked("I live in Braga now.", "Where do I live?", history=history) == (
        "I will remember that. You live in Braga."
    )
    assert asked("What is my name?", person="") == "I do not know your name yet. Tell me, and I will remember it."


def test_burst_with_one_question_for_the_model() -> None:
    """Code answers a burst only when it can answer all of it."""
    assert asked("What is your name?", "What is my name?") == "My name is Adam. Your name is Sam."
    assert asked("What is your name?", "Tell me a joke.") is None


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        ("My name is Sam.", [("Name", "Sam")]),
        ("my name is sam", [("Name", "sam")]),
        ("Please call me Anna Maria!", [("Name", "Anna Maria")]),
        ("Call me later", []),
        ("My name is on the list", []),
        ("I live in Lisbon, near the river.", [("Lives in", "Lisbon, near the river")]),
        ("My name is Robert and I live in Berlin.", [("Name", "Robert"), ("Lives in", "Berlin")]),
        ("I love Rome and my wife.", [("Likes", "Rome and my wife")]),
        ("I really love old maps", [("Likes", "old maps")]),
        ("I like it", []),
        ("I like Italian food", [("Likes", "Italian food")]),
        ("I don’t like loud places.", [("Dislikes", "loud places")]),
        ("My dog is called Biscuit. My sister's name is Ana.", [("Dog's name", "Biscuit"), ("Sister's name", "Ana")]),
        ("I have a cat named Tom", [("Cat's name", "Tom")]),
        ("My favourite colour is green", [("Favourite colour", "green")]),
        ("Remember that I am allergic to nuts", [("Remember", "I am allergic to nuts")]),
        ("Remember me?", []),
        ("Is my name Sam?", []),
        ("My day is terrible", []),
        ("He said my name is Sam", []),
        ("My dog is sick", []),
        ("In Paris, I love the rain", []),
        ("I live in Bremen now, not in Hamburg.", [("Lives in", "Bremen")]),
        ("I like tea, not coffee", [("Likes", "tea")]),
        ("My dentist is Dr. Braun.", [("Dentist's name", "Dr. Braun")]),
        ("Remember the door is locked, not open", [("Remember", "the door is locked, not open")]),
        ("Hello Ada, please remember that Eva is coming.", [("Remember", "Eva is coming")]),
        ("Hello Adam, Please remember that Eva is coming", [("Remember", "Eva is coming")]),
        ("Ada, remember that Eva is coming", [("Remember", "Eva is coming")]),
        ("Good morning Ada! Please remember: Eva is coming", [("Remember", "Eva is coming")]),
        ("Can you please remember that Eva is coming?", [("Remember", "Eva is coming")]),
        ("Don\u2019t forget that Eva is coming", [("Remember", "Eva is coming")]),
        ("Please note that Eva is coming", [("Remember", "Eva is coming")]),
        ("Do you remember that Eva is coming?", []),
        ("Remember when Eva came?", []),
        ("Hi Ada, my name is Sam.", [("Name", "Sam")]),
        ("Remember that my name is Sam.", [("Remember", "my name is Sam"), ("Name", "Sam")]),
        (f"Remember that {'a word ' * 40}counts", [("Remember", f"{'a word ' * 40}counts")]),
        ("Please remember that.", []),
        ("Remember something for me", []),
        ("Can you remember my dog's name?", []),
        ("Write down a poem", []),
        ("My bicycle is green. Please remember that.", [("Remember", "My bicycle is green")]),
        ("My name is Sam. Remember it!", [("Name", "Sam")]),
        (
            "Remember this:\n- my bicycle is green\n- my name is Sam\nWhat time is it?",
            [("Remember", "my bicycle is green"), ("Remember", "my name is Sam"), ("Name", "Sam")],
        ),
    ],
)
def test_statements(words: str, facts: list[tuple[str, str]]) -> None:
    """Plain statements about the person are found; questions, remarks in passing and moods are not."""
    assert [tuple(fact) for fact in stated(words)] == facts


@pytest.mark.parametrize(
    "request_words",
    [
        "Remember that {}",
        "I need you to remember that {}.",
        "I'd like you to remember that {}",
        "I want you to remember: {}",
        "You should remember that {}",
        "Make sure you remember that {}",
        "Do remember that {}",
        "Can you remember that {}?",
        "Could you please remember {}?",
        "Would you keep in mind that {}?",
        "Don't forget that {}",
        "Never forget that {}",
        "Note that {}",
        "Note to self: {}",
        "Make a note that {}",
        "Please make a mental note of this: {}",
        "Take note: {}",
        "Keep in mind that {}",
        "Keep this in mind: {}",
        "Bear in mind that {}",
        "Write down that {}",
        "For the record, {}",
        "Adam, for the record: {}",
        "For future reference, {}",
        "FYI {}",
        "Just so you know, {}",
    ],
)
def test_every_way_to_ask_her_to_remember(request_words: str) -> None:
    """However it is put, the same note is kept, she says so, and a question for the attribute finds it."""
    words = request_words.format("my bicycle is green")
    assert [tuple(fact) for fact in stated(words)] == [("Remember", "my bicycle is green")]
    history = [Line("person", words, 1)]
    assert asked("What colour is my bicycle?", person="", history=history) == (
        "You asked me to remember: my bicycle is green."
    )


@pytest.mark.parametrize(
    "words", ["Please remember that", "Remember!", "Hello Adam, keep it in mind", "note this down"]
)
def test_a_request_that_says_nothing_is_asked_back(words: str) -> None:
    """Words that do not say what is to be remembered are not a note."""
    assert asked(words, person="") == WHAT


def test_fold_keeps_what_a_person_wrote() -> None:
    """Facts replace or join their own bullets; other lines of the file stay as they are."""
    file = "# About Sam\n\n- Name: Sam\nfree words: here\n- Likes: jazz\n"
    folded = fold(file, [*stated("My name is Samuel"), *stated("I like Jazz"), *stated("I like tea")])
    assert folded == "# About Sam\n\n- Name: Samuel\nfree words: here\n- Likes: jazz\n- Likes: tea\n"
    assert fold(folded, stated("I like tea")) == folded


async def test_consolidation_by_code(seat: SeatMaker) -> None:
    """Consolidation notes what the person stated, not what she said, and calls no model."""
    adam = seat(ORGAN)
    talk = [Line("person", "My dog is called Biscuit.", 1), Line("assistant", "My name is Adam.", 2)]
    adam.agent.receive(Consolidate(1, talk, {"person": "- Name: Sam\n"}))
    done = await adam.first(Consolidated)
    assert done.memory == {"person": "- Name: Sam\n- Dog's name: Biscuit\n"}
    assert adam.of(OrganCall) == []


async def test_code_answer_waits_for_nothing(seat: SeatMaker) -> None:
    """A question that code answers needs no model and no pause: even with pauses of an hour it is answered."""
    hour = 3600.0
    adam = seat(ORGAN, pace=Pace(hour, hour, hour, hour, hour, hour, hour))
    adam.perceive("What is your name?")
    reply = await adam.first(Reply)
    assert reply.messages[0].content == "My name is Adam."
    assert adam.of(OrganCall) == []


async def test_model_is_asked_in_the_trained_form(seat: SeatMaker) -> None:
    """The organ host gets the trained system prompt, only the new messages, and 40 tokens; one sentence comes back."""
    adam = seat(ORGAN)
    adam.perceive("What is the capital of France?", history=[Line("person", "hello", 1), Line("assistant", "hi", 2)])
    call = await adam.first(OrganCall)
    assert (call.organ, call.max_tokens) == ("thinking", 40)
    assert call.turns == [
        ChatTurn("system", "You are a helpful AI assistant named Adam."),
        ChatTurn("user", "What is the capital of France?"),
    ]
    adam.agent.receive(OrganResult(call.call, text="The capital of France is Paris. It has many"))
    assert (await adam.first(Reply)).messages[0].content == "The capital of France is Paris."


async def test_host_error_is_a_mind_down(seat: SeatMaker) -> None:
    """A failing organ host is reported, and called again until it answers."""
    adam = seat(ORGAN)
    adam.perceive("Tell me a joke.")
    adam.agent.receive(OrganResult((await adam.first(OrganCall)).call, error="The embedded mind is not installed."))
    assert (await adam.first(MindDown)).reason == "The embedded mind is not installed."
    again = (await adam.several(OrganCall, 2))[1]
    adam.agent.receive(OrganResult(again.call, text="Knock knock, who is there?"))
    await adam.first(Reply)


async def test_host_that_never_answers(seat: SeatMaker) -> None:
    """A lost result does not hold up a turn for ever."""
    adam = seat(ORGAN, limits=MindLimits(0.1, 0.1, 0))
    adam.perceive("Tell me a joke.")
    assert "no answer within 0.1 s" in (await adam.first(MindDown)).reason


async def test_file_without_an_organ(seat: SeatMaker) -> None:
    """A picture is answered honestly without the model."""
    adam = seat(ORGAN)
    adam.agent.receive(Perceive(1, WEB, [Perception(1, "image", "my cat", 1, "cat.png")], [], {}))
    assert "nothing to perceive it with" in (await adam.first(Reply)).messages[0].content


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Paris is the capital. And more", "Paris is the capital."),
        ("Hello! How can I help you today? I am", "Hello! How can I help you today?"),
        ("no end at all", "no end at all"),
        ("It costs 3.50 euros. Cheap", "It costs 3.50 euros."),
        ("", ""),
    ],
)
def test_first_sentence(text: str, cut: str) -> None:
    """The first meaningful sentence is kept."""
    assert first_sentence(text) == cut


def test_long_words_fit_the_model() -> None:
    """The end of a text that is too long for the model is kept, and no character is cut in half."""
    assert tail("é" * 5000 + "x") == "é" * ((WORDS_BYTES - 1) // 2) + "x"


# The organ host


class Host:
    """An organ host with what it sent."""

    def __init__(self, model: str = "") -> None:
        self.sent: asyncio.Queue[FromHost] = asyncio.Queue()
        self.host = OrganHost(self.sent.put_nowait, model, 0, WorkerLog())

    async def generate(self, call: int, words: str) -> Answered:
        self.host.receive(Generate(call, [ChatTurn("user", words)], 12))
        return await self.result()

    async def result(self) -> Answered:
        async with asyncio.timeout(PATIENCE):
            result = await self.sent.get()
        assert isinstance(result, Answered)
        return result


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    """An organ host with the packaged model."""
    made = Host()
    yield made
    await made.host.close()


async def test_real_generation(host: Host) -> None:
    """The packaged model is loaded and answers, greedily the same each time, while the event loop keeps running."""
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    beating = asyncio.create_task(beat())
    turns = [
        ChatTurn("system", "You are a helpful AI assistant named Adam."),
        ChatTurn("user", "What is the capital of France?"),
    ]
    host.host.receive(Generate(1, turns, 20))
    host.host.receive(Generate(2, turns, 20))
    first, second = await host.result(), await host.result()
    beating.cancel()
    assert (first.call, second.call, first.error) == (1, 2, None)
    assert first.text == second.text
    assert "Paris" in (first.text or "")
    # A loop that waited for the model would run only between its loading and the two answers.
    assert beats > 10


async def test_nobody_else_reaches_the_model(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded model opens no TCP port, and leaves no socket on disk to connect to."""
    before = listening_ports()
    with tempfile.TemporaryDirectory() as own:
        monkeypatch.setattr(tempfile, "tempdir", own)
        assert (await host.generate(1, "hello")).text
        assert entries(own) == []
    assert listening_ports() <= before


def entries(folder: str) -> list[Path]:
    """What lies in a folder."""
    return list(Path(folder).iterdir())


def listening_ports() -> set[str]:
    """Local addresses of this machine's TCP sockets in state LISTEN."""
    tables = [Path("/proc/self/net") / name for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[3] == "0A" and row[9] in own_sockets()}


def own_sockets() -> set[str]:
    """The inodes of this process's sockets."""
    inodes = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    return inodes


async def test_words_too_long_for_the_model(host: Host) -> None:
    """A prompt larger than the context is an error of that call, and the next one is answered."""
    assert "exceeds the available context" in ((await host.generate(1, "x " * 5000)).error or "")
    assert (await host.generate(2, "hello")).text


async def test_too_many_calls(host: Host) -> None:
    """The queue is bounded: a call too many is refused at once, with a reason."""
    for call in range(organ_host.MOST_CALLS + 1):
        host.host.receive(Generate(call, [ChatTurn("user", "hello")], 1))
    refused = await host.result()
    assert refused.call == organ_host.MOST_CALLS
    assert "busy" in (refused.error or "")


async def test_own_model_that_is_not_there(tmp_path: Path) -> None:
    """If the operator's model file does not exist, the reason names its path."""
    missing = Host(str(tmp_path / "mine.gguf"))
    assert "mine.gguf" in ((await missing.generate(1, "hello")).error or "")
    await missing.host.close()


async def test_own_model_that_is_none(tmp_path: Path) -> None:
    """A file that is not a model is an error of the call, not the end of the host."""
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF but not really")
    broken = Host(str(path))
    assert "could not be loaded" in ((await broken.generate(1, "hello")).error or "")
    await broken.host.close()


async def test_weights_that_are_not_the_packaged_ones(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights with another checksum are not loaded."""
    package = tmp_path / weights.MIND.package
    package.mkdir()
    (package / "__init__.py").touch()
    (package / weights.MIND.file).write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    assert "SHA-256" in ((await host.generate(1, "hello")).error or "")


def test_check_finds_the_packages(tmp_path: Path) -> None:
    """The embedded mind is there if its packages are installed; a missing model file of the operator's is reported."""
    assert embedded_mind.check() == ""
    assert "no model file" in embedded_mind.check(str(tmp_path / "mine.gguf"))
