"""Files from remote organs are on the disk before their names are passed on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from tests.fsyncs import assert_durable, recorded
from worker.organs.made import keep

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 92


async def chunks() -> AsyncIterator[bytes]:
    """A file of 100 bytes, in two pieces."""
    yield PNG[:50]
    yield PNG[50:]


async def test_a_made_file_is_on_the_disk(tmp_path: Path) -> None:
    """The file is synced before it gets its name, and its name after that; the link stays for the ledger."""
    with recorded() as syncs:
        name = await keep(tmp_path / "media", "image", frozenset({".png"}), chunks(), 100)
    assert_durable(syncs, tmp_path / "media" / name, 100)
    assert f".part-{name}" in syncs[-1].names
