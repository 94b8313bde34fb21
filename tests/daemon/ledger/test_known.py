"""A ledger that is missing, empty, or has lost its end is not taken for a fresh one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from daemon.cli.ledger_check import check_ledger
from daemon.ledger import Ledger, LedgerDamaged, LedgerLost
from daemon.ledger.known import LEDGER_NAME, mark_of, require_known
from daemon.ledger.mark import Reach
from daemon.ledger.schema import open_writer
from proto.messages import Conversation, Outgoing

ADA: Final = "5c1f0c1e-6a5b-4c55-9d8e-0000000000a1"
WEB: Final = Conversation("web", ADA)

KILLED: Final = """
import asyncio, os, signal, sys
from pathlib import Path
from daemon.ledger import Ledger
from daemon.ledger.known import LEDGER_NAME, mark_of
from proto.messages import Conversation

async def speak(state, ada):
    ledger = await Ledger.open(state / LEDGER_NAME, mark_of(state))
    words = [f"word {number} " * 40 for number in range(300)]
    for ten in zip(*[iter(words)] * 10):
        where = Conversation("web", ada)
        await asyncio.gather(*(ledger.accept(ada, where, "text", word, None, 1, None) for word in ten))
    while mark_of(state).read().inbox < 300:
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(speak(Path(sys.argv[1]), sys.argv[2]))
"""


def persona(state: Path) -> Path:
    """Put a persona on the disk who was told something."""
    folder = state / "personas" / ADA
    (folder / "memory").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of a daemon that was killed after 300 messages; all of them are in the log."""
    state = tmp_path_factory.mktemp("killed") / "state"
    persona(state)
    command = [sys.executable, "-c", KILLED, str(state), ADA]
    assert subprocess.run(command, cwd=Path(__file__).parents[3], check=False).returncode == -9
    return state


@pytest.fixture
def killed(left: Path, tmp_path: Path) -> Path:
    """A copy of that state directory for one test."""
    return shutil.copytree(left, tmp_path / "killed")


def log_of(path: Path) -> Path:
    """Return the ledger's write-ahead log."""
    return path.with_name(f"{path.name}-wal")


