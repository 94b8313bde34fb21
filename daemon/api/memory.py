"""The history of her memory files: what each held when, why it changed, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.bodies import Body
from daemon.api.conditions import Condition
from daemon.api.errors import Unprocessable
from daemon.api.lookup import find_persona
from daemon.http.answers import Fault, json_response
from daemon.ledger import Cause, Ledger, Version, Why
from daemon.ledger.memory_history import MOST_BYTES, MOST_VERSIONS, NEWEST
from daemon.personas.memories import AnotherVersion, Memories, NothingToUndo, NoVersion
from daemon.personas.personas import MEMORY_FILE, MemoryChanged, Personas, PersonasError

_LARGEST: Final = 2**31
_KEPT: Final = (
    f"the newest {NEWEST} are kept, each day's last of the older ones, {MOST_VERSIONS} versions and {MOST_BYTES} bytes"
    " in all"
)


class LinesShown(msgspec.Struct):
    """The lines of a talk: the ids of the first and the last, null in a restored history, and when they were said."""

    first: int | None
    last: int | None
    since: str
    until: str


class FedShown(msgspec.Struct):
    """The conversation with another AI, by the hash of its text, its title, and when it was held (null: unknown)."""

    source: str
    key: str
    title: str
    time: str | None


class VersionShown(msgspec.Struct):
    """One version of a file; ``time`` is ISO 8601 with its offset, ``bytes`` null when the file was not there.

    ``cause``: ``talk`` (with ``lines``), ``feed`` (with ``fed``), ``hand``, ``undo`` (``restores`` is the version that
    was put back, 0 the time before the file), ``restored`` from an archive without history, or ``found`` when its
    history began.
    """

    version: int
    time: str
    cause: Cause
    bytes: int | None
    lines: LinesShown | None = None
    fed: FedShown | None = None
    restores: int | None = None


class FileShown(msgspec.Struct):
    """A memory file, also one that is gone: its last version, and how many are kept."""

    file: str
    versions: int
    last: VersionShown


class FileHistory(msgspec.Struct):
    """A file's versions, newest first."""

    file: str
    versions: list[VersionShown]


class VersionText(msgspec.Struct):
    """One version with its text, which is null when the file was not there."""

    file: str
    version: VersionShown
    text: str | None


class UndoRequest(msgspec.Struct):
    """Which version to put back: its number, or null for what the file held before its last change."""

    version: Annotated[int, msgspec.Meta(ge=1, le=2**31)] | None = None


class MemoryRoutes:
    """The versions of her memory files. An edit by hand shows at once."""

    def __init__(self, *, personas: Personas, memories: Memories, ledger: Ledger) -> None:
        self._personas = personas
        self._memories = memories
        self._ledger = ledger
        self._body = Body(UndoRequest)

    def routes(self) -> list[BaseRoute]:
        path = "/api/persona/{persona_id}/knowledge/memory"
        return [
            Route(path, self.files),
            Route(f"{path}/{{file}}", self.history),
            Route(f"{path}/{{file}}/undo", self.undo, methods=["POST"]),
            Route(f"{path}/{{file}}/{{version}}", self.version),
        ]

    async def files(self, request: Request) -> Response:
        """``GET .../knowledge/memory``: every file that there is or was."""
        persona = find_persona(self._personas, request)
        await self._memories.note(persona.id)
        found = await self._ledger.memory_files(persona.id)
        return json_response({"files": [FileShown(last.file, count, shown(last)) for last, count in found]})

    async def history(self, request: Request) -> Response:
        """``GET .../knowledge/memory/{file}``: its versions; the ETag names the last one."""
        persona, file = find_persona(self._personas, request), _file(request)
        await self._memories.note(persona.id)
        versions = await self._ledger.memory_versions(persona.id, file)
        if not versions:
            raise _absent(file)
        answer = FileHistory(file, [shown(one) for one in versions])
        return json_response(answer, headers={"etag": etag(versions[0])})

    async def version(self, request: Request) -> Response:
        """``GET .../knowledge/memory/{file}/{version}``: one version with its text."""
        persona, file, number = find_persona(self._personas, request), _file(request), _number(request)
        found = await self._ledger.memory_version(persona.id, file, number)
        if found is None:
            if not await self._ledger.memory_versions(persona.id, file):
                raise _absent(file)
            raise HTTPException(404, f"{file}.md has no version {number}, or it is thinned out: {_KEPT}.")
        return json_response(VersionText(file, shown(found[0]), found[1]), headers={"etag": etag(found[0])})

    async def undo(self, request: Request) -> Response:
        """``POST .../knowledge/memory/{file}/undo``: put a version back, which makes a new one."""
        persona, file = find_persona(self._personas, request), _file(request)
        wanted = await self._body.read(request) if await request.body() else UndoRequest()
        condition = Condition(request)
        try:
            made = await self._memories.undo(persona.id, file, wanted.version, lambda last: condition.holds(etag(last)))
        except NoVersion as error:
            raise HTTPException(404, str(error)) from error
        except AnotherVersion as error:
            raise HTTPException(412, str(error)) from error
        except NothingToUndo as error:
            raise HTTPException(409, str(error)) from error
        except MemoryChanged as error:
            raise HTTPException(409, f"{file}.md was edited at this moment: look at it and try again.") from error
        except PersonasError as error:
            raise HTTPException(409, str(error)) from error
        return json_response(shown(made), headers={"etag": etag(made)})


def shown(one: Version) -> VersionShown:
    """Return a version as the API shows it."""
    why = one.why
    return VersionShown(
        version=one.version,
        time=_time(one.at),
        cause=why.cause,
        bytes=one.size,
        lines=LinesShown(why.first or None, why.last or None, _time(why.said_from), _time(why.said_to))
        if why.cause == "talk"
        else None,
        fed=_fed(why) if why.cause == "feed" else None,
        restores=why.restores if why.cause == "undo" else None,
    )


def etag(one: Version) -> str:
    """The ETag of a file whose last version this is."""
    return f'"{one.version}-{one.digest[:16]}"'


def _fed(why: Why) -> FedShown:
    return FedShown(why.source, why.key, why.title, _time(why.said_from) if why.said_from else None)


def _time(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).astimezone().isoformat(timespec="milliseconds")


def _file(request: Request) -> str:
    """Raise 404 for what is no name of a memory file."""
    file: str = request.path_params["file"]
    if not MEMORY_FILE.fullmatch(f"{file}.md"):
        raise _absent(file[:100])
    return file


def _absent(file: str) -> HTTPException:
    return HTTPException(404, f"There is no memory file {file!r}: GET .../knowledge/memory lists them.")


def _number(request: Request) -> int:
    text: str = request.path_params["version"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= _LARGEST):
        raise Unprocessable([Fault("int_parsing", ("path", "version"), "Input should be a version's number")])
    return int(text)
