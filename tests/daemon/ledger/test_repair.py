"""`personad repair` keeps every row that stands on a sound page, whatever page on the way to it is damaged."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from daemon.cli.ledger_check import check_ledger
from daemon.ledger import LedgerDamaged
from daemon.ledger.errors import LedgerLost
from daemon.ledger.inspection import inspect
from daemon.ledger.known import LEDGER_NAME, mark_of, require_known
from daemon.ledger.mark import Reach
from daemon.ledger.migrations import MIGRATIONS
from daemon.ledger.pages import OF_INDEX, OF_TABLE, Pages, Row, Unreadable, record
from daemon.ledger.repair import gaps, repair
from daemon.ledger.schema import open_writer
from tests.daemon.ledger.older_ledgers import content

ADA: Final = "5c1f0c1e-6a5b-4c55-9d8e-0000000000a1"
LINES: Final = 400
SIZE: Final = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger in which every table that can be large has a tree of several pages."""
    path = tmp_path / LEDGER_NAME
    (tmp_path / "personas" / ADA).mkdir(parents=True)
    (tmp_path / "personas" / ADA / "config.json").write_text("{}")
    with closing(open_writer(path)) as connection:
        connection.execute("BEGIN")
        for number in range(1, LINES + 1):
            long = "long " * 3000 if number % 50 == 0 else "short " * 40
            connection.execute(
                "INSERT INTO conversation (persona, type, name, role, content, at) VALUES (?1, 'web', ?1, ?2, ?3, ?4)",
                (ADA, "person" if number % 2 else "assistant", f"line {number:04} {long}", number),
            )
            connection.execute(
                "INSERT INTO inbox (persona, type, name, kind, content, at, state)"
                " VALUES (?1, 'web', ?1, 'text', ?2, ?3, 'done')",
                (ADA, f"heard {number:04} {'word ' * 40}", number),
            )
            connection.execute(
                "INSERT INTO webhook (persona, channel, key, content_type, body, at) VALUES (?, 'c', ?, 'json', ?, 1)",
                (ADA, f"key {number}", random.Random(number).randbytes(200)),
            )
            connection.execute(
                "INSERT INTO opt_out (type, line, account, is_out, at) VALUES ('sms', '+100', ?, 1, ?)",
                (f"+4670{number:08}", number),
            )
        connection.execute("COMMIT")
    return path


def root(path: Path, table: str) -> int:
    """Return the root page of a table: with so many rows it is an inner page."""
    with closing(sqlite3.connect(path)) as connection:
        page: int = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()[0]
    return page


def overwrite(path: Path, page: int, filling: bytes) -> None:
    """Write over a whole page, counted from 1."""
    data = bytearray(path.read_bytes())
    data[(page - 1) * SIZE : page * SIZE] = (filling * SIZE)[:SIZE]
    path.write_bytes(data)


GARBAGE: Final = random.Random(1).randbytes(SIZE)


@pytest.mark.parametrize("filling", [b"\0", b"\xff", GARBAGE], ids=["zeros", "ones", "garbage"])
@pytest.mark.parametrize("table", ["conversation", "inbox", "webhook"])
def test_a_damaged_inner_page_loses_no_row(path: Path, table: str, filling: bytes) -> None:
    """All rows stand on sound leaf pages, so all are there again, under their numbers."""
    whole = content(path)
    overwrite(path, root(path, table), filling)
    done = repair(path)
    assert done.short == [table]
    assert content(path) == whole
    found = inspect(path, integrity=True)
    assert found is not None
    assert found.faults == []


def test_a_damaged_inner_page_of_a_table_without_rowids(path: Path) -> None:
    """Its inner pages hold rows, too: those of the damaged page are lost, and nobody else's STOP is forgotten."""
    with closing(sqlite3.connect(path)) as connection:
        whole = {row[2] for row in connection.execute("SELECT * FROM opt_out")}
    with closing(Pages(path)) as pages:
        on_root = sum(1 for row in pages.rows(root(path, "opt_out")) if row)
    overwrite(path, root(path, "opt_out"), b"\xff")
    done = repair(path)
    with closing(sqlite3.connect(path)) as connection:
        kept = {row[2] for row in connection.execute("SELECT * FROM opt_out")}
    assert kept <= whole
    assert (len(whole - kept), done.short) == (on_root, ["opt_out"])


def test_several_trees_are_told_apart(path: Path) -> None:
    """With several roots damaged at once, each page goes to the table whose rows it holds."""
    whole = content(path)
    for table in ("conversation", "inbox", "webhook"):
        overwrite(path, root(path, table), b"\xff")
    done = repair(path)
    assert sorted(done.short) == ["conversation", "inbox", "webhook"]
    assert content(path) == whole


