"""Child processes by pidfd (https://man7.org/linux/man-pages/man2/pidfd_open.2.html).

A pidfd makes a death an event in the loop, and it never refers to another process that got the same pid.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

PR_SET_CHILD_SUBREAPER: Final = 36
PR_SET_DUMPABLE: Final = 4
PR_SET_MDWE: Final = 65
PR_MDWE_REFUSE_EXEC_GAIN: Final = 1
PR_MDWE_NO_INHERIT: Final = 2
ADOPTION_POLL: Final = 0.001
ADOPTION_POLLS: Final = 1000
FIRST_COPY: Final = 64

KEPT_ENVIRONMENT: Final = frozenset(
    {"PATH", "HOME", "TZ", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"}
    | {"http_proxy", "https_proxy", "no_proxy", "all_proxy"}
)
"""The environment variables that a child inherits: no setting and no credential."""


class Exit(msgspec.Struct, frozen=True):
    """How a process ended: its exit code, or the signal that killed it; both are None if that is unknown."""

    code: int | None
    signal: int | None

    def __str__(self) -> str:
        if self.signal is not None:
            return f"killed by {signal.Signals(self.signal).name}"
        return f"exit code {self.code}" if self.code is not None else "ended for an unknown reason"


def become_subreaper() -> None:
    """Adopt orphaned descendants: workers, whose parents exit by design, and strays. Raises OSError.

    https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def forbid_new_code() -> None:
    """Forbid memory that is both writable and executable in the daemon (PR_SET_MDWE; PR_MDWE_NO_INHERIT: Linux 6.6).

    Children do not inherit this. An older kernel refuses the call, which is ignored: this is one defence of several.
    https://man7.org/linux/man-pages/man2/PR_SET_MDWE.2const.html
    """
    ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN | PR_MDWE_NO_INHERIT, 0, 0, 0)


def hide_memory() -> None:
    """Close this process's memory, descriptors and environment to every other process of this user (PR_SET_DUMPABLE).

    It also leaves no core file. Children that run a new program do not inherit this. Root can still look.
    https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html
    """
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


class Process:
    """A child that leads its process group. It owns ``pidfd``."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._loop = asyncio.get_running_loop()
        self._exit: asyncio.Future[Exit] = self._loop.create_future()
        self._loop.add_reader(pidfd, self._exited)

    @property
    def alive(self) -> bool:
        """Whether it has not been reaped."""
        return not self._exit.done()

    @property
    def exited(self) -> asyncio.Future[Exit]:
        """Done when it is dead and reaped. Do not cancel it."""
        return self._exit

    async def wait(self) -> Exit:
        """Wait until it is dead and reaped."""
        return await asyncio.shield(self._exit)

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process itself, if it still lives."""
        if self.alive:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Send SIGKILL to its process group, which is certainly its own as long as it is not reaped.

        The process itself gets the signal too, since right after the fork it may not lead its group yet.
        """
        if self.alive:
            kill_group(self.pid)
            self.send_signal(signal.SIGKILL)

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._reap(ADOPTION_POLLS)

    def _reap(self, polls: int) -> None:
        """Kill its group, so that nothing in it outlives the process, then reap the process.

        A process that dies right after its fork may not be our child yet. It is adopted when the process between has
        exited, so this is tried again.
        """
        kill_group(self.pid)
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            result = None
        if result is None and polls:
            self._loop.call_later(ADOPTION_POLL, self._reap, polls - 1)
            return
        os.close(self._pidfd)
        self._exit.set_result(_exit_of(result))


def execute(module: str, arguments: list[str], descriptors: Mapping[int, int]) -> Process:
    """Start ``python -m module`` in a session of its own, with ``descriptors`` (theirs: ours) and no others.

    This runs in the loop's thread on purpose: posix_spawn returns as soon as the program is loaded, and the kernel's
    parent-death signal follows the thread that made the child
    (https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html). Raises OSError.
    """
    # Copied to high numbers first, since one of our descriptors may have a number that the child needs.
    copies = {theirs: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, FIRST_COPY) for theirs, ours in descriptors.items()}
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", module, *arguments],
            {key: value for key, value in os.environ.items() if key in KEPT_ENVIRONMENT},
            file_actions=[(os.POSIX_SPAWN_DUP2, copy, theirs) for theirs, copy in copies.items()],
            setsid=True,
        )
    finally:
        for copy in copies.values():
            os.close(copy)
    return Process(pid, os.pidfd_open(pid))


def _exit_of(result: os.waitid_result | None) -> Exit:
    if result is None:
        return Exit(None, None)
    if result.si_code == os.CLD_EXITED:
        return Exit(result.si_status, None)
    return Exit(None, result.si_status)


def kill_group(pgid: int) -> None:
    """Send SIGKILL to a process group, which may be empty."""
    try:
        os.killpg(pgid, signal.SIGKILL)
    except ProcessLookupError:
        return


def end_strays(pids: Iterable[int]) -> list[int]:
    """Kill and reap children that the daemon adopted without knowing them; return those that were alive. Blocking.

    They escaped a worker's process group, or are what a zygote that died in the middle of a fork left behind.
    """
    alive = list[int]()
    for pid in pids:
        try:
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                alive.append(pid)
        except (ProcessLookupError, ChildProcessError):
            continue
    return alive


def children() -> list[int]:
    """The pids of our children, from /proc/PID/stat. Blocking.

    /proc/PID/task/TID/children is not in every kernel (https://man7.org/linux/man-pages/man5/proc_pid_task.5.html).
    """
    me, found = os.getpid(), list[int]()
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                fields = Path(f"/proc/{entry.name}/stat").read_bytes().rpartition(b")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == me:
                found.append(int(entry.name))
    return found


def private(pid: int) -> int | None:
    """Bytes of memory that the process shares with no other, or None when it is gone or cannot be inspected. Blocking.

    Resident memory would also count the zygote's pages, which a forked process shares at no cost.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))


PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def anonymous(pid: int) -> int | None:
    """Bytes of memory that a process holds beside files, with what it shares with its zygote; None when it is gone.

    The kernel keeps these counts, so that reading them takes microseconds
    (https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html). Every process is read at each of its heartbeats, so
    this goes without the comfort of Path.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _, held, of_files, *_ = os.read(descriptor, 256).split()
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        return None
    return (int(held) - int(of_files)) * PAGE


def resident(pid: int) -> int | None:
    """Bytes of resident memory of a process, or None when it is gone or cannot be inspected."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE
    except OSError:
        return None
