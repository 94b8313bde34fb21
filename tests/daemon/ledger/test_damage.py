"""One damaged row neither makes a persona deaf nor breaks her export off, and a damaged file can be salvaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from daemon.ledger import Ledger, LedgerDamaged, Waiting
from daemon.ledger.inspection import inspect
from daemon.ledger.repair import repair
from daemon.ledger.schema import open_writer
from proto.messages import Conversation, Outgoing
from tests.daemon.ledger.older_ledgers import VERSIONS, content, rebuild

ADA: Final = "5c1f0c1e-6a5b-4c55-9d8e-0000000000a1"
WEB: Final = Conversation("web", ADA)
CHAT: Final = Conversation("telegram", "@carl", "7e1e000000000001", "31")
REPLACED: Final = "\N{REPLACEMENT CHARACTER}" * 2 + "A"


@pytest.fixture
async def spoken(path: Path) -> Path:
    """A closed ledger with three messages, two of them answered."""
    ledger = await Ledger.open(path)
    for number, where in enumerate((WEB, CHAT, WEB), start=1):
        await ledger.accept(ADA, where, "text", f"word {number}", None, number, f"key {number}")
    await ledger.answer(ADA, [1], WEB, [Outgoing("re: 1")], [1], 10)
    await ledger.answer(ADA, [2], CHAT, [Outgoing("re: 2")], [2], 11)
    await ledger.close()
    return path


def damage(path: Path, statement: str) -> None:
    """Write bytes as a bit that flipped on the disk would: no column takes them otherwise."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement)


async def test_a_line_that_is_no_text_is_read_around(spoken: Path) -> None:
    """Its conversation, her mind's history, the export and consolidation all have it, and it is named once."""
    damage(spoken, "UPDATE conversation SET content = CAST(x'fffe41' AS TEXT) WHERE id = 2")
    found: list[str] = []
    ledger = await Ledger.open(spoken, None, found.append)
    assert [line.content for line in await ledger.history(ADA, WEB, 9)] == ["word 1", REPLACED]
    shown = [line.content for line in await ledger.conversation(ADA)]
    assert shown == ["word 1", REPLACED, "word 2", "word 3", "re: 2"]
    page = await ledger.archive(ADA, 0, 9, None)
    assert [line.content for line in page.lines] == ["word 1", REPLACED, "word 2", "re: 2", "word 3"]
    assert [line.content for line in (await ledger.unconsolidated(ADA, 9))[1]] == [
        "word 1",
        REPLACED,
        "word 2",
        "re: 2",
    ]
    assert found == ["conversation 2"]
    assert ledger.broken == ""
    await ledger.close()


@pytest.mark.parametrize("column", ["content", "title", "media", "key", "name"])
async def test_a_message_that_is_no_text_is_answered(spoken: Path, column: str) -> None:
    """What waits is handed to her and answered, whatever column of it is damaged."""
    damage(spoken, f"UPDATE inbox SET {column} = CAST(x'fffe41' AS TEXT) WHERE id = 3")  # noqa: S608 (the test's own)
    ledger = await Ledger.open(spoken)
    [one] = await ledger.waiting(ADA)
    assert isinstance(one, Waiting)
    assert await ledger.answer(ADA, [3], one.conversation, [Outgoing("re: 3")], [3], 12)
    assert await ledger.waiting(ADA) == []
    assert "re: 3" in [line.content for line in await ledger.conversation(ADA)]
    assert "re: 3" in [line.content for line in (await ledger.archive(ADA, 0, 9, None)).lines]
    await ledger.close()


@pytest.mark.parametrize(
    ("statement", "words", "left_out"),
    [
        ("media = CAST(x'fffe41' AS TEXT)", ["word 1", "re: 1"], []),
        ("media = '../../etc/passwd'", ["word 1", "re: 1"], []),
        (f"title = '{'x' * 300}'", ["word 1", "re: 1"], []),
        ("role = 'perso~'", ["re: 1"], [1]),
        ("at = -5", ["re: 1"], [1]),
    ],
)
async def test_an_export_goes_on_at_a_damaged_line(
    spoken: Path, statement: str, words: list[str], left_out: list[int]
) -> None:
    """Her words are kept without what describes their file; a line that has none is left out and named."""
    damage(spoken, f"UPDATE conversation SET {statement} WHERE id = 1")  # noqa: S608 (the test's own)
    ledger = await Ledger.open(spoken)
    page = await ledger.archive(ADA, 0, 2, None)
    assert [line.content for line in page.lines] == words
    assert (page.last, page.left_out) == (2, left_out)
    await ledger.close()


