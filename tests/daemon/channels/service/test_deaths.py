"""The daemon is killed before each write of each change: the next start finds the change complete or not begun."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from daemon.logging.log import Log
from proto.gateways import channel_id
from proto.records import Organ, Persona
from tests.daemon.channels.service.rig import ADA, BOB, Death, Killed, Rig, open_rig

Act = Callable[[Rig], Awaitable[object]]

PAIRED = channel_id("telegram", "t1")
OPEN = channel_id("telegram", "open")


class Change(NamedTuple):
    """The state before, the change itself, and whether it is an edit by hand, which cannot be undone."""

    before: tuple[Act, ...]
    act: Act
    by_hand: bool = False


def eve() -> Persona:
    """A persona who does not exist yet."""
    return Persona("e0000000-0000-4000-8000-000000000005", "Eve", Organ("echo"))


async def add(rig: Rig) -> None:
    await rig.service.add(ADA, "telegram", "t1")


async def open_(rig: Rig) -> None:
    await rig.service.open(rig.request("open"))


async def write(rig: Rig) -> None:
    await rig.write_to_bot("t1")


async def pair(rig: Rig) -> None:
    await rig.service.pair(ADA, "ABCDEF")


async def update(rig: Rig) -> None:
    (row,) = await rig.rows()
    await rig.service.update(OPEN, msgspec.structs.replace(row.fields, name="Reception", welcome="Hi"))


async def remove(rig: Rig) -> None:
    await rig.service.remove(ADA, rig.listed()[0]["name"])


async def create(rig: Rig) -> None:
    await rig.service.create(eve(), [await rig.service.identify(kind, "t1") for kind in ("telegram", "discord")])


async def bring_back(rig: Rig) -> None:
    await rig.service.bring_back(eve(), [await rig.service.identify("telegram", "t1")], rig.personas.create)


async def add_by_hand(rig: Rig) -> None:
    await rig.edit([{"type": "telegram", "name": "mine", "credentials": {"token": "t1"}, "verified_at": None}])


async def rename_by_hand(rig: Rig) -> None:
    await rig.edit([{**rig.listed()[0], "name": "By hand"}])


async def unpair_by_hand(rig: Rig) -> None:
    await rig.edit([{**rig.listed()[0], "verified_at": None}])


async def remove_by_hand(rig: Rig) -> None:
    await rig.edit(None)


async def move_by_hand(rig: Rig) -> None:
    rig.paste(rig.listed(), BOB)
    rig.paste(None)
    await rig.see(BOB)
    await rig.see(ADA)


CHANGES = {
    "add": Change((), add),
    "open": Change((), open_),
    "update": Change((open_,), update),
    "pause": Change((open_,), lambda rig: rig.service.pause(OPEN)),
    "resume": Change((open_, lambda rig: rig.service.pause(OPEN)), lambda rig: rig.service.resume(OPEN)),
    "pair": Change((add, write), pair),
    "remove unpaired": Change((add, write), remove),
    "remove paired": Change((add, write, pair), remove),
    "delete open": Change((open_,), lambda rig: rig.service.delete(OPEN)),
    "delete paired": Change((add, write, pair), lambda rig: rig.service.delete(PAIRED)),
    "create": Change((), create),
    "bring back": Change((), bring_back),
    "add by hand": Change((), add_by_hand, by_hand=True),
    "rename by hand": Change((open_, update), rename_by_hand, by_hand=True),
    "unpair by hand": Change((add, write, pair), unpair_by_hand, by_hand=True),
    "remove by hand": Change((add, write, pair), remove_by_hand, by_hand=True),
    "move by hand": Change((add,), move_by_hand, by_hand=True),
}


async def begin(folder: Path, log: Log, change: Change, death: Death) -> Rig:
    """A daemon on a new folder, just before the change."""
    rig = await open_rig(folder, log, death)
    await rig.persona(ADA, "Ada")
    await rig.persona(BOB, "Bob")
    know_bots(rig)
    for act in change.before:
        await act(rig)
    return rig


async def begin_again(folder: Path, log: Log) -> Rig:
    """The next daemon on this folder."""
    rig = await open_rig(folder, log)
    know_bots(rig)
    for persona in rig.personas.all():
        await rig.processes.start(persona.id)
    return rig


def know_bots(rig: Rig) -> None:
    """Make these tokens known to the providers."""
    for token in ("t1", "open"):
        rig.bot(token)


async def agree(rig: Rig) -> None:
    """Assert that rows and lists agree."""
    owners = []
    for persona in rig.personas.all():
        listed = rig.listed(persona.id)
        paired = {row.channel for row in await rig.ledger.channels(persona.id) if row.account}
        rows = {row.channel: row for row in await rig.rows(persona.id)}
        assert {channel_id(one["type"], one["credentials"]["token"]): one["name"] for one in listed} == {
            channel: row.fields.name for channel, row in rows.items()
        }
        for one in listed:
            channel = channel_id(one["type"], one["credentials"]["token"])
            assert bool(one["verified_at"]) == (rows[channel].open or channel in paired)
        owners += [persona.id] * bool(rows)
    assert sorted(await rig.ledger.channel_owners()) == sorted(owners)


@pytest.mark.parametrize("name", CHANGES)
async def test_a_change_is_whole_or_not_begun(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It is so at whichever write the daemon dies; a change that was not begun can be made afterwards."""
    change, death = CHANGES[name], Death(monkeypatch)
    (folder := tmp_path / "whole").mkdir()
    rig = await begin(folder, log, change, death)
    before = await rig.state()
    await change.act(rig)
    whole = await rig.state()
    await agree(rig)
    await rig.close()
    assert before != whole
    outcomes = []
    for writes in count():
        (folder := tmp_path / str(writes)).mkdir()
        rig = await begin(folder, log, change, death)
        death.after = death.writes + writes
        with suppress(Killed):
            await change.act(rig)
        await rig.close()
        killed = death.struck
        death.forget()
        rig = await begin_again(folder, log)
        state = await rig.state()
        assert state == whole or (state == before and not change.by_hand), f"killed after {writes} writes"
        await agree(rig)
        outcomes.append(state == whole)
        if state == before:
            await change.act(rig)
            assert await rig.state() == whole
        assert rig.processes.clashes == []
        await rig.close()
        if not killed:
            break
    # Up to some write the change was not begun, and after that it was complete.
    assert outcomes == sorted(outcomes)
    assert outcomes[-1]
    assert len(outcomes) > 1
