"""The daemon's channels, started for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from daemon.channels import pairing_codes
from daemon.logging.log import Log, Sink
from daemon.settings.settings import Logs
from tests.daemon.channels.service.rig import Rig, open_rig


@pytest.fixture(autouse=True)
def _quick_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make hashing codes fast: the cost of a guess does not matter here."""
    monkeypatch.setattr(pairing_codes, "ROUNDS", 1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """The daemon's log."""
    with (tmp_path / "log").open("wb") as stream:
        yield Log(Sink(Logs(level="debug"), stream.fileno(), terminal=False))


@pytest.fixture
async def rig(tmp_path: Path, log: Log) -> AsyncIterator[Rig]:
    """A daemon with Ada, who is running and has no channel."""
    opened = await open_rig(tmp_path, log)
    await opened.persona()
    yield opened
    await opened.close()
