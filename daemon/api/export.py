"""A persona as an archive, and a persona from an archive (see ``daemon/archives/archive.py``)."""

from __future__ import annotations

import secrets
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from daemon.api.errors import Unprocessable
from daemon.api.forms import Form
from daemon.api.lifecycle import find_persona
from daemon.api.personas import require_room
from daemon.api.streams import receive
from daemon.archives.archive import ArchiveError
from daemon.archives.export import Export, TooManyFiles
from daemon.archives.restore import NoRoom, Restore, Restored
from daemon.http.answers import NO_STORE, Fault, json_response, problem
from daemon.personas.media import TooLarge
from daemon.personas.personas import IdTaken, PersonasError
from daemon.personas.spool import Spool
from daemon.startup.daemon import Daemon, daemon_of
from daemon.supervision.supervisor import StartFailed
from proto.records import PersonaName

TIMEOUT: Final = 3600.0
"""Seconds in which an archive must have come."""
RESTORE_FOLDER: Final = "restore-"
"""What the folders in the state directory begin with that hold archives on their way."""

_FIELDS: Final = {"name": 100, "new_id": 5}
_TRUTHS: Final = {"true": True, "1": True, "false": False, "0": False}
_RETRY_AFTER: Final = {"retry-after": "5"}


async def export(request: Request) -> Response:
    """``GET /api/persona/{persona_id}/export``: with ``?secrets=false`` her keys and tokens stay here."""
    daemon = daemon_of(request)
    persona = find_persona(daemon, request)
    with_secrets = _truth(("query", "secrets"), request.query_params.get("secrets", "true"))
    made = Export(persona, daemon.personas.folder(persona.id), daemon.ledger, secrets=with_secrets)
    try:
        await made.prepare()
    except TooManyFiles as error:
        raise HTTPException(400, f"She cannot be exported: {error}.") from error
    except OSError as error:
        raise HTTPException(400, f"Her files cannot be read ({error.strerror}).") from error
    daemon.log.info("persona.exported", persona=persona.id, secrets=with_secrets)
    headers = {**NO_STORE, "content-disposition": f'attachment; filename="personad-{persona.id}.zip"'}
    return StreamingResponse(made.pieces(), headers=headers, media_type="application/zip")


async def restore(request: Request) -> Response:
    """``POST /api/persona/restore``: make a persona from her archive; the answer is unmasked, as that of ``create``."""
    daemon = daemon_of(request)
    limit = daemon.settings.limits.archive
    spool = Spool(daemon.settings.state_dir / f"{RESTORE_FOLDER}{secrets.token_hex(8)}", limit)
    form = Form(request.headers.get("content-type", ""), "archive", spool.begin, _FIELDS)
    with daemon.uploads.slot() as granted:
        if not granted:
            return problem(503, f"{daemon.uploads.at_once} uploads are under way: try again in a moment.", _RETRY_AFTER)
        try:
            await receive(request, daemon, form, TIMEOUT)
            name, new_id = (
                _name(form.values.get("name", "")),
                _truth(("body", "new_id"), form.values.get("new_id", "0")),
            )
            require_room(daemon)
            await daemon.uploads.run(spool.close)
            restored = await Restore(daemon, spool.path, name, new_id=new_id).run()
        except TimeoutError:
            if daemon.stopping.is_set():
                return problem(503, "The daemon is stopping: send it again when it is back.", _RETRY_AFTER)
            raise HTTPException(408, f"The archive did not come in {TIMEOUT:g} seconds: send it at once.") from None
        except TooLarge:
            words = f"The archive is over the limit of {limit} bytes: raise limits.archive."
            raise HTTPException(413, words) from None
        except ArchiveError as error:
            raise HTTPException(400, f"Nothing was restored: {error}.") from error
        except IdTaken as error:
            raise HTTPException(409, f"{error} Delete her first, or restore this one with new_id=true.") from error
        except (NoRoom, PersonasError) as error:
            raise HTTPException(507, f"Nothing was restored: {error}") from error
        except OSError as error:
            raise HTTPException(507, f"Nothing was restored: the disk does not take it ({error.strerror}).") from error
        finally:
            await daemon.uploads.run(spool.drop)
    return await _started(daemon, restored)


async def _started(daemon: Daemon, restored: Restored) -> Response:
    persona = restored.persona
    daemon.log.info("persona.restored", persona=persona.id, lines=restored.lines, left_out=len(restored.left_out))
    daemon.hubs.signal("Event", "Persona restored", persona, {"left_out": restored.left_out})
    if persona.status == "active":
        try:
            await daemon.supervisor.start(persona.id)
        except StartFailed as error:
            raise HTTPException(500, f"Persona restored but failed to start: {error}") from error
    return json_response(restored)


def _truth(loc: tuple[str, str], text: str) -> bool:
    if text not in _TRUTHS:
        raise Unprocessable([Fault("bool_parsing", loc, "Input should be a valid boolean, unable to interpret input")])
    return _TRUTHS[text]


def _name(text: str) -> str | None:
    """The name that she gets instead of her own; None for an empty text. Raises Unprocessable."""
    try:
        return msgspec.convert(text, PersonaName) if text else None
    except msgspec.ValidationError as error:
        words = "String should have no control characters or line breaks"
        raise Unprocessable([Fault("string_pattern_mismatch", ("body", "name"), words)]) from error
