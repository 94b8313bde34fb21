"""Files from providers are on the disk before anybody hears of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fsyncs import assert_durable, recorded
from worker.gateways.common.attachments import TooLargeError
from worker.gateways.common.media import store


async def chunks() -> AsyncIterator[bytes]:
    """A file of 100 bytes, in two pieces."""
    yield b"x" * 60
    yield b"y" * 40


async def test_a_fetched_file_is_on_the_disk(tmp_path: Path) -> None:
    """It is synced whole before it has its name, and its name after."""
    with recorded() as syncs:
        await store(tmp_path / "media", "photo.jpg", chunks(), 100)
    assert_durable(syncs, tmp_path / "media" / "photo.jpg", 100)
    assert [path.name for path in (tmp_path / "media").iterdir()] == ["photo.jpg"]


async def test_a_file_that_is_too_large_leaves_nothing(tmp_path: Path) -> None:
    """One byte over the limit, and neither the file nor its beginning stays."""
    with pytest.raises(TooLargeError):
        await store(tmp_path / "media", "photo.jpg", chunks(), 99)
    assert list((tmp_path / "media").iterdir()) == []