def tear(path: Path, page: int) -> None:
    """Overwrite the head of a page, counted from 1."""
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : (page - 1) * 4096 + 8] = b"\xff" * 8
    path.write_bytes(data)


async def test_a_damaged_page_is_told(spoken: Path) -> None:
    """What cannot be read around fails with what to do, and is remembered for readiness."""
    with closing(sqlite3.connect(spoken)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'conversation'").fetchone()[0]
    tear(spoken, page)
    ledger = await Ledger.open(spoken)
    with pytest.raises(LedgerDamaged, match="personad repair"):
        await ledger.history(ADA, WEB, 9)
    assert "personad repair" in ledger.broken
    await ledger.close()


def lines_of(path: Path) -> list[str]:
    """Return the words of all lines in order."""
    return [str(row["content"]) for row in content(path)["conversation"]]


def test_a_repair_keeps_every_row_of_a_sound_ledger(tmp_path: Path) -> None:
    """Ledgers of all versions come out as they went in: rows, counters, and nothing counted twice."""
    for version in VERSIONS:
        path, plain = tmp_path / f"{version}" / "ledger.db", tmp_path / f"{version}" / "plain.db"
        for one in (path, plain):
            rebuild(version, one)
        done = repair(path)
        open_writer(plain).close()
        assert done.short == []
        assert content(path) == content(plain)
        assert [part.name.partition("-")[0] for part in done.old] == ["damaged"]


def test_a_repair_loses_the_damaged_page_only(tmp_path: Path) -> None:
    """The rows before and behind a damaged page are kept, their numbers stay, and the old file lies beside."""
    path = tmp_path / "ledger.db"
    with closing(open_writer(path)) as connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO conversation (persona, type, name, role, content, at) VALUES (?1, 'web', ?1, 'person', ?2, 1)",
            [(ADA, f"line {number:04} " * 20) for number in range(1, 1001)],
        )
        connection.execute("COMMIT")
    tear(path, path.read_bytes().index(b"line 0500") // 4096 + 1)
    damaged = path.read_bytes()
    found = inspect(path, integrity=True)
    assert found is not None
    assert found.faults
    done = repair(path)
    kept = lines_of(path)
    assert 950 < len(kept) < 1000
    assert (kept[0][:9], kept[-1][:9]) == ("line 0001", "line 1000")
    assert (done.short, done.kept["conversation"]) == (["conversation"], len(kept))
    assert done.old[-1].read_bytes() == damaged
    found = inspect(path, integrity=True)
    assert found is not None
    assert (found.faults, found.reached.conversation) == ([], 1000)


async def test_a_repair_writes_what_was_read_around(spoken: Path) -> None:
    """Bytes that are no text become U+FFFD, after which nothing is reported."""
    damage(spoken, "UPDATE conversation SET content = CAST(x'fffe41' AS TEXT) WHERE id = 2")
    found = inspect(spoken, integrity=True, texts=True)
    assert found is not None
    assert found.unreadable == ["conversation 2"]
    repair(spoken)
    found = inspect(spoken, integrity=True, texts=True)
    assert found is not None
    assert found.unreadable == []
    assert REPLACED in lines_of(spoken)


@pytest.mark.parametrize("row", ["conversation 2", "inbox 3", "outbox 2"])
def test_each_row_with_bytes_that_are_no_text_is_named(spoken: Path, row: str) -> None:
    """What was said, what waits and what is to be delivered."""
    table, number = row.split()
    damage(spoken, f"UPDATE {table} SET content = CAST(x'fffe41' AS TEXT) WHERE rowid = {number}")  # noqa: S608 (the test's own)
    found = inspect(spoken, integrity=False, texts=True)
    assert found is not None
    assert found.unreadable == [row]


def test_what_is_no_ledger_is_not_repaired(tmp_path: Path) -> None:
    """A file whose tables cannot be read stays as it is."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a ledger" * 1000)
    with pytest.raises(LedgerDamaged, match="--accept-loss"):
        repair(path)
    assert path.read_bytes() == b"not a ledger" * 1000
    assert [part.name for part in tmp_path.iterdir()] == ["ledger.db"]
