"""The personas on disk, written by the daemon while the kernel's watch follows them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from daemon.logging.log import Log, Sink
from daemon.personas import edit_watch
from daemon.personas.edit_watch import EditWatch
from daemon.personas.personas import CONFIG, REJECTED, Personas
from daemon.runtime.clock import SystemClock
from daemon.settings.settings import Logs
from proto.records import Channel, Organ, Persona, to_json
from proto.secrets import Secret
from tests.daemon.supervision.played import logged
from tests.patience import PATIENCE

ROUNDS = 100


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with (tmp_path / "log").open("wb") as stream:
        yield Log(Sink(Logs(), stream.fileno(), terminal=False))


async def test_what_the_daemon_writes_is_not_an_edit_by_hand(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch does not take the daemon's writes for edits, and brings back no older and no deleted record."""
    monkeypatch.setattr(edit_watch, "DEBOUNCE_MS", 4)
    personas = Personas(tmp_path / "personas", log)
    await personas.load()
    edits: asyncio.Queue[Persona] = asyncio.Queue()
    watching = asyncio.create_task(EditWatch(personas, edits.put, {}, tmp_path / "personas", SystemClock(), log).run())
    try:
        kept = [await live(personas, deleted=bool(number % 2)) for number in range(ROUNDS)][::2]
        assert sorted(personas.all(), key=lambda persona: persona.id) == sorted(kept, key=lambda persona: persona.id)
        by_hand = msgspec.structs.replace(kept[0], name="Edited by hand")
        (personas.folder(by_hand.id) / CONFIG).write_bytes(to_json(by_hand))
        assert await asyncio.wait_for(edits.get(), PATIENCE) == by_hand
        assert edits.empty()
    finally:
        watching.cancel()


async def test_a_provider_that_does_not_exist_changes_nothing(tmp_path: Path, log: Log) -> None:
    """It is a fault of the record, whichever organ has it: the last good record stays, and the mended one is taken."""
    personas = Personas(tmp_path / "personas", log)
    await personas.load()
    good = Persona(str(uuid.uuid4()), "Eve", Organ("m"))
    await personas.create(good)
    file = personas.folder(good.id) / CONFIG
    for slot in ("thinking", "eye"):
        file.write_bytes(to_json(msgspec.structs.replace(good, **{slot: Organ("m", "opnai")})))
        await personas.load()
        assert personas.get(good.id) == good
        assert (
            f"there is no such provider; use null or anthropic, embedded, gemini, local, openai, xai - at `$.{slot}"
            in (personas.faults()[good.id])
        )
    mended = msgspec.structs.replace(good, eye=Organ("m", "openai"))
    file.write_bytes(to_json(mended))
    await personas.load()
    assert (personas.get(good.id), personas.faults()) == (mended, {})


async def test_an_edit_that_is_not_noticed_yet_is_not_overwritten(tmp_path: Path, log: Log) -> None:
    """A command writes its own field only; the edit is in the file, and takes effect as soon as it is noticed."""
    personas = Personas(tmp_path / "personas", log)
    await personas.load()
    before = Persona(str(uuid.uuid4()), "Eve", Organ("m"))
    await personas.create(before)
    file = personas.folder(before.id) / CONFIG
    file.write_bytes(to_json(msgspec.structs.replace(before, name="Edited by hand", status="active")))
    stopped = msgspec.structs.replace(before, status="hibernate")
    await personas.save(stopped)
    both = msgspec.structs.replace(stopped, name="Edited by hand")
    assert msgspec.convert(json.loads(file.read_text()), Persona) == both
    assert personas.get(before.id) == stopped
    noticed = list[Persona]()

    async def edited(persona: Persona) -> None:
        noticed.append(persona)

    await personas.take_edits([file], edited)
    assert (noticed, personas.get(before.id)) == ([both], both)


@pytest.mark.parametrize("edit", [b'{"id": "6c17", "name": "Eve"', b"\xff", b""])
async def test_an_edit_with_a_fault_is_kept_beside_what_a_command_writes(tmp_path: Path, log: Log, edit: bytes) -> None:
    """The work of a person who forgot a bracket is not lost because somebody else stopped her meanwhile."""
    personas = Personas(tmp_path / "personas", log)
    await personas.load()
    before = Persona(str(uuid.uuid4()), "Eve", Organ("m"))
    await personas.create(before)
    file = personas.folder(before.id) / CONFIG
    stopped = msgspec.structs.replace(before, status="hibernate")
    for edited in (b"{", edit):
        file.write_bytes(edited)
        await personas.save(stopped)
        assert file.with_name(REJECTED).read_bytes() == edited
    assert msgspec.convert(json.loads(file.read_text()), Persona) == stopped
    await personas.save(before)
    assert file.with_name(REJECTED).read_bytes() == edit
    assert [event["kept"] for event in logged(log, "persona.config_replaced")] == [REJECTED] * 2


async def live(personas: Personas, deleted: bool) -> Persona:
    """Create her, change her channels, and delete her."""
    persona = Persona(str(uuid.uuid4()), "Eve", Organ("m"))
    await personas.create(persona)
    for name in ("one", "two", "three"):
        persona = msgspec.structs.replace(persona, channels=[Channel("telegram", name, {"token": Secret(name)})])
        await personas.save(persona)
        assert personas.get(persona.id) == persona
    if deleted:
        await personas.delete(persona.id)
        assert personas.get(persona.id) is None
    return persona


async def test_an_error_in_handling_an_edit_is_no_failed_watch(tmp_path: Path, log: Log) -> None:
    """It reaches the caller as it is."""
    personas = Personas(tmp_path / "personas", log)
    await personas.load()
    persona = Persona(str(uuid.uuid4()), "Eve", Organ("m"))
    await personas.create(persona)

    async def failing(_: Persona) -> None:
        raise RuntimeError("a mistake of ours")

    watching = asyncio.create_task(EditWatch(personas, failing, {}, tmp_path / "personas", SystemClock(), log).run())
    number = 0
    async with asyncio.timeout(PATIENCE):
        # An edit before the kernel watches is not reported, so it is edited until it is.
        while not watching.done():
            number += 1
            by_hand = msgspec.structs.replace(persona, name=f"Edited {number}")
            (personas.folder(persona.id) / CONFIG).write_bytes(to_json(by_hand))
            await asyncio.wait([watching], timeout=0.3)
    error = watching.exception()
    assert (type(error), str(error)) == (RuntimeError, "a mistake of ours")


async def test_a_memory_folder_that_cannot_be_listed(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """She keeps what she knew, and the error is logged."""
    personas = Personas(tmp_path / "personas", log)
    await personas.load()
    persona = Persona(str(uuid.uuid4()), "Eve", Organ("m"))
    await personas.create(persona)
    (personas.folder(persona.id) / "memory" / "person.md").write_text("likes tea")
    await personas.reread_memory(persona.id)

    def refused(_: Path) -> Iterator[Path]:
        raise PermissionError("Permission denied")

    monkeypatch.setattr(Path, "iterdir", refused)
    await personas.reread_memory(persona.id)
    assert personas.memory(persona.id) == {"person": "likes tea"}
    assert [event["file"] for event in logged(log, "persona.memory_unreadable")] == ["memory"]
