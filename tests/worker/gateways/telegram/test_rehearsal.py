"""The rehearsal before the fork."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.patience import PATIENCE

PROGRAM = """
import gc, os, sys, threading
import worker.process.main, worker.gateways.telegram.rehearsal as rehearsal
rehearsal.rehearse()
known, open_now = set(sys.modules), len(os.listdir("/proc/self/fd"))
gc.collect()
rehearsal.rehearse()
print(sorted(set(sys.modules) - known), len(os.listdir("/proc/self/fd")) - open_now, threading.active_count())
from aiogram.methods import Response
from aiogram.types import Update
from worker.gateways.telegram.account import ANSWERS
print(Response[list[Update]] is ANSWERS[0])
"""


@pytest.mark.frugal
def test_rehearsal_leaves_nothing_to_do() -> None:
    """A rehearsal leaves nothing to import or build, and no thread or descriptor that a fork would lose."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout.splitlines() == ["[] 0 1", "True"], done.stderr
    assert not done.stderr
