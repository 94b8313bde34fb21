"""The embedded mind: what the model answers, how it consolidates, and its host."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
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
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ
from tests.patience import PATIENCE
from tests.worker.conftest import WEB, SeatMaker
from worker.agent.pace import Pace
from worker.base.log import WorkerLog
from worker.embedded import host as organ_host
from worker.embedded import mind as embedded_mind
from worker.embedded import weights
from worker.embedded.host import OrganHost
from worker.organs.embedded_mind import WORDS_BYTES, first_sentence, tail

ORGAN = Organ(EMBEDDED_MIND, EMBEDDED)


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
