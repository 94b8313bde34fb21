"""How a new process sets itself up before it does anything else.

It leads its own process group, writes to the daemon's log pipe, and cannot outlive the daemon: the death pipe
reaches end of file when the daemon is gone, and the kernel's parent-death signal covers an event loop that hangs.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import select
import signal
import time
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_NAME: Final = 15
PR_SET_MDWE: Final = 65
PR_MDWE_REFUSE_EXEC_GAIN: Final = 1
ADOPTION_TIMEOUT: Final = 5.0
ADOPTION_POLL: Final = 0.0001

_libc = ctypes.CDLL(None, use_errno=True)


def set_up_child(daemon_pid: int, death_pipe: int, log_pipe: int, title: str) -> None:
    """Make the calling process a worker of ``daemon_pid``. Raises SystemExit when the daemon is already gone."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    redirect(log_pipe)
    _libc.prctl(PR_SET_NAME, title.encode()[:15], 0, 0, 0)
    die_with(daemon_pid, death_pipe)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR2, all_threads=True)


def redirect(log_pipe: int) -> None:
    """Send standard output and error to the log pipe, and read standard input from /dev/null."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log_pipe, 1)
    os.dup2(log_pipe, 2)
    for descriptor in {null, log_pipe} - {0, 1, 2}:
        os.close(descriptor)


def die_with(daemon_pid: int, death_pipe: int) -> None:
    """Ask the kernel for SIGKILL at the daemon's death.

    The signal is armed for the current parent only
    (https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html), so this first waits until the daemon, a
    subreaper, has adopted the process. Raises SystemExit when the daemon is gone.
    """
    deadline = time.monotonic() + ADOPTION_TIMEOUT
    while os.getppid() != daemon_pid:
        gone, _, _ = select.select([death_pipe], [], [], ADOPTION_POLL)
        if gone or time.monotonic() > deadline:
            raise SystemExit("the daemon that asked for this process is gone")
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != daemon_pid:
        raise SystemExit("the daemon that asked for this process is gone")


def forbid_new_code() -> None:
    """Forbid this process to execute memory that was ever writable (PR_SET_MDWE, Linux 6.3).

    An older kernel refuses, which is accepted: this is only one of several layers of defence. Source:
    https://man7.org/linux/man-pages/man2/PR_SET_MDWE.2const.html
    """
    _libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)


def end_group() -> None:
    """Kill the whole process group at once, because the daemon is dead."""
    os.killpg(0, signal.SIGKILL)
