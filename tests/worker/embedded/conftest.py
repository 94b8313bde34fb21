"""One organ host for all tests of a process, because loading its models takes most of their time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.organ_host_process import OrganHostProcess


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host's home, empty at first."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def host(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrganHostProcess]:
    """A real organ host."""
    process = OrganHostProcess(home, tmp_path_factory.getbasetemp())
    yield process
    process.close()
