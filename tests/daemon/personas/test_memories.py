"""Every change of a memory file is a version, once, whatever cuts it short."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from daemon.ledger import ArchivedLine, Ledger, LedgerFull, Version, Why
from daemon.ledger.archive import ArchivedChannel
from daemon.ledger.memory_history import DAY, FEWEST, MOST_BYTES, MOST_VERSIONS, NEWEST
from daemon.logging.log import Log, Sink
from daemon.personas import atomic_files
from daemon.personas.memories import AnotherVersion, Memories, NothingToUndo, NoVersion
from daemon.personas.personas import MAX_MEMORY_FILE, MAX_MEMORY_FILES, MemoryChanged, Personas, PersonasError
from daemon.runtime.clock import SystemClock
from daemon.settings.settings import Logs
from proto.records import Organ, Persona
from tests.daemon.personas.dying import AFTER, BEFORE, STEPS
from tests.patience import PATIENCE

TALK = Why("talk", last=2, said_from=1, said_to=2)
EVE = str(uuid.uuid4())


def any_version(_: Version) -> bool:
    """Whatever the last version is."""
    return True


def killed(folder: Path, step: str) -> int:
    """Have a process die at this step of a change; return its exit code."""
    arguments = [sys.executable, "-m", "tests.daemon.personas.dying", str(folder), EVE, step]
    return subprocess.run(arguments, timeout=PATIENCE, check=False).returncode


class House:
    """Eve on the disk, and the ledger beside her, as one run of the daemon has them."""

    def __init__(self, folder: Path, ledger: Ledger, log: Log) -> None:
        self.ledger = ledger
        self.personas = Personas(folder / "personas", log)
        self.memories = Memories(self.personas, ledger, SystemClock(), log)
        self._files = folder / "personas" / EVE / "memory"

    def file(self, name: str) -> Path:
        """One of her memory files."""
        return self._files / f"{name}.md"

    async def load(self) -> None:
        """What a start does."""
        await self.personas.load()
        await self.memories.load()

    async def told(self, file: str) -> list[tuple[str, str | None]]:
        """The reason and the text of each version, oldest first."""
        found = list[tuple[str, str | None]]()
        for one in reversed(await self.ledger.memory_versions(EVE, file)):
            kept = await self.ledger.memory_version(EVE, file, one.version)
            assert kept is not None
            found.append((one.why.cause, kept[1]))
        return found


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with (tmp_path / "log").open("wb") as stream:
        yield Log(Sink(Logs(), stream.fileno(), terminal=False))


@pytest.fixture
async def house(tmp_path: Path, log: Log) -> AsyncIterator[House]:
    """Eve, who was told two lines, and in whose history person.md is by hand."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    house = House(tmp_path, ledger, log)
    await house.load()
    await house.personas.create(Persona(EVE, "Eve", Organ("m")))
    await house.memories.note(EVE)
    web = ArchivedChannel("web", EVE)
    await ledger.put_back(EVE, [ArchivedLine("person", "hi", 1, web), ArchivedLine("person", "a boat!", 2, web)])
    house.file("person").write_text(BEFORE["person"])
    await house.memories.note(EVE)
    yield house
    await ledger.close()


async def test_a_consolidation_and_its_versions_are_one(house: House) -> None:
    """Files, versions with the lines that they come from, and the mark of what is consolidated change together."""
    await house.memories.change(EVE, BEFORE, AFTER, TALK)

    assert {name: house.file(name).read_text() for name in AFTER} == AFTER
    assert await house.told("person") == [("hand", BEFORE["person"]), ("talk", AFTER["person"])]
    [version] = await house.ledger.memory_versions(EVE, "wishes")
    assert (version.version, version.why.first, version.why.last) == (1, 1, 2)
    assert await house.ledger.unconsolidated(EVE, 9) == (0, [])


async def test_a_talk_that_changes_nothing_is_consolidated(house: House) -> None:
    """It makes no version, and is not asked about again."""
    await house.memories.change(EVE, BEFORE, {}, TALK)
    assert await house.told("person") == [("hand", BEFORE["person"])]
    assert await house.ledger.unconsolidated(EVE, 9) == (0, [])
    assert await house.ledger.open_changes(EVE) == []


