"""One daemon for the tests of what stands before the routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon_process import DaemonProcess


@pytest.fixture(scope="package")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """The shared daemon."""
    process = DaemonProcess(tmp_path_factory.mktemp("front") / "state")
    try:
        yield process.start_warm()
    finally:
        process.close()
