"""Accepted messages survive SIGKILL, full disks, failing and cancelled neighbours, floods and close."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from daemon.ledger import Ledger, LedgerBusy, LedgerError, LedgerFull
from daemon.ledger.threads import QUEUE
from proto.messages import Conversation
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]
WEB = Conversation("web", "web")
ADAM = "0a1b2c3d-0000-4000-8000-000000000001"

ACCEPT_FOREVER = """
import asyncio, os, sys
from pathlib import Path
from daemon.ledger import Ledger
from proto.messages import Conversation

async def caller(ledger, name):
    number = 0
    while True:
        number += 1
        id_ = await ledger.accept("p", Conversation("web", "web"), "text", f"{name}-{number}", None, number, None)
        os.write(1, f"{id_} {name}-{number}\\n".encode())

async def main():
    ledger = await Ledger.open(Path(sys.argv[1]))
    await asyncio.gather(*(caller(ledger, name) for name in range(16)))

asyncio.run(main())
"""


async def accept(ledger: Ledger, content: str, key: str | None = None) -> int | None:
    """Accept a message from the web."""
    return await ledger.accept(ADAM, WEB, "text", content, None, 1, key)


async def contents(ledger: Ledger) -> list[str]:
    """Return the waiting messages, oldest first."""
    return [row.perception.content for row in await ledger.waiting(ADAM)]


@pytest.mark.parametrize("reports", [1, 500, 3000])
async def test_nothing_that_was_reported_is_lost_by_sigkill(path: Path, reports: int) -> None:
    """Every id that a process printed after its await is in the file, although the process was killed at full speed."""
    reported = await asyncio.to_thread(kill_after, path, reports)
    ledger = await Ledger.open(path)
    kept = {f"{row.perception.id} {row.perception.content}\n" for row in await ledger.waiting("p")}
    await ledger.close()
    assert len(reported) >= reports
    assert set(reported) <= kept


def kill_after(path: Path, reports: int) -> list[str]:
    """Start a process that accepts without end, kill it after so many reports, and return all that it printed."""
    with subprocess.Popen(
        [sys.executable, "-c", ACCEPT_FOREVER, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout
        reported = [process.stdout.readline() for _ in range(reports)]
        process.kill()
        return reported + [line for line in process.stdout if line.endswith("\n")]


async def test_concurrent_accepts_share_commits(ledger: Ledger) -> None:
    """Operations that gather during one transaction share the next one: far fewer commits than accepts."""

    async def caller() -> None:
        for _ in range(50):
            await accept(ledger, "hello")

    before = ledger.commits
    await asyncio.gather(*(caller() for _ in range(16)))
    assert len(await contents(ledger)) == 800
    assert ledger.commits - before <= 400


async def test_a_bad_operation_fails_alone(ledger: Ledger) -> None:
    """Text that cannot be stored fails only for its caller; the others in its transaction are kept, each once."""
    words = ["one", "two", "\ud800", "three"]
    outcomes = await asyncio.gather(*(accept(ledger, text) for text in words), return_exceptions=True)
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False, False, True, False]
    assert isinstance(outcomes[2], UnicodeEncodeError)
    assert await contents(ledger) == ["one", "two", "three"]


async def test_a_cancelled_caller_does_not_disturb_the_others(ledger: Ledger) -> None:
    """Callers that are cancelled at once do not keep the rest of their batch from its result."""
    tasks = [asyncio.create_task(accept(ledger, str(number))) for number in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert all(isinstance(outcome, int) for outcome in outcomes[1::2])
    assert {str(number) for number in range(1, 100, 2)} <= set(await contents(ledger))


async def test_a_flood_is_refused_and_ebbs(ledger: Ledger) -> None:
    """When the queue is full, accepts raise LedgerBusy at once; earlier and later ones are kept."""
    outcomes = await asyncio.gather(*(accept(ledger, "flood") for _ in range(QUEUE + 10)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(LedgerBusy) == 10
    assert isinstance(await accept(ledger, "after"), int)
    assert len(await contents(ledger)) == QUEUE + 1


async def test_close_finishes_what_was_asked_and_refuses_the_rest(ledger: Ledger, path: Path) -> None:
    """Accepts before close are kept, operations after it raise LedgerError, and closing twice is fine."""
    asked = [asyncio.create_task(accept(ledger, str(number))) for number in range(20)]
    await asyncio.sleep(0)
    await asyncio.gather(ledger.close(), ledger.close())
    assert len(set(await asyncio.gather(*asked))) == 20
    with pytest.raises(LedgerError, match="closed"):
        await accept(ledger, "late")
    with pytest.raises(LedgerError, match="closed"):
        await ledger.waiting(ADAM)
    await ledger.close()


async def test_another_program_that_holds_the_database_makes_it_busy(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that outlasts the timeout raises LedgerBusy for the waiting callers, and later operations work."""
    monkeypatch.setattr("daemon.ledger.schema.BUSY_TIMEOUT", 0.05)
    impatient = await Ledger.open(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy, match="another program holds"):
        await accept(impatient, "early")
    holder.execute("ROLLBACK")
    holder.close()
    assert isinstance(await accept(impatient, "late"), int)
    assert await contents(impatient) == ["late"]
    await impatient.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 2 MB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.strip()}")
    yield mount
    subprocess.run(["umount", "-l", str(mount)], check=True)


async def fill(ledger: Ledger) -> list[str]:
    """Accept messages, several at once, until the disk is full; return the accepted ones."""
    taken: list[str] = []
    for turn in range(1000):
        words = [f"{turn}-{number}-{'x' * 4000}" for number in range(8)]
        outcomes = await asyncio.gather(*(accept(ledger, text) for text in words), return_exceptions=True)
        taken += [text for text, outcome in zip(words, outcomes, strict=True) if isinstance(outcome, int)]
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            assert {type(failure) for failure in failures} == {LedgerFull}
            return taken
    pytest.fail("the disk never filled")


async def test_a_full_disk_is_reported_and_recovered_from(small_disk: Path) -> None:
    """A full disk refuses messages and says what to do. Reads go on, and accepts work again once there is space."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    ledger = await Ledger.open(small_disk / "ledger.db")
    taken = await fill(ledger)
    with pytest.raises(LedgerFull, match="the disk is full: free some space"):
        await accept(ledger, "y" * 100_000)
    assert await contents(ledger) == taken
    ballast.unlink()
    assert isinstance(await accept(ledger, "after"), int)
    assert await contents(ledger) == [*taken, "after"]
    await ledger.close()
    again = await Ledger.open(small_disk / "ledger.db")
    assert await contents(again) == [*taken, "after"]
    await again.close()


async def test_a_file_size_limit_is_reported_and_recovered_from(path: Path) -> None:
    """A quota that keeps the file from growing refuses messages with LedgerFull until it is raised."""
    ledger = await Ledger.open(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ExitStack() as limits:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        limits.callback(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
        taken = await fill(ledger)
        assert await contents(ledger) == taken
    assert isinstance(await accept(ledger, "after"), int)
    assert await contents(ledger) == [*taken, "after"]
    await ledger.close()


async def test_a_ledger_without_its_event_loop_ends(path: Path) -> None:
    """An interpreter whose loop ended without close() exits, and what was accepted is kept."""
    script = ACCEPT_FOREVER.replace("while True", "while number < 5")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        cwd=ROOT,
        timeout=PATIENCE,
        check=True,
    )
    ledger = await Ledger.open(path)
    assert len(done.stdout.splitlines()) == 80
    assert len(await ledger.waiting("p")) == 80
    await ledger.close()
