"""Her instructions are the Markdown files of one folder: each is told, or it is said why not."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from daemon.logging.log import Log, Sink
from daemon.personas.instruction_files import (
    FILE_BYTES,
    INTENTION_CHARS,
    MOST_BYTES,
    MOST_FILES,
    Instruction,
    InstructionFault,
    checked,
    parsed,
    rendered,
)
from daemon.personas.instructions import InstructionChanged, InstructionRefused, Instructions, NoInstruction
from daemon.personas.personas import Personas
from daemon.settings.settings import Logs
from proto.records import Organ, Persona
from tests.daemon.supervision.played import logged

EVE = str(uuid.uuid4())
GREET = Instruction("greet", "When I come home", "Say hello.")
OPEN = Instruction("hours", "When somebody asks for the hours", "From nine to five.", visitors=True)


class Desk:
    """Eve's instructions, and their folder."""

    def __init__(self, folder: Path, log: Log) -> None:
        self.log = log
        self.personas = Personas(folder / "personas", log)
        self.told = Instructions(self.personas, log)
        self.folder = folder / "personas" / EVE / "instructions"

    async def reason(self, file: str) -> str:
        """What is wrong with a file."""
        await self.told.reload(EVE)
        return self.told.faults(EVE).get(f"instructions/{file}", "")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Eve, who is told two things, one of them also for visitors."""
    with (tmp_path / "log").open("wb") as stream:
        desk = Desk(tmp_path, Log(Sink(Logs(), stream.fileno(), terminal=False)))
        await desk.personas.load()
        await desk.personas.create(Persona(EVE, "Eve", Organ("m")))
        for one in (OPEN, GREET):
            await desk.told.put(EVE, one, lambda _: True)
        yield desk


@pytest.mark.parametrize("one", [GREET, OPEN, Instruction("a", "---", "# A heading\n\n- a list")])
def test_what_is_written_is_read(one: Instruction) -> None:
    """A file that was written for an instruction is that instruction."""
    assert parsed(one.file, rendered(one)) == one


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"Say hello.", Instruction("be-kind", "be kind", "Say hello.")),
        (b"\xef\xbb\xbf# Kind\r\n\r\nSay hello.\r\n", Instruction("be-kind", "Kind", "Say hello.")),
        (b"---\nVisitors: No\n\n---\n\n# Kind\nSay.", Instruction("be-kind", "Kind", "Say.")),
        (b"---\nvisitors: true\n---\nSay.", Instruction("be-kind", "be kind", "Say.", visitors=True)),
        (b"#hashtag is no heading", Instruction("be-kind", "be kind", "#hashtag is no heading")),
    ],
)
def test_forms_of_a_file(data: bytes, expected: Instruction) -> None:
    """A file may lack a heading, or come from another system."""
    assert parsed("be-kind.md", data) == expected


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfe", "not UTF-8, at byte 0"),
        (b"x" * 1_000_000, "larger than"),
        (b"", "says nothing"),
        (b"# Only a heading", "says nothing"),
        (b"# " + b"x" * (INTENTION_CHARS + 1) + b"\nSay.", "one line of at most"),
        (b"---\nvisitor: yes\n---\nSay.", "line 2: only"),
        (b"---\nvisitors: yes\nSay.", "line 3"),
        (b"---\nvisitors: yes\n", "not closed"),
    ],
)
def test_faulty_files(data: bytes, says: str) -> None:
    """What is wrong is said in words for whoever wrote the file; a mark with a typo tells no visitor anything."""
    with pytest.raises(InstructionFault, match=says):
        parsed("x.md", data)


async def test_whom_they_are_told(desk: Desk) -> None:
    """Her owner's conversations are told all of them in the order of their names, visitors' those marked for them."""
    assert desk.told.orders(EVE) == ["# When I come home\n\nSay hello.", OPEN.text]
    assert desk.told.orders(EVE, visitors=True) == [OPEN.text]
    assert desk.told.orders("somebody else") == []


def _large(folder: Path) -> None:
    (folder / "bad.md").write_bytes(b"x" * 1_000_000)


def _latin(folder: Path) -> None:
    (folder / "bad.md").write_bytes("Grüße".encode("latin-1"))


def _folder(folder: Path) -> None:
    (folder / "bad.md").mkdir()


def _link(folder: Path) -> None:
    (folder / "bad.md").symlink_to("/etc/passwd")


def _dangling(folder: Path) -> None:
    (folder / "bad.md").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("make", "says"),
    [(_large, "larger"), (_latin, "not UTF-8"), (_folder, "no file"), (_link, "a link"), (_dangling, "a link")],
)
async def test_one_bad_file_leaves_the_others(desk: Desk, make: Callable[[Path], None], says: str) -> None:
    """It is named with its reason, in the log once, and the others are told; when it is gone, all is well."""
    make(desk.folder)
    assert says in await desk.reason("bad.md")
    await desk.told.reload(EVE)
    assert desk.told.all(EVE) == [GREET, OPEN]
    assert [one["file"] for one in logged(desk.log, "instruction.unusable")] == ["instructions/bad.md"]
    if make is not _folder:
        await desk.told.remove(EVE, "bad", lambda known: known is None)
        assert desk.told.faults(EVE) == {}


async def test_names_that_are_not_taken(desk: Desk) -> None:
    """A Markdown file with another name is named; drafts and other files of editors are not."""
    for name in ("Good Night.md", "x" * 70 + ".md", ".draft.md", "greet.md~", "notes.txt"):
        (desk.folder / name).write_text("Say.")
    await desk.told.reload(EVE)
    assert sorted(desk.told.faults(EVE)) == ["instructions/Good Night.md", f"instructions/{'x' * 70}.md"]


async def test_a_folder_that_leads_elsewhere(desk: Desk, tmp_path: Path) -> None:
    """A link in place of the folder is not followed, neither for reading nor for writing."""
    elsewhere = tmp_path / "elsewhere"
    desk.folder.rename(elsewhere)
    desk.folder.symlink_to(elsewhere)
    await desk.told.reload(EVE)
    assert desk.told.all(EVE) == []
    assert "a link" in desk.told.faults(EVE)["instructions"]
    with pytest.raises(InstructionRefused, match="link"):
        await desk.told.put(EVE, Instruction("new", "Now", "Say."), lambda _: True)
    assert not (elsewhere / "new.md").exists()


async def test_they_are_bounded(desk: Desk) -> None:
    """More than they may hold in all is refused by the daemon; by hand, the last by name are left out."""
    body = "x" * (FILE_BYTES - 20)
    await desk.told.put(EVE, Instruction("long", "Now", body), lambda _: True)
    with pytest.raises(InstructionRefused, match=f"at most {MOST_BYTES} bytes"):
        await desk.told.put(EVE, Instruction("too-long", "Now", body), lambda _: True)
    with pytest.raises(InstructionFault, match="larger"):
        checked(Instruction("huge", "Now", "x" * FILE_BYTES))
    (desk.folder / "zoo.md").write_text(f"# Now\n{body}")
    assert "does not fit" in await desk.reason("zoo.md")
    for number in range(MOST_FILES):
        (desk.folder / f"a-{number:02}.md").write_text("Say.")
    assert "delete one" in await desk.reason("zoo.md")
    assert len(desk.told.all(EVE)) == MOST_FILES
    with pytest.raises(InstructionRefused, match="delete one"):
        await desk.told.put(EVE, Instruction("b", "Now", "Say."), lambda _: True)


async def test_changes_meet_what_was_read(desk: Desk) -> None:
    """A change meant for another text is refused, also after an edit by hand that is not noticed yet."""
    (desk.folder / "greet.md").write_text("# When I come home\n\nSay hi.\n")
    with pytest.raises(InstructionChanged):
        await desk.told.put(EVE, GREET, lambda known: known == GREET)
    with pytest.raises(InstructionChanged):
        await desk.told.remove(EVE, "greet", lambda known: known == GREET)
    with pytest.raises(NoInstruction):
        await desk.told.remove(EVE, "nobody", lambda _: True)
    await desk.told.remove(EVE, "greet", lambda known: known is not None and known.body == "Say hi.")
    assert desk.told.all(EVE) == [OPEN]
