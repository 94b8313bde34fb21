"""Two requests that delete the same persona at once."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import cast

from starlette.exceptions import HTTPException
from starlette.requests import Request

from daemon.api.personas import PersonaRoutes
from daemon.channels.register import ChannelRegister
from daemon.channels.service import ChannelService
from daemon.conversations.hubs import Hubs
from daemon.ledger import Ledger
from daemon.personas.personas import Personas
from daemon.supervision.supervisor import Supervisor
from proto.records import Organ, Persona
from tests.daemon.fakes.costs import no_costs
from tests.daemon.supervision.played import log_to


class Quiet:
    """Everything that a deletion touches besides her folder. Both requests have stopped her before either goes on."""

    def __init__(self) -> None:
        self._both = asyncio.Barrier(2)
        self._stops = 0

    async def stop(self, _: str) -> None:
        """Stop her process."""
        self._stops += 1
        if self._stops <= 2:
            await self._both.wait()

    def forget(self, *_: object) -> None:
        """Forget her."""

    def signal(self, *_: object) -> None:
        """Tell about her."""


class Rows:
    """The ledger, as far as a deletion needs it."""

    async def forget(self, _: str) -> None:
        """Forget her."""


async def test_one_deletes_her_and_the_other_finds_nobody(tmp_path: Path) -> None:
    """The second request is 404, as if it had come later."""
    with log_to(tmp_path / "log") as log:
        personas = Personas(tmp_path / "personas", log)
        await personas.load()
        persona = Persona(str(uuid.uuid4()), "Eve", Organ("m"))
        await personas.create(persona)
        quiet = Quiet()
        routes = PersonaRoutes(
            personas=personas,
            supervisor=cast("Supervisor", quiet),
            ledger=cast("Ledger", Rows()),
            hubs=cast("Hubs", quiet),
            register=cast("ChannelRegister", quiet),
            channels=cast("ChannelService", quiet),
            costs=no_costs(),
            max_personas=1,
        )

        async def delete() -> int:
            request = Request({"type": "http", "path_params": {"persona_id": persona.id}})
            try:
                return (await routes.delete(request)).status_code
            except HTTPException as error:
                return error.status_code

        assert sorted(await asyncio.gather(delete(), delete())) == [200, 404]
        assert list((tmp_path / "personas").iterdir()) == []
