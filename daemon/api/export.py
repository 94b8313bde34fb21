"""A persona as an archive, and a persona from an archive (see ``daemon/archives/archive.py``)."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from daemon.api.errors import Unprocessable
from daemon.api.flags import read_flag
from daemon.api.forms import Form
from daemon.api.lookup import find_persona, require_room
from daemon.api.streams import RETRY_AFTER, FormReader
from daemon.archives.archive import ArchiveError
from daemon.archives.export import Export, TooManyFiles
from daemon.archives.restore import RESTORE_FOLDER, NoRoom, Restored, Restorer
from daemon.conversations.hubs import Hubs
from daemon.http.answers import NO_STORE, Fault, json_response, problem, sentence
from daemon.http.security import reads_only
from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.personas.media import TooLarge, Uploads
from daemon.personas.memories import Memories
from daemon.personas.personas import IdTaken, Personas, PersonasError
from daemon.personas.spool import Spool
from daemon.runtime.clock import Clock
from daemon.settings.sections import Limits
from daemon.supervision.supervisor import StartFailed, Supervisor
from proto.records import PersonaName

TIMEOUT: Final = 3600.0
"""Seconds that an archive may take to arrive."""

_NO_SECRETS: Final = (
    "This token may only read, and the archive would hold keys and tokens: send secrets=false, or a token that may do"
    " everything."
)
_FIELDS: Final = {"name": 100, "new_id": 5}


class ArchiveRoutes:
    """Her archive, out and in."""

    def __init__(
        self,
        *,
        personas: Personas,
        supervisor: Supervisor,
        memories: Memories,
        ledger: Ledger,
        restorer: Restorer,
        hubs: Hubs,
        uploads: Uploads,
        forms: FormReader,
        limits: Limits,
        state_dir: Path,
        clock: Clock,
        log: Log,
    ) -> None:
        self._personas = personas
        self._supervisor = supervisor
        self._memories = memories
        self._ledger = ledger
        self._restorer = restorer
        self._hubs = hubs
        self._uploads = uploads
        self._forms = forms
        self._limits = limits
        self._state_dir = state_dir
        self._clock = clock
        self._log = log

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/persona/restore", self.restore, methods=["POST"]),
            Route("/api/persona/{persona_id}/export", self.export),
        ]

    async def export(self, request: Request) -> Response:
        """``GET /api/persona/{persona_id}/export``: with ``?secrets=false`` her keys and tokens stay here."""
        persona = find_persona(self._personas, request)
        with_secrets = read_flag(("query", "secrets"), request.query_params.get("secrets", "true"))
        if with_secrets and reads_only(request):
            raise HTTPException(403, _NO_SECRETS)
        await self._memories.note(persona.id)
        made = Export(persona, self._personas.folder(persona.id), self._ledger, self._clock, secrets=with_secrets)
        try:
            await made.prepare()
        except TooManyFiles as error:
            raise HTTPException(400, f"She cannot be exported: {error}.") from error
        except OSError as error:
            raise HTTPException(400, f"Her files cannot be read ({error.strerror}).") from error
        self._log.info("persona.exported", persona=persona.id, secrets=with_secrets)
        headers = {**NO_STORE, "content-disposition": f'attachment; filename="personad-{persona.id}.zip"'}
        return StreamingResponse(made.pieces(), headers=headers, media_type="application/zip")

    async def restore(self, request: Request) -> Response:
        """``POST /api/persona/restore``: make a persona from her archive; the answer is unmasked, as ``create``'s."""
        limit, uploads = self._limits.archive, self._uploads
        spool = Spool(self._state_dir / f"{RESTORE_FOLDER}{secrets.token_hex(8)}", limit)
        form = Form(request.headers.get("content-type", ""), "archive", spool.begin, _FIELDS)
        with uploads.slot() as granted:
            if not granted:
                return problem(503, f"{uploads.at_once} uploads are under way: try again in a moment.", RETRY_AFTER)
            try:
                await self._forms.read(request, form, TIMEOUT, "archive")
                name = _name(form.values.get("name", ""))
                new_id = read_flag(("body", "new_id"), form.values.get("new_id", "0"))
                require_room(self._personas, self._limits.personas)
                await uploads.run(spool.close)
                restored = await self._restorer.restore(spool.path, name, new_id=new_id)
            except TooLarge:
                words = f"The archive is over the limit of {limit} bytes: raise limits.archive."
                raise HTTPException(413, words) from None
            except ArchiveError as error:
                raise HTTPException(400, f"Nothing was restored: {error}.") from error
            except IdTaken as error:
                raise HTTPException(409, f"{error} Delete her first, or restore this one with new_id=true.") from error
            except (NoRoom, PersonasError) as error:
                raise HTTPException(507, sentence(f"Nothing was restored: {error}")) from error
            except OSError as error:
                words = f"Nothing was restored: the disk does not take it ({error.strerror})."
                raise HTTPException(507, words) from error
            finally:
                await uploads.run(spool.drop)
        return await self._started(restored)

    async def _started(self, restored: Restored) -> Response:
        persona, left_out = restored.persona, restored.left_out
        self._log.info("persona.restored", persona=persona.id, lines=restored.lines, left_out=len(left_out))
        self._hubs.signal("Event", "Persona restored", persona, {"left_out": left_out})
        if persona.status == "active":
            try:
                await self._supervisor.start(persona.id)
            except StartFailed as error:
                raise HTTPException(500, sentence(f"Persona restored but failed to start: {error}")) from error
        return json_response(restored)


def _name(text: str) -> str | None:
    """Return the name that replaces her own; None for an empty text. Raises Unprocessable."""
    try:
        return msgspec.convert(text, PersonaName) if text else None
    except msgspec.ValidationError as error:
        words = "String should have no control characters or line breaks"
        raise Unprocessable([Fault("string_pattern_mismatch", ("body", "name"), words)]) from error
