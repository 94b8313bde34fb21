"""A ledger in a real file, and the personas and conversations of its tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.ledger import Ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of this test's ledger."""
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    """An open, empty ledger."""
    opened = await Ledger.open(path)
    yield opened
    await opened.close()
