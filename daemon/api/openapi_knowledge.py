"""The routes of her memory's history and of her instructions, for the OpenAPI document."""

from __future__ import annotations

from typing import Final

from daemon.api.openapi_parts import TEXT, Json, Operation, list_, object_, ref

PARAMETERS: Final[dict[str, Json]] = {
    "file": {"type": "string", "description": "A memory file's name without .md, such as person."},
    "version": {"type": "integer", "minimum": 1, "description": "A version's number."},
    "name": {"type": "string", "description": "An instruction's name: its file's without .md."},
}

_KNOWLEDGE: Final = "/api/persona/{persona_id}/knowledge"
_MEMORY: Final = f"{_KNOWLEDGE}/memory"
_INSTRUCTIONS: Final = f"{_KNOWLEDGE}/instructions"

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", _MEMORY): Operation(
        "listMemoryFiles",
        "memory",
        "Her memory files, also those that are gone, each with its last version.",
        object_(files=list_("FileShown")),
        (404,),
    ),
    ("GET", f"{_MEMORY}/{{file}}"): Operation(
        "getMemoryHistory",
        "memory",
        "A memory file's versions, newest first, each with when and why.",
        ref("FileHistory"),
        (404,),
        answer_headers=("ETag",),
    ),
    ("GET", f"{_MEMORY}/{{file}}/{{version}}"): Operation(
        "getMemoryVersion",
        "memory",
        "One version of a memory file with its text.",
        ref("VersionText"),
        (404, 422),
        answer_headers=("ETag",),
    ),
    ("POST", f"{_MEMORY}/{{file}}/undo"): Operation(
        "undoMemory",
        "memory",
        "Put back what a memory file held before its last change, or one of its versions; this makes a new version.",
        ref("VersionShown"),
        (404, 409, 412, 422, 507),
        ref("UndoRequest"),
        headers=("If-Match",),
        answer_headers=("ETag",),
        body_required=False,
    ),
    ("GET", _INSTRUCTIONS): Operation(
        "listInstructions",
        "memory",
        "Her instructions, and the files that cannot be used.",
        ref("InstructionList"),
        (404,),
    ),
    ("GET", f"{_INSTRUCTIONS}/{{name}}"): Operation(
        "getInstruction",
        "memory",
        "One instruction.",
        ref("InstructionShown"),
        (404, 422),
        answer_headers=("ETag",),
    ),
    ("PUT", f"{_INSTRUCTIONS}/{{name}}"): Operation(
        "putInstruction",
        "memory",
        "Write an instruction, or replace the one with this name.",
        ref("InstructionShown"),
        (404, 409, 412, 422),
        ref("InstructionRequest"),
        headers=("If-Match",),
        answer_headers=("ETag",),
    ),
    ("DELETE", f"{_INSTRUCTIONS}/{{name}}"): Operation(
        "deleteInstruction",
        "memory",
        "Delete an instruction.",
        object_(removed=TEXT),
        (404, 409, 412, 422),
        headers=("If-Match",),
    ),
}