@contextmanager
def other_program(path: Path) -> Iterator[None]:
    """Have another process read the file and keep it open."""
    code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM inbox').fetchall()"
    command = [sys.executable, "-c", f"{code}; print(1, flush=True); sys.stdin.read()", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline()
        yield
        other.stdin.close()


def content(state: Path) -> dict[str, bytes]:
    """Return the ledger's files but for the index of its log, which SQLite makes again."""
    return {part.name: part.read_bytes() for part in state.glob("*ledger.db*") if "-shm" not in part.name}


def flip(path: Path) -> None:
    """Damage the page that holds the first messages."""
    data = bytearray(path.read_bytes())
    at = data.index(b"word 100")
    start = at - at % 4096
    data[start : start + 12] = b"\xff" * 12
    path.write_bytes(data)


LOSSES: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "missing": (lambda path: [part.rename(f"{part}.lost") for part in (path, log_of(path))], "is missing"),
    "missing, with its log": (lambda path: path.unlink(), "is missing"),
    "empty": (lambda path: [part.write_bytes(b"") for part in (path, log_of(path))], "is empty"),
    "without its log": (lambda path: log_of(path).unlink(), "is empty"),
    "an empty log": (lambda path: os.truncate(log_of(path), 0), "is empty"),
    "a log of garbage": (lambda path: log_of(path).write_bytes(os.urandom(100_000)), "is empty"),
    "half a log": (
        lambda path: os.truncate(log_of(path), log_of(path).stat().st_size // 2),
        "is not the one that it was",
    ),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_is_refused(kind: str, killed: Path) -> None:
    """Nothing is opened or changed, and the text names the file, what happened, and both ways back."""
    whole = content(killed)
    lose, words = LOSSES[kind]
    lose(killed / LEDGER_NAME)
    rest = content(killed)
    with pytest.raises(LedgerLost) as refused:
        require_known(killed, accept_loss=False)
    text = str(refused.value)
    assert all(part in text for part in (str(killed / LEDGER_NAME), words, "copy of ledger.db", "--accept-loss"))
    assert content(killed) == rest
    for name, data in whole.items():
        (killed / name).write_bytes(data)
    require_known(killed, accept_loss=False)


@pytest.mark.parametrize("kind", LOSSES)
async def test_an_accepted_loss_is_accepted_once(kind: str, killed: Path) -> None:
    """With --accept-loss the rest is taken, what a new file would overwrite is kept, and later starts are quiet."""
    LOSSES[kind][0](killed / LEDGER_NAME)
    rest = set(content(killed).values())
    require_known(killed, accept_loss=True)
    assert rest <= set(content(killed).values())
    ledger = await Ledger.open(killed / LEDGER_NAME, mark_of(killed))
    assert len(await ledger.waiting(ADA)) < 300
    await ledger.accept(ADA, WEB, "text", "again", None, 1, None)
    await ledger.close()
    require_known(killed, accept_loss=False)


async def test_an_orderly_stop_leaves_all_in_the_file(tmp_path: Path) -> None:
    """Everything is in ledger.db itself, even while another program has it open, and a copy of it is enough."""
    folder = persona(tmp_path / "state")
    path = tmp_path / "state" / LEDGER_NAME
    ledger = await Ledger.open(path, mark_of(path.parent))
    await ledger.accept(ADA, WEB, "text", "hello", None, 1, None)
    with other_program(path):
        await ledger.close()
        copy = tmp_path / "copy"
        shutil.copytree(folder.parent, copy / "personas")
        shutil.copy(path, copy / LEDGER_NAME)
    require_known(copy, accept_loss=False)
    ledger = await Ledger.open(copy / LEDGER_NAME, mark_of(copy))
    assert [one.perception.content for one in await ledger.waiting(ADA)] == ["hello"]
    await ledger.close()


def test_a_damaged_file_is_refused_after_a_crash(killed: Path) -> None:
    """After a kill every page is checked; the text says what is wrong and what to do."""
    path = killed / LEDGER_NAME
    open_writer(path).close()
    flip(path)
    require_known(killed, accept_loss=False)
    log_of(path).write_bytes(b"left by a crash")
    with pytest.raises(LedgerDamaged) as refused:
        require_known(killed, accept_loss=False)
    assert all(text in str(refused.value) for text in (str(path), "is damaged", "personad repair", "backup"))


def test_a_fresh_state_is_not_refused(tmp_path: Path) -> None:
    """No personas, or a record put there by hand before the first start, need no ledger."""
    require_known(tmp_path, accept_loss=False)
    folder = tmp_path / "personas" / ADA
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    require_known(tmp_path, accept_loss=False)


@pytest.mark.parametrize("file", ["memory/person.md", "media/0a1b.jpg"])
def test_the_state_of_an_earlier_version_is_known_by_its_files(tmp_path: Path, file: str) -> None:
    """Earlier versions kept no mark; what she wrote down or was given tells that she has spoken."""
    folder = persona(tmp_path)
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text("x")
    with pytest.raises(LedgerLost, match="is missing"):
        require_known(tmp_path, accept_loss=False)


async def test_a_ledger_that_went_on_is_not_refused(tmp_path: Path) -> None:
    """A mark that is behind, cannot be read, or is gone is no loss."""
    persona(tmp_path)
    path = tmp_path / LEDGER_NAME
    ledger = await Ledger.open(path, mark_of(tmp_path))
    await ledger.accept(ADA, WEB, "text", "hello", None, 1, None)
    await ledger.close()
    mark = mark_of(tmp_path)
    assert mark.read() == Reach(inbox=1)
    mark.write(Reach())
    require_known(tmp_path, accept_loss=False)
    mark.path.write_bytes(b"")
    require_known(tmp_path, accept_loss=False)
    mark.remove()
    require_known(tmp_path, accept_loss=False)


@pytest.mark.parametrize("table", Reach.__struct_fields__)
async def test_a_ledger_that_lost_the_end_of_one_table_is_refused(tmp_path: Path, table: str) -> None:
    """Each kind of row is counted on its own: an older copy may lack answers only, or deliveries only."""
    persona(tmp_path)
    ledger = await Ledger.open(tmp_path / LEDGER_NAME, mark_of(tmp_path))
    await ledger.say(ADA, WEB, "hello", 1, 1)
    await ledger.close()
    reached = mark_of(tmp_path).read()
    assert reached is not None
    mark_of(tmp_path).write(replace(reached, **{table: getattr(reached, table) + 1}))
    with pytest.raises(LedgerLost, match="is not the one that it was"):
        require_known(tmp_path, accept_loss=False)


async def test_deleting_is_no_loss(tmp_path: Path) -> None:
    """A persona who is deleted takes her rows along, not the numbers that they had."""
    persona(tmp_path)
    ledger = await Ledger.open(tmp_path / LEDGER_NAME, mark_of(tmp_path))
    await ledger.accept(ADA, WEB, "text", "hello", None, 1, None)
    await ledger.forget(ADA)
    await ledger.close()
    require_known(tmp_path, accept_loss=False)


async def told(state: Path) -> None:
    """Write one line of Ada's into a new ledger there."""
    ledger = await Ledger.open(state / LEDGER_NAME, mark_of(state))
    await ledger.accept(ADA, WEB, "text", "hello", None, 1, None)
    await ledger.answer(ADA, [1], WEB, [Outgoing("hello")], [1], 2)
    await ledger.close()


@pytest.mark.parametrize("folder_stays", [False, True])
async def test_a_full_ledger_without_personas_is_refused(tmp_path: Path, folder_stays: bool) -> None:
    """A lost folder of personas is told by start and doctor; accepted once, the ledger is kept under another name."""
    await told(tmp_path)
    shutil.rmtree(tmp_path / "personas")
    if folder_stays:
        (tmp_path / "personas").mkdir()
    with pytest.raises(LedgerLost) as refused:
        require_known(tmp_path, accept_loss=False)
    assert all(words in str(refused.value) for words in (str(tmp_path / "personas"), "of 1", "--accept-loss"))
    assert check_ledger(tmp_path) == ("fail", str(refused.value))
    data = (tmp_path / LEDGER_NAME).read_bytes()
    accepted = require_known(tmp_path, accept_loss=True)
    assert accepted is not None
    assert [(tmp_path / name).read_bytes() for name in accepted.set_aside] == [data]
    require_known(tmp_path, accept_loss=False)


async def test_a_persona_who_is_being_deleted_is_not_missed(tmp_path: Path) -> None:
    """A kill in the middle of the last persona's deletion leaves her folder under another name, and starts."""
    await told(tmp_path)
    persona(tmp_path).rename(tmp_path / "personas" / f".deleted-{ADA}")
    require_known(tmp_path, accept_loss=False)


async def test_one_lost_folder_is_told_by_doctor(tmp_path: Path) -> None:
    """The others start; doctor names who has conversations and no folder."""
    await told(tmp_path)
    folder = persona(tmp_path)
    assert check_ledger(tmp_path)[0] == "ok"
    folder.rename(folder.with_name("5c1f0c1e-6a5b-4c55-9d8e-0000000000b2"))
    require_known(tmp_path, accept_loss=False)
    verdict, words = check_ledger(tmp_path)
    assert (verdict, ADA in words) == ("warn", True)
