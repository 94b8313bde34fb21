"""What she knows, as her files have it; it can be read while she is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.lookup import find_persona
from daemon.http.answers import json_response
from daemon.logging.log import Log
from daemon.personas import atomic_files
from daemon.personas.instructions import Instructions
from daemon.personas.personas import MAX_MEMORY_FILES, MEMORY_FILE, Personas

LARGEST: Final = 1024 * 1024
"""Bytes of a file that are shown; she herself reads less (daemon/personas/personas.py)."""


class Instruction(msgspec.Struct):
    """One of her rules for when to do what."""

    intention: str
    body: str
    source: str


class Knowledge(msgspec.Struct):
    """Her memory files by name, verbatim and without empty ones, and her instructions."""

    memory: dict[str, str]
    instruction: list[Instruction]


class KnowledgeRoutes:
    """What a persona knows."""

    def __init__(self, *, personas: Personas, instructions: Instructions, log: Log) -> None:
        self._personas = personas
        self._instructions = instructions
        self._log = log

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/persona/{persona_id}/knowledge", self.knowledge)]

    async def knowledge(self, request: Request) -> Response:
        """``GET /api/persona/{persona_id}/knowledge``: read from the disk, so that an edit by hand shows at once."""
        persona = find_persona(self._personas, request)
        try:
            memory = await asyncio.to_thread(_read, self._personas.folder(persona.id) / "memory")
        except (OSError, UnicodeDecodeError) as error:
            self._log.error("persona.knowledge_unreadable", persona=persona.id, reason=str(error))
            raise HTTPException(400, "Could not read knowledge.") from error
        await self._instructions.reload(persona.id)
        told = [Instruction(one.intention, one.body, "custom") for one in self._instructions.all(persona.id)]
        return json_response(Knowledge(memory, told))


def _read(folder: Path) -> dict[str, str]:
    if not folder.exists():
        return {}
    names = sorted(path.name for path in folder.iterdir() if MEMORY_FILE.fullmatch(path.name))
    texts = {
        name.removesuffix(".md"): atomic_files.read(folder / name, LARGEST).decode()
        for name in names[:MAX_MEMORY_FILES]
    }
    return {name: text for name, text in texts.items() if text.strip()}
