"""Files from providers are on the disk before anything refers to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fsyncs import assert_durable, recorded
from worker.gateways.common.attachments import TooLargeError
from worker.gateways.common.media_store import store


async def chunks() -> AsyncIterator[bytes]:
    """A file of 100 bytes, in two pieces."""
    yield b"x" * 60
    yield b"y" * 40


async def test_a_fetched_file_is_on_the_disk(tmp_path: Path) -> None:
    """The whole file is synced before it gets its name, and the folder after."""
    with recorded() as syncs:
        await store(tmp_path / "media", "photo.jpg", chunks(), 100)
    assert_durable(syncs, tmp_path / "media" / "photo.jpg", 100)
    assert [path.name for path in (tmp_path / "media").iterdir()] == ["photo.jpg"]


async def test_a_file_that_is_too_large_leaves_nothing(tmp_path: Path) -> None:
    """One byte over the limit leaves neither the file nor a part of it."""
    with pytest.raises(TooLargeError):
        await store(tmp_path / "media", "photo.jpg", chunks(), 99)
    assert list((tmp_path / "media").iterdir()) == []
