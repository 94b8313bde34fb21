"""What must survive a power cut is synced: first the bytes, then the name."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.logging.log import Log, Sink
from daemon.personas import atomic_files
from daemon.personas.media import Incoming
from daemon.personas.personas import CONFIG, Personas, PersonasError
from daemon.settings.settings import Logs
from proto.records import Organ, Persona
from tests.fsyncs import Sync, assert_durable, recorded


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with (tmp_path / "log").open("wb") as stream:
        yield Log(Sink(Logs(), stream.fileno(), terminal=False))


def eve() -> Persona:
    """A persona who is not on the disk yet."""
    return Persona(str(uuid.uuid4()), "Eve", Organ("echo"))


def folders(syncs: list[Sync]) -> list[Path]:
    """The folders that were synced, in order."""
    return [sync.path for sync in syncs if sync.is_folder]


def test_a_written_file_is_on_the_disk(tmp_path: Path) -> None:
    """A new file and a replacement are synced before they get the name, and the folder afterwards."""
    file = tmp_path / "person.md"
    for data, replaced in ((b"- Name: Ada\n", False), (b"- Name: Ada\n- Likes: rain\n", True)):
        with recorded() as syncs:
            atomic_files.write(file, data)
        assert_durable(syncs, file, len(data), replaced=replaced)
        assert file.read_bytes() == data


def test_an_upload_is_on_the_disk(tmp_path: Path) -> None:
    """An upload gets its name only when it is whole on the disk; its mark stays until the ledger refers to it."""
    incoming = Incoming(tmp_path / "media", "image", ".png", 100)
    incoming.write(memoryview(b"x" * 60))
    incoming.write(memoryview(b"y" * 40))
    with recorded() as syncs:
        incoming.keep()
    assert_durable(syncs, tmp_path / "media" / incoming.name, 100)
    assert f".part-{incoming.name}" in syncs[-1].names


async def test_a_persona_comes_and_goes_durably(tmp_path: Path, log: Log) -> None:
    """Her folder's entry is synced when she is created, laid out, adopted and deleted, before the call returns."""
    root = tmp_path / "personas"
    personas = Personas(root, log)
    await personas.load()
    persona = eve()
    with recorded() as syncs:
        await personas.create(persona)
    assert folders(syncs) == [root / persona.id, root]
    assert {CONFIG, "memory", "media"} <= syncs[-2].names
    assert persona.id in syncs[-1].names
    with recorded() as syncs:
        await personas.delete(persona.id)
    assert folders(syncs) == [root]
    assert persona.id not in syncs[-1].names
    twin = eve()
    with recorded() as syncs:
        folder = await personas.lay_out(twin.id)
    assert folders(syncs) == [root]
    assert folder.name in syncs[-1].names
    with recorded() as syncs:
        await personas.adopt(twin)
    assert folders(syncs) == [root]
    assert twin.id in syncs[-1].names


async def test_a_persona_who_cannot_be_written_leaves_no_folder(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk nothing of her stays; a record that could not be replaced stays with its folder."""
    personas = Personas(tmp_path / "personas", log)
    await personas.load()
    kept, persona = eve(), eve()
    await personas.create(kept)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic_files, "write", full)
    with pytest.raises(PersonasError, match="No space left"):
        await personas.create(persona)
    assert not personas.folder(persona.id).exists()
    with pytest.raises(PersonasError, match="No space left"):
        await personas.save(kept)
    assert (personas.folder(kept.id) / CONFIG).exists()
