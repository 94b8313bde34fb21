"""What tests of all areas share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Before anything else imports aiogram, so that no process of the run builds all its models.
import worker.gateways.telegram  # noqa: F401
from tests.contract import options
from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator
from tests.schedule import ByDaemon, rank

if TYPE_CHECKING:
    from xdist.remote import Producer


def pytest_addoption(parser: pytest.Parser) -> None:
    """The contract's options; pytest takes options only from the conftest of a root of tests."""
    options.add(parser)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""
    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByDaemon:
    """Tests that share a daemon run in one process."""
    config.option.loadscopereorder = False
    return ByDaemon(config, log)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that answers, with a state of its own."""
    process = DaemonProcess(tmp_path / "state")
    try:
        yield process.start()
    finally:
        process.close()


@pytest.fixture(scope="session")
def mind() -> Iterator[OpenAIEmulator]:
    """A mind on loopback that echoes the last words, for personas that only have to answer."""
    emulator = OpenAIEmulator()
    with emulator:
        yield emulator