@pytest.mark.parametrize("step", STEPS)
async def test_kill_9_between_any_two_steps(house: House, tmp_path: Path, log: Log, step: str) -> None:
    """The next start has the whole change or nothing of it, each version once, and knows which lines are learned."""
    await house.ledger.close()
    code = killed(tmp_path, step)
    house.ledger = await Ledger.open(tmp_path / "ledger.db")
    again = House(tmp_path, house.ledger, log)
    await again.load()
    await again.memories.note(EVE)

    assert code == -signal.SIGKILL
    hand, talk = ("hand", BEFORE["person"]), ("talk", AFTER["person"])
    if step == "before it is kept":
        assert await again.told("person") == [hand]
        assert not again.file("wishes").exists()
        assert (await again.ledger.unconsolidated(EVE, 9))[0] == 2
    else:
        assert {name: again.file(name).read_text() for name in AFTER} == AFTER
        assert await again.told("person") == [hand, talk]
        assert await again.told("wishes") == [("talk", AFTER["wishes"])]
        assert await again.ledger.unconsolidated(EVE, 9) == (0, [])
    assert await again.ledger.open_changes(EVE) == []


async def test_edited_while_the_daemon_was_off(house: House, tmp_path: Path, log: Log) -> None:
    """What an editor wrote after a kill stays, as a version by hand; what the kill left written keeps its reason."""
    await house.ledger.close()
    killed(tmp_path, "one file written")
    house.file("wishes").write_text("- a plane\n")
    house.ledger = await Ledger.open(tmp_path / "ledger.db")
    again = House(tmp_path, house.ledger, log)
    await again.load()

    assert await again.told("person") == [("hand", BEFORE["person"]), ("talk", AFTER["person"])]
    assert await again.told("wishes") == [("hand", "- a plane\n")]
    assert (await again.ledger.unconsolidated(EVE, 9))[0] == 2, "the talk is consolidated once more"


async def test_what_was_there_before_the_history(tmp_path: Path, log: Log) -> None:
    """A file of an earlier personad is found; one that comes, changes or goes afterwards was edited by hand."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    house = House(tmp_path, ledger, log)
    await house.load()
    await house.personas.create(Persona(EVE, "Eve", Organ("m")))
    house.file("person").write_text("old\n")
    await House(tmp_path, ledger, log).load()
    house.file("person").unlink()
    house.file("traits").write_text("calm\n")
    await house.memories.note(EVE)
    await house.memories.note(EVE)

    assert await house.told("person") == [("found", "old\n"), ("hand", None)]
    assert await house.told("traits") == [("hand", "calm\n")]
    await ledger.close()


async def test_a_mind_does_not_overwrite_an_editor(house: House) -> None:
    """A file that was edited meanwhile stays, the edit becomes a version, and nothing else of the change is kept."""
    house.file("person").write_text("- Name: Samantha\n")
    with pytest.raises(MemoryChanged):
        await house.memories.change(EVE, BEFORE, AFTER, TALK)

    assert await house.told("person") == [("hand", BEFORE["person"]), ("hand", "- Name: Samantha\n")]
    assert not house.file("wishes").exists()
    assert (await house.ledger.unconsolidated(EVE, 9))[0] == 2
    assert await house.ledger.open_changes(EVE) == []


async def test_a_disk_that_is_full_in_the_middle(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a change is given up: the half that is written keeps its reason, and the talk waits."""
    write = atomic_files.write

    def full(path: Path, data: bytes) -> None:
        if path.name == "wishes.md":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(atomic_files, "write", full)
    with pytest.raises(PersonasError, match="No space"):
        await house.memories.change(EVE, BEFORE, AFTER, TALK)
    monkeypatch.undo()

    assert await house.told("person") == [("hand", BEFORE["person"]), ("talk", AFTER["person"])]
    assert await house.told("wishes") == []
    assert (await house.ledger.unconsolidated(EVE, 9))[0] == 2


async def test_a_ledger_that_is_full_at_the_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are written and the versions are not: the next call settles that, and doubles nothing."""

    async def full(_: int) -> None:
        raise LedgerFull("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(house.ledger, "finish_change", full)
        with pytest.raises(LedgerFull):
            await house.memories.change(EVE, BEFORE, AFTER, TALK)
        await house.memories.note(EVE)
    await house.memories.settle(EVE)
    await house.memories.note(EVE)

    assert await house.told("person") == [("hand", BEFORE["person"]), ("talk", AFTER["person"])]
    assert await house.told("wishes") == [("talk", AFTER["wishes"])]
    assert await house.ledger.unconsolidated(EVE, 9) == (0, [])


async def test_undo_and_its_undo(house: House) -> None:
    """The last change is taken back, and taking that back brings it again; a file that was not there goes."""
    await house.memories.change(EVE, BEFORE, AFTER, TALK)
    texts = []
    for _ in range(3):
        await house.memories.undo(EVE, "person", None, any_version)
        texts.append(house.file("person").read_text())
    gone = await house.memories.undo(EVE, "wishes", None, any_version)
    was_there = house.file("wishes").exists()
    back = await house.memories.undo(EVE, "wishes", 1, any_version)

    assert texts == [BEFORE["person"], AFTER["person"], BEFORE["person"]]
    assert [one.why.restores for one in await house.ledger.memory_versions(EVE, "person")][:3] == [3, 2, 1]
    assert (gone.version, gone.size, gone.why.restores, was_there) == (2, None, 0, False)
    assert (back.version, house.file("wishes").read_text()) == (3, AFTER["wishes"])
    assert house.personas.memory(EVE) == {"person": BEFORE["person"], "wishes": AFTER["wishes"]}


async def test_what_cannot_be_undone(house: House) -> None:
    """Another file, a version that is not kept, today's own, and a file that was changed since it was read."""
    house.file("person").write_text("- Name: Samantha\n")
    for file, version, refusal in (
        ("wishes", None, NoVersion),
        ("person", 7, NoVersion),
        ("person", 2, NothingToUndo),
    ):
        with pytest.raises(refusal):
            await house.memories.undo(EVE, file, version, any_version)
    with pytest.raises(AnotherVersion):
        await house.memories.undo(EVE, "person", None, lambda last: last.version == 1)
    assert house.file("person").read_text() == "- Name: Samantha\n"


