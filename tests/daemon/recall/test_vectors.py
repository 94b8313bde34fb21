"""The work on vectors: in the background, a batch at a time, never while people wait, and not without a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from daemon.ledger import ArchivedLine, Ledger
from daemon.ledger.archive import ArchivedChannel
from daemon.ledger.meaning import MOST_LINES
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.recall.meaning import BUSY, LOOK_EVERY, MODEL, PATIENCE, QUIET, Meaning, Vectors
from proto.host import VECTOR
from proto.records import Organ, Persona
from tests.daemon.supervision.played import ManualClock, log_to, logged, settled

EVE: Final = Persona("00000000-0000-4000-8000-0000000000e5", "Eve", Organ("m"))
MORE_STEPS: Final = 20
MISSING: Final = "The model of meaning is not installed."


class Host:
    """An organ host that makes the same vector of every text, or says why it cannot."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.reason = ""
        self.passing = True
        self.hangs = False

    def embed(self, texts: list[str], _folder: Path) -> asyncio.Task[Vectors]:
        """Take a call."""
        self.asked.append(texts)
        return asyncio.get_running_loop().create_task(self._made(len(texts)))

    async def _made(self, count: int) -> Vectors:
        if self.hangs:
            await asyncio.Event().wait()
        return Vectors(b"" if self.reason else b"\x05" * VECTOR * count, self.reason, self.passing)


class Rig:
    """Meaning with a clock and a host that the test holds."""

    def __init__(self, ledger: Ledger, personas: Personas, log: Log) -> None:
        self.ledger, self.host, self.clock, self.log = ledger, Host(), ManualClock(), log
        self.meaning = Meaning(ledger, self.host.embed, personas, self.clock, log, is_wanted=True)

    async def tell(self, count: int) -> None:
        """Tell her so many lines."""
        channel = ArchivedChannel("web", EVE.id)
        lines = [ArchivedLine("person", f"this is line number {number}", number, channel) for number in range(count)]
        await self.ledger.put_back(EVE.id, lines)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and some more for the work that it begins: each batch takes a few steps."""
        for _ in range(int(seconds / QUIET) + MORE_STEPS):
            await self.clock.advance(QUIET)
            await self.threads()
            await self.ledger.consolidated(EVE.id, 0)
            await settled()

    async def threads(self) -> None:
        """Let the ledger's reading thread answer what it was asked, and the work go on until it waits again."""
        for _ in range(3):
            await self.ledger.has_meaning(EVE.id)
            await settled()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A persona with a ledger, and the work on her vectors under way."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    with log_to(tmp_path / "log") as log:
        personas = Personas(tmp_path / "personas", log)
        with knowing(personas):
            made = Rig(ledger, personas, log)
            filling = asyncio.get_running_loop().create_task(made.meaning.fill())
            yield made
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
    await ledger.close()


@contextmanager
def knowing(personas: Personas) -> Iterator[None]:
    """Let these personas be Eve alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(personas, "all", lambda: [EVE])
        yield


async def test_lines_get_their_vectors_in_batches(rig: Rig) -> None:
    """As many batches as are full; the question is compared from the first one on."""
    await rig.tell(2 * MOST_LINES + 5)
    assert await rig.meaning.of_question(EVE.id, "line?") == b""
    await rig.pass_time(LOOK_EVERY)
    assert [len(texts) for texts in rig.host.asked] == [MOST_LINES, MOST_LINES]
    assert await rig.ledger.meaning_wanted(EVE.id, MODEL) is None
    assert await rig.meaning.of_question(EVE.id, "line?") == b"\x05" * VECTOR


async def test_lines_wait_while_people_do(rig: Rig) -> None:
    """While many messages are committed no batch is made."""
    await rig.tell(MOST_LINES)
    for number in range(40):
        for place in range(BUSY + 1):
            await rig.ledger.is_fed(EVE.id, "k")
            await rig.ledger.consolidated(EVE.id, number * 100 + place)
        await rig.clock.advance(QUIET)
        # A look that begins now counts the commits of the next second, all of them.
        await rig.threads()
    assert rig.host.asked == []
    await rig.pass_time(LOOK_EVERY)
    assert len(rig.host.asked) == 1


async def test_a_question_does_not_wait_for_the_host(rig: Rig) -> None:
    """It is searched by its words when its vector does not come at once."""
    await rig.tell(MOST_LINES)
    await rig.pass_time(LOOK_EVERY)
    rig.host.hangs = True
    asking = asyncio.get_running_loop().create_task(rig.meaning.of_question(EVE.id, "line?"))
    await rig.clock.advance(PATIENCE)
    assert await asking == b""


async def test_a_missing_model_is_told_once(rig: Rig) -> None:
    """Nobody asks for it again; the words are searched all the same."""
    rig.host.reason, rig.host.passing = MISSING, False
    await rig.tell(3 * MOST_LINES)
    await rig.pass_time(3 * LOOK_EVERY)
    assert len(rig.host.asked) == 1
    assert [event["reason"] for event in logged(rig.log, "recall.words_only")] == [MISSING]


async def test_a_passing_failure_is_tried_again(rig: Rig) -> None:
    """A host that died may come back."""
    rig.host.reason = "the organ host died"
    await rig.tell(MOST_LINES)
    await rig.pass_time(2 * LOOK_EVERY)
    tries = len(rig.host.asked)
    assert tries > 1
    rig.host.reason = ""
    await rig.pass_time(LOOK_EVERY)
    assert await rig.ledger.has_meaning(EVE.id)
    assert logged(rig.log, "recall.words_only") == []
