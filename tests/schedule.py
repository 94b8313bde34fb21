"""Which tests a process of the run gets together: those that share a daemon, the longest first."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = (
    "tests/daemon/channels",
    "tests/daemon/api",
    "tests/daemon/api/channels",
    "tests/daemon/channels/open",
    "tests/daemon/api/v1",
    "tests/daemon/feeding",
    "tests/daemon/cli",
    "tests/daemon/webhooks",
    "tests/worker/embedded",
    "tests/contract",
)
"""Folders whose tests share daemons, emulators or models that take long to start, so that they start once."""

SPLIT: Final = "tests/faults/test_matrix.py"
"""The file that takes longest. Its tests stay together by the module that they strike."""

FIRST: Final = (
    "tests/daemon/channels",
    "tests/faults",
    "tests/daemon/api",
    "tests/worker/embedded",
    "tests/daemon/api/v1",
    "tests/daemon/api/channels",
    "tests/daemon/channels/open",
    "tests/daemon/feeding",
    "tests/daemon/cli",
    "tests/chaos",
    "tests/daemon/survival",
    "tests/daemon/webhooks",
)
"""The folders that take longest, in this order: what is short fills the gaps at the end."""


def group(nodeid: str) -> str:
    """The folder of tests that stay together, or the file; for the fault matrix also the module that is struck."""
    file, _, test = nodeid.partition("::")
    if file == SPLIT:
        return f"{file}::{test.partition(':')[0]}"
    folder = str(PurePosixPath(file).parent)
    return folder if folder in TOGETHER else file


def rank(item: pytest.Item) -> int:
    """The place of a test's folder in the run."""
    folder = str(PurePosixPath(item.nodeid.partition("::")[0]).parent)
    return FIRST.index(folder) if folder in FIRST else len(FIRST)


class ByDaemon(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Hands out whole groups in the order in which the tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