async def test_an_edit_that_is_not_noticed_yet_is_not_lost_to_an_undo(house: House) -> None:
    """It becomes a version first, so the undo takes back that edit."""
    house.file("person").write_text("- Name: Samantha\n")
    await house.memories.undo(EVE, "person", None, any_version)

    assert await house.told("person") == [
        ("hand", BEFORE["person"]),
        ("hand", "- Name: Samantha\n"),
        ("undo", BEFORE["person"]),
    ]


async def test_what_cannot_be_read_is_no_change(house: House) -> None:
    """A file that somebody makes too large or no text is neither a version nor overwritten."""
    house.file("person").write_bytes(b"x" * (MAX_MEMORY_FILE + 1))
    await house.memories.note(EVE)
    with pytest.raises(PersonasError, match=r"person\.md cannot be read"):
        await house.memories.change(EVE, {}, {"person": "- Name: Sam\n"}, TALK)

    assert await house.told("person") == [("hand", BEFORE["person"])]
    assert len(house.file("person").read_bytes()) == MAX_MEMORY_FILE + 1


async def test_her_memory_is_bounded(house: House) -> None:
    """A process that says too much changes nothing."""
    many = {f"file-{number}": "x" for number in range(MAX_MEMORY_FILES)}
    for after, word in ((many, "files"), ({"wishes": "x" * (MAX_MEMORY_FILE + 1)}, "bytes")):
        with pytest.raises(PersonasError, match=word):
            await house.memories.change(EVE, BEFORE, after, TALK)
    assert sorted(house.personas.memory(EVE)) == ["person"]


async def test_a_deleted_persona_leaves_no_history(house: House, tmp_path: Path, log: Log) -> None:
    """Her versions go with her, and so does a change that was under way."""
    await house.ledger.begin_change(EVE, TALK, {}, {"person": "secret"}, 1)
    await house.personas.delete(EVE)
    await House(tmp_path, house.ledger, log).load()
    assert await house.ledger.open_changes(EVE) == []
    await house.ledger.forget(EVE)
    assert await house.ledger.memory_files(EVE) == []
    assert await house.ledger.memory_digests(EVE) is None


async def test_old_versions_are_thinned_out(house: House) -> None:
    """The newest are all there, of the older ones each day's last, and never more than the limits say."""
    for number in range(2 * NEWEST):
        await house.ledger.note_memory(EVE, {"traits": f"{number}"}, Why("hand"), number * DAY // 4)
    kept = [one.version for one in await house.ledger.memory_versions(EVE, "traits")]
    assert kept[:NEWEST] == list(range(2 * NEWEST, NEWEST, -1))
    older = kept[NEWEST:]
    assert older[0] == NEWEST
    assert {one - two for one, two in pairwise(older[1:])} == {4}, "four of a day become one"

    for number in range(2 * MOST_VERSIONS):
        await house.ledger.note_memory(EVE, {"wishes": f"{number}"}, Why("hand"), number * DAY)
    assert len(await house.ledger.memory_versions(EVE, "wishes")) == MOST_VERSIONS


async def test_large_versions_are_thinned_out(house: House) -> None:
    """The oldest go when all are too large, but never the last two."""
    body = "x" * (MOST_BYTES // 10 - 20)
    for number in range(15):
        await house.ledger.note_memory(EVE, {"traits": f"{number:010}{body}"}, Why("hand"), number)
    assert [one.version for one in await house.ledger.memory_versions(EVE, "traits")] == list(range(15, 5, -1))
    for number in range(3):
        await house.ledger.note_memory(EVE, {"wishes": f"{number}" * MOST_BYTES}, Why("hand"), number)
    assert len(await house.ledger.memory_versions(EVE, "wishes")) == FEWEST
