"""What the tests of changes share: refusals, a full disk, a paired channel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from daemon.channels.errors import ChannelRefused
from daemon.personas.personas import Personas, PersonasError
from proto.gateways import channel_id
from proto.records import Persona
from tests.daemon.channels.service.rig import ADA, Rig

NOBODY = "c0000000-0000-4000-8000-000000000003"


async def refusal(change: Awaitable[object]) -> tuple[int, str]:
    """The status and the text with which a change is refused."""
    with pytest.raises(ChannelRefused) as raised:
        await change
    return raised.value.status, str(raised.value)


def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make every write of a config.json fail until the returned function is called."""

    async def refuse(_personas: Personas, _persona: Persona) -> None:
        raise PersonasError("Her record could not be written: the disk is full")

    with_room = Personas.save
    monkeypatch.setattr(Personas, "save", refuse)
    return lambda: monkeypatch.setattr(Personas, "save", with_room)


async def paired(rig: Rig) -> str:
    """Add a bot and pair it; returns the channel."""
    await rig.service.add(ADA, "telegram", rig.bot("t1"))
    await rig.service.pair(ADA, await rig.write_to_bot("t1"))
    return channel_id("telegram", "t1")
