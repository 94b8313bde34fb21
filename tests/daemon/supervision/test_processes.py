"""Child processes by pidfd, with real processes, for moments that no request of a user can reach."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from daemon.supervision.processes import Exit, Process, children, end_strays
from tests.patience import PATIENCE


@pytest.fixture
def born() -> Iterator[list[int]]:
    """The pids that the test made; those that are left are killed."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def spawn(born: list[int], code: str, *, group: bool = True) -> int:
    """A child that runs ``code``, leading its group or not."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], dict(os.environ), setsid=group)
    born.append(pid)
    return pid


async def test_exit_code_and_signal(born: list[int]) -> None:
    """An end is reported with its exit code or its signal."""
    for code, expected, text in (
        ("raise SystemExit(64)", Exit(64, None), "exit code 64"),
        ("import os; os.kill(os.getpid(), 15)", Exit(None, 15), "killed by SIGTERM"),
    ):
        pid = spawn(born, code)
        ended = await asyncio.wait_for(Process(pid, os.pidfd_open(pid)).wait(), PATIENCE)
        assert ended == expected
        assert str(ended) == text


async def test_kill_reaches_a_newborn(born: list[int]) -> None:
    """A process that does not lead its group yet is killed nevertheless, and no other process is."""
    bystander = spawn(born, "import time; time.sleep(60)", group=False)
    pid = spawn(born, "import time; time.sleep(60)", group=False)
    process = Process(pid, os.pidfd_open(pid))
    process.kill()
    assert await asyncio.wait_for(process.wait(), PATIENCE) == Exit(None, signal.SIGKILL)
    assert psutil.Process(bystander).is_running()
    process.kill()  # nothing happens to who has its pid now


async def test_the_group_goes_along(born: list[int]) -> None:
    """What a process left in its group is killed when it is reaped, also after it exited by itself."""
    read_end, write_end = os.pipe2(0)
    code = f"import os, subprocess as s; os.write({write_end}, str(s.Popen(['sleep', '60']).pid).encode())"
    pid = spawn(born, code)
    process = Process(pid, os.pidfd_open(pid))
    child = psutil.Process(int(await asyncio.to_thread(os.read, read_end, 32)))
    assert await asyncio.wait_for(process.wait(), PATIENCE) == Exit(0, None)
    await asyncio.to_thread(psutil.wait_procs, [child], PATIENCE)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    os.close(read_end)
    os.close(write_end)


@pytest.mark.frugal
async def test_no_descriptor_stays(born: list[int]) -> None:
    """After twenty processes there are as many descriptors as before."""
    # Descriptors of other tests may be garbage-collected meanwhile, so only an increase counts.
    gc.collect()
    before = psutil.Process().num_fds()
    for _ in range(20):
        pid = spawn(born, "")
        await asyncio.wait_for(Process(pid, os.pidfd_open(pid)).wait(), PATIENCE)
    assert psutil.Process().num_fds() <= before


def test_strays_are_ended_and_reaped(born: list[int]) -> None:
    """Stray children are found and leave no zombie; one that is gone already does no harm."""
    stray, zombie = spawn(born, "import time; time.sleep(60)"), spawn(born, "")
    deadline = time.monotonic() + PATIENCE
    while psutil.Process(zombie).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
    assert {stray, zombie} <= set(children())
    end_strays([stray, zombie, 2**22 - 1])
    assert not {stray, zombie} & set(children())
