"""A process gives up the right to create executable code before it reads anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.daemon_process import ROOT
from tests.patience import PATIENCE

ATTEMPT = """
import ctypes, mmap
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
page = ctypes.c_void_p(libc.mmap(None, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANON, -1, 0))
print("denied" if libc.mprotect(page, 4096, mmap.PROT_READ | mmap.PROT_EXEC) else "allowed")
"""
OFFERED = "import ctypes; print(ctypes.CDLL(None).prctl(66, 0, 0, 0, 0))"  # PR_GET_MDWE: -1 before Linux 6.3


def run(program: str) -> str:
    """Return what a Python program prints."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize(
    ("module", "child"), [("worker.process.child_setup", "denied"), ("daemon.supervision.processes", "allowed")]
)
def test_written_memory_is_never_executed(module: str, child: str) -> None:
    """A process that has forbidden itself new code cannot create any; the daemon's other children are not affected."""
    if run(OFFERED) == "-1":
        pytest.skip("this kernel does not offer it")
    assert run(ATTEMPT) == "allowed"
    forbid = f"from {module} import forbid_new_code; forbid_new_code()"
    assert run(f"{forbid}\n{ATTEMPT}") == "denied"
    born = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ATTEMPT!r}], check=True)"
    assert run(f"{forbid}\n{born}") == child


def test_a_process_without_a_channel_imports_no_http_client() -> None:
    """What every process imports stays light: each client is imported by the process that speaks to a provider."""
    heavy = {"aiohttp", "aiogram", "nextcord", "openai", "anthropic", "httpx", "pydantic"}
    program = f"import worker.process.main, sys; print(sorted({heavy} & sys.modules.keys()))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert ended.stdout == "[]\n"