def test_the_pages_of_the_schema_are_not_needed(path: Path) -> None:
    """With the list of tables overwritten behind the file's head, repair keeps what is said."""
    whole = content(path)
    mark_of(path.parent).write(Reach(LINES, LINES, 0))
    data = bytearray(path.read_bytes())
    data[100:SIZE] = b"\xff" * (SIZE - 100)
    path.write_bytes(data)
    with pytest.raises(LedgerDamaged, match="run `personad repair`"):
        inspect(path, integrity=True)
    repair(path, mark_of(path.parent))
    found = content(path)
    for table in ("conversation", "inbox", "webhook", "opt_out"):
        assert found[table] == whole[table], table
    require_known(path.parent, accept_loss=False)


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_file_without_its_last_pages(path: Path, keep: float) -> None:
    """What stands before the cut is kept."""
    size = int(path.stat().st_size // SIZE * keep) * SIZE
    data = path.read_bytes()[:size]
    path.write_bytes(data)
    with closing(Pages(path)) as pages:
        leaves = [number for number in range(2, pages.count + 1) if pages.kind(number) in OF_TABLE | OF_INDEX]
        stored = {
            row.rowid
            for number in leaves
            for row in pages.rows(number)
            if row and row.rowid and any(str(value).startswith("line ") for value in row.values)
        }
    repair(path)
    kept = {row["id"] for row in content(path)["conversation"]}
    assert kept
    assert kept == stored


HEADS: Final[dict[str, Callable[[bytearray], None]]] = {
    "no head": lambda data: data.__setitem__(slice(0, 100), b"\xff" * 100),
    "zeros": lambda data: data.__setitem__(slice(0, SIZE), b"\0" * SIZE),
    "no size of a page": lambda data: data.__setitem__(slice(16, 18), b"\x12\x34"),
    "half a page": lambda data: data.__delitem__(slice(50, None)),
}


@pytest.mark.parametrize("kind", HEADS)
def test_one_thing_is_said_of_what_cannot_be_repaired(path: Path, kind: str) -> None:
    """Start, doctor and repair all name the backup and `--accept-loss`, which then works."""
    data = bytearray(path.read_bytes())
    HEADS[kind](data)
    path.write_bytes(data)
    said = []
    for ask in (lambda: require_known(path.parent, accept_loss=False), lambda: repair(path)):
        with pytest.raises((LedgerDamaged, LedgerLost)) as refused:
            ask()
        said.append(str(refused.value))
    assert all("copy of ledger.db" in text and "--accept-loss" in text for text in said), said
    verdict, words = check_ledger(path.parent)
    assert verdict == "fail"
    assert words in said
    assert not any("run `personad repair`" in text for text in said)
    mark_of(path.parent).write(Reach(LINES, LINES, 0))
    accepted = require_known(path.parent, accept_loss=True)
    assert accepted is not None
    assert (accepted.known, accepted.left, len(accepted.set_aside)) == (LINES, 0, 1)
    assert not path.exists()
    assert [part.read_bytes() for part in path.parent.glob("lost-*-ledger.db")] == [bytes(data)]


def test_a_gap_is_remembered_until_its_files_are_deleted(path: Path) -> None:
    """A repair that lost rows leaves a note beside the damaged file, and one that lost none does not."""
    repair(path)
    assert gaps(path.parent) == {}
    overwrite(path, root(path, "conversation"), b"\xff")
    repair(path)
    [(note, short)] = gaps(path.parent).items()
    assert short == ["conversation"]
    verdict, words = check_ledger(path.parent)
    assert verdict == "warn"
    assert "some rows of conversation" in words
    assert str(note).removesuffix("note.json") in words
    note.write_bytes(b"{")
    assert gaps(path.parent) == {note: []}
    note.unlink()
    assert gaps(path.parent) == {}
    assert check_ledger(path.parent)[0] == "ok"


def test_pages_hold_what_sqlite_reads(tmp_path: Path) -> None:
    """Every kind of value, sizes around the limits of a page, negative rowids and rows of an older table."""
    path = tmp_path / "values.db"
    numbers = [0, 1, -1, 127, -128, 32767, -32768, 1 << 23, 1 << 31, -(1 << 31), 1 << 47, 1 << 62, -(1 << 63)]
    texts = ["", "a", "å" * 100, "x" * 4061, "x" * 4062, "x" * 489, "x" * 20_000]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a, b, c)")
        connection.execute("CREATE TABLE w (k TEXT PRIMARY KEY, b) WITHOUT ROWID")
        connection.execute("BEGIN")
        for number, value in enumerate([*numbers, *texts, 0.5, -1e300, None, b"", b"\0" * 5000]):
            connection.execute("INSERT INTO t (rowid, a, b, c) VALUES (?, ?, 'between', ?)", (number - 9, value, value))
            connection.execute("INSERT INTO w VALUES (?, ?)", (f"{number:04}" * (number * 40 + 1), value))
        connection.execute("COMMIT")
        for table, kinds in (("t", OF_TABLE), ("w", OF_INDEX)):
            first = "rowid, *" if table == "t" else "NULL, *"
            rows = connection.execute(f"SELECT {first} FROM {table}")  # noqa: S608 (constants)
            expected = [Row(number, tuple(rest)) for number, *rest in rows]
            with closing(Pages(path)) as pages:
                tree = pages.tree(root(path, table), kinds)
                found = [row for page in tree.pages for row in pages.rows(page)]
            assert tree.whole
            assert sorted(map(repr, found)) == sorted(map(repr, expected))


def test_no_page_is_beyond_reading(path: Path) -> None:
    """Whatever bytes a page holds, reading it ends, with rows or with an error of its own."""
    chance = random.Random(7)
    data = path.read_bytes()
    for _ in range(300):
        page = chance.randrange(2, len(data) // SIZE)
        torn = bytearray(data)
        for _ in range(chance.randrange(1, 40)):
            torn[(page - 1) * SIZE + int(chance.random() ** 3 * SIZE)] = chance.randrange(256)
        path.write_bytes(torn)
        with closing(Pages(path)) as pages:
            for kinds in (OF_TABLE, OF_INDEX):
                pages.tree(page, kinds)
            try:
                list(pages.rows(page))
            except Unreadable:
                continue


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02\x0a", b"\x03\x01\x01\x00", b"\x81", b"\x81" * 9, b"\x02\x0f"])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    """Lengths that lead outside, reserved types and numbers that do not end."""
    with pytest.raises(Unreadable):
        record(data)


def test_a_newer_ledger_is_not_repaired(path: Path) -> None:
    """Doctor, start and repair name the newer personad."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(LedgerDamaged, match="newer personad"):
        repair(path)
