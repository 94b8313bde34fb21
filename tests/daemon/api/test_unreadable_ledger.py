"""A ledger that cannot be read is told by the routes that need it, and hides nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
from starlette.applications import Starlette

from daemon.api.errors import HANDLERS
from daemon.api.health import HealthRoutes
from daemon.api.retry import RetryRoutes
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.ledger import Ledger
from daemon.personas.edit_watch import EditWatch
from daemon.personas.instructions import Instructions
from daemon.personas.personas import Personas
from daemon.runtime.tasks import daemon_tasks
from daemon.settings.accounts import Accounts
from daemon.settings.settings import Limits, Settings
from daemon.supervision.supervisor import PersonaState, Supervisor
from proto.records import Organ, Persona
from tests.daemon.fakes.costs import no_costs
from tests.daemon.supervision.played import ManualClock, log_to

EVE = Persona("11111111-1111-4111-8111-111111111111", "Eve", Organ("m"))


def at_rest() -> Supervisor:
    """A supervisor whose personas are stopped."""
    # Any: a stand-in with what the status asks for.
    stand_in: Any = SimpleNamespace(
        spawner_mode="zygote",
        organ_host_pid=None,
        status_of=lambda persona: persona.status,
        running=lambda _: False,
        view=lambda _: PersonaState("stopped", 0, None, 0, "", 0.0, sick=False, mind="ok"),
        gateways=lambda _: [],
        minds_down=lambda _: {},
    )
    return cast("Supervisor", stand_in)


async def unedited(_: Persona) -> None:
    """Nothing happens at an edit."""


async def test_what_a_dead_reader_leaves(tmp_path: Path) -> None:
    """The status shows the personas with the ledger's fault instead of its counts, and a route says that it cannot.

    What the kernel refuses to the watch of edits is said beside it, and leaves the daemon ready.
    """
    clock = ManualClock()
    with log_to(tmp_path / "log") as log:
        ledger = await Ledger.open(tmp_path / "ledger.db")
        personas = Personas(tmp_path / "personas", log)
        await personas.create(EVE)
        await ledger._reader.close()
        edits = EditWatch(personas, unedited, {}, tmp_path / "personas", clock, log)
        edits.fault = "raise it with `sysctl fs.inotify.max_user_watches=524288`"
        health = HealthRoutes(
            personas=personas,
            instructions=Instructions(personas, log),
            edits=edits,
            supervisor=at_rest(),
            costs=no_costs(),
            ledger=ledger,
            hubs=Hubs(ledger, Limits(), 0, clock),
            state_dir=tmp_path,
            accounts=Accounts(Settings(state_dir=tmp_path, runtime_dir=tmp_path), {}),
            tasks=daemon_tasks(clock, log),
            started_at=0.0,
            clock=clock,
            stopping=asyncio.Event(),
        )
        retry = RetryRoutes(personas=personas, ledger=ledger, inbox=cast("Inbox", None))
        app = Starlette(routes=[*health.routes(), *retry.routes()], exception_handlers=HANDLERS)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://personad") as client:
            status = await client.get("/api/status")
            assert status.status_code == 200
            body = status.json()
            assert "closed" in body["ledger"]["fault"]
            [eve] = body["personas"]
            assert (eve["name"], eve["inbox"], eve["channels"]) == ("Eve", None, [])
            assert body["edits"] == edits.fault
            checks = (await client.get("/readyz")).json()["checks"]
            assert checks["ledger"]["ok"] is False
            assert checks["edits"] == {"ok": True, "reason": edits.fault}
            await ledger.close()
            refused = await client.post(f"/api/persona/{EVE.id}/retry", json={"drop": True})
            assert refused.status_code == 503
            assert "the ledger is closed" in refused.json()["detail"]
