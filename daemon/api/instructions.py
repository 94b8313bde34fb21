"""Her instructions: what she is asked to do, and when. Each is a Markdown file in her folder ``instructions``."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Literal

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
from daemon.personas.instruction_files import (
    FILE_BYTES,
    INTENTION_CHARS,
    NAME,
    Instruction,
    InstructionFault,
    checked,
)
from daemon.personas.instructions import (
    FOLDER,
    InstructionChanged,
    InstructionRefused,
    Instructions,
    NoInstruction,
)
from daemon.personas.personas import Personas
from proto.records import EMBEDDED, Persona

_CHANGED: Final = "The instruction was changed since you read it: GET it again, and send your change with its new ETag."
_UNHEARD: Final = (
    "Her mind is the embedded one, which cannot follow instructions. They are kept for a larger one, which"
    " `personad organ` gives her."
)


class InstructionShown(msgspec.Struct):
    """An instruction; ``visitors``: it is told in visitors' conversations, too."""

    name: str
    intention: str
    body: str
    source: Literal["builtin", "custom"]
    visitors: bool


class InstructionFaulty(msgspec.Struct):
    """A file that she is not told of; ``reason`` says what to correct."""

    file: str
    reason: str


class InstructionList(msgspec.Struct):
    """Her instructions in the order in which she is told them. ``note`` says so when her mind cannot follow any."""

    instructions: list[InstructionShown]
    faults: list[InstructionFaulty]
    note: str


class InstructionRequest(msgspec.Struct):
    """What to write: ``intention`` says when, ``body`` what she is to do, in Markdown."""

    intention: Annotated[str, msgspec.Meta(min_length=1, max_length=INTENTION_CHARS)]
    body: Annotated[str, msgspec.Meta(min_length=1, max_length=FILE_BYTES)]
    visitors: bool = False


class InstructionRoutes:
    """The instructions of a persona."""

    def __init__(self, *, personas: Personas, instructions: Instructions) -> None:
        self._personas = personas
        self._instructions = instructions
        self._body = Body(InstructionRequest)

    def routes(self) -> list[BaseRoute]:
        path = "/api/persona/{persona_id}/knowledge/instructions"
        return [
            Route(path, self.list),
            Route(f"{path}/{{name}}", self.one),
            Route(f"{path}/{{name}}", self.put, methods=["PUT"]),
            Route(f"{path}/{{name}}", self.remove, methods=["DELETE"]),
        ]

    async def list(self, request: Request) -> Response:
        """``GET .../knowledge/instructions``."""
        persona = find_persona(self._personas, request)
        await self._instructions.reload(persona.id)
        faults = self._instructions.faults(persona.id).items()
        return json_response(
            InstructionList(
                [_shown(one) for one in self._instructions.all(persona.id)],
                [InstructionFaulty(file, reason) for file, reason in faults],
                _note(persona),
            )
        )

    async def one(self, request: Request) -> Response:
        """``GET .../knowledge/instructions/{name}``."""
        persona, name = find_persona(self._personas, request), _name(request)
        await self._instructions.reload(persona.id)
        found = next((one for one in self._instructions.all(persona.id) if one.name == name), None)
        if found is None:
            file = f"{FOLDER}/{name}.md"
            fault = self._instructions.faults(persona.id).get(file)
            raise HTTPException(404, f"{file} cannot be used: {fault}." if fault else _absent(name))
        return json_response(_shown(found), headers={"etag": _etag(found)})

    async def put(self, request: Request) -> Response:
        """``PUT .../knowledge/instructions/{name}``: write one, or replace the one with this name."""
        persona, name = find_persona(self._personas, request), _name(request)
        asked, condition = await self._body.read(request), Condition(request)
        # As they stand in the file, of which the ETag is made.
        body = "\n".join(asked.body.strip().splitlines())
        try:
            new = checked(Instruction(name, asked.intention.strip(), body, asked.visitors))
            await self._instructions.put(persona.id, new, partial(_meant, condition))
        except InstructionFault as fault:
            field = "intention" if "heading" in str(fault) and asked.body.strip() else "body"
            raise Unprocessable([Fault("value_error", ("body", field), f"Refused: {fault}")]) from fault
        except InstructionChanged as error:
            raise HTTPException(412, _CHANGED) from error
        except InstructionRefused as error:
            raise HTTPException(409, str(error)) from error
        return json_response(_shown(new), headers={"etag": _etag(new)})

    async def remove(self, request: Request) -> Response:
        """``DELETE .../knowledge/instructions/{name}``."""
        persona, name, condition = find_persona(self._personas, request), _name(request), Condition(request)
        try:
            await self._instructions.remove(persona.id, name, partial(_meant, condition))
        except NoInstruction as error:
            raise HTTPException(404, _absent(name)) from error
        except InstructionChanged as error:
            raise HTTPException(412, _CHANGED) from error
        except InstructionRefused as error:
            raise HTTPException(409, str(error)) from error
        return json_response({"removed": name})


def _shown(one: Instruction) -> InstructionShown:
    return InstructionShown(one.name, one.intention, one.body, "custom", one.visitors)


def _etag(one: Instruction) -> str:
    return f'"{one.tag}"'


def _meant(condition: Condition, known: Instruction | None) -> bool:
    return condition.holds(_etag(known) if known else None)


def _note(persona: Persona) -> str:
    return _UNHEARD if persona.thinking.provider == EMBEDDED else ""


def _absent(name: str) -> str:
    return f"There is no instruction {name!r}: GET .../knowledge/instructions lists them."


def _name(request: Request) -> str:
    """Raise Unprocessable for what can be no file's name."""
    name: str = request.path_params["name"]
    if not NAME.fullmatch(f"{name}.md"):
        words = "Input should be a name of small letters, digits and dashes, at most 64, such as be-brief"
        raise Unprocessable([Fault("string_pattern_mismatch", ("path", "name"), words)])
    return name
