"""``GET /openapi.json``: the routes in OpenAPI 3.1. WebSockets are outside of what it can say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.channels import AddRequest, PairRequest
from daemon.api.errors import Fault, json_response
from daemon.api.health import Check, PersonaStatus, daemon_version
from daemon.api.history import Message
from daemon.api.knowledge import Knowledge
from daemon.api.perception import ReadRequest
from daemon.api.personas import CreateRequest, OrganChange
from daemon.channel_health import DeadLetterShown
from daemon.restore import Restored
from proto.feeds import SOURCES
from proto.records import ORGANS, Channel, Persona, PersonaView
from proto.secrets import Secret

# Any: a JSON document.
Json = dict[str, Any]

REF: Final = "#/components/schemas/{name}"

PARAMETERS: Final[dict[str, Json]] = {
    "persona_id": {"type": "string", "format": "uuid", "description": "Her UUID."},
    "filename": {"type": "string", "description": "A bare file name."},
    "channel_name": {"type": "string", "description": "The channel's name, percent-encoded."},
}

QUERY: Final[dict[str, Json]] = {
    "limit": {"type": "integer", "minimum": 0},
    "lines": {"type": "integer", "minimum": 0},
    "persona": {"type": "string"},
    "follow": {"type": "boolean"},
    "secrets": {"type": "boolean", "default": True},
}


class Operation(msgspec.Struct):
    """What one route takes and answers; ``errors`` are statuses beside those that every route can give."""

    summary: str
    answer: Json
    errors: tuple[int, ...] = ()
    body: Json | None = None
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    media_type: str = "application/json"
    body_type: str = "application/json"


def _ref(name: str) -> Json:
    return {"$ref": REF.format(name=name)}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _form(file: str) -> Json:
    """A multipart form with one file and a caption."""
    properties = {file: {"type": "string", "format": "binary"}, "caption": {"type": "string", "default": ""}}
    return {"type": "object", "properties": properties, "required": [file]}


def _list(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


TEXT: Final[Json] = {"type": "string"}
INTEGER: Final[Json] = {"type": "integer"}
STATUS: Final = _object(status=TEXT)
NOTHING: Final[Json] = {"type": "null"}
UPDATE: Final[Json] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "status": {"enum": ["active", "hibernate", "sick"]},
        **{slot: _ref("OrganChange") for slot in ("thinking", *ORGANS)},
        **{f"clear_{slot}": {"type": "boolean"} for slot in ORGANS},
    },
}

_FEED_FORM: Final = _object(history={"type": "string", "format": "binary"}, source={"enum": list(SOURCES)})
_RESTORE_FORM: Final[Json] = {
    "type": "object",
    "properties": {
        "archive": {"type": "string", "format": "binary"},
        "name": {"type": "string", "description": "A name instead of her own."},
        "new_id": {"type": "boolean", "default": False},
    },
    "required": ["archive"],
}

_PERSONA: Final = "/api/persona/{persona_id}"
_UPLOAD_ERRORS: Final = (400, 408, 409, 413, 422, 429, 503, 507)

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("POST", f"{_PERSONA}/read"): Operation(
        "Send her a text message; her reply comes over the WebSocket.",
        STATUS,
        (400, 409, 413, 422, 429, 503, 507),
        _ref("ReadRequest"),
        headers=("Idempotency-Key",),
    ),
    ("POST", f"{_PERSONA}/hear"): Operation(
        "Send her an audio clip, as if she heard the person speak.",
        STATUS,
        _UPLOAD_ERRORS,
        _form("audio"),
        headers=("Idempotency-Key",),
        body_type="multipart/form-data",
    ),
    ("POST", f"{_PERSONA}/attach"): Operation(
        "Send her a file, for the perception that its extension names.",
        STATUS,
        (*_UPLOAD_ERRORS, 415),
        _form("file"),
        headers=("Idempotency-Key",),
        body_type="multipart/form-data",
    ),
    ("POST", f"{_PERSONA}/feed"): Operation(
        "Let her learn from her person's chat history with another AI; answers when all of it is digested. Unmasked.",
        _object(persona=_ref("Persona")),
        (400, 408, 409, 413, 422, 500, 503, 507),
        _FEED_FORM,
        body_type="multipart/form-data",
    ),
    ("GET", "/api/personas"): Operation("List the personas.", _object(personas=_list("PersonaView"))),
    ("GET", "/api/config/providers"): Operation(
        "Where each model provider answers.",
        {"type": "object", "additionalProperties": _object(url=TEXT)},
    ),
    ("POST", "/api/persona/create"): Operation(
        "Create a persona and start her.",
        _object(persona=_ref("Persona"), recovery_phrase=NOTHING),
        (400, 422, 500),
        _ref("CreateRequest"),
    ),
    ("POST", "/api/persona/restore"): Operation(
        "Make a persona from her archive, with her id or a new one. Unmasked.",
        _ref("Restored"),
        (400, 408, 409, 413, 422, 500, 503, 507),
        _RESTORE_FORM,
        body_type="multipart/form-data",
    ),
    ("POST", f"{_PERSONA}/update"): Operation(
        "Change her status or organs, then make running match the status.",
        _object(status=TEXT, running={"type": "boolean"}),
        (400, 404, 422, 500),
        UPDATE,
    ),
    ("POST", f"{_PERSONA}/delete"): Operation("Delete her and everything of hers.", NOTHING, (400, 404)),
    ("POST", f"{_PERSONA}/start"): Operation("Start her.", STATUS, (400, 404)),
    ("POST", f"{_PERSONA}/stop"): Operation("Stop her.", STATUS, (404,)),
    ("POST", f"{_PERSONA}/restart"): Operation("Restart her, or start her.", STATUS, (400, 404)),
    ("POST", f"{_PERSONA}/sleep"): Operation("Fold the talk into what she knows.", NOTHING, (400, 409)),
    ("POST", f"{_PERSONA}/channels"): Operation(
        "Add a Telegram or Discord bot as a channel; the provider is asked whose token it is.",
        _object(kind=TEXT),
        (400, 404, 422, 500, 507),
        _ref("AddRequest"),
    ),
    ("DELETE", f"{_PERSONA}/channels/{{channel_name}}"): Operation(
        "Remove her channel of this name; without one, nothing changes.", _object(removed=TEXT), (404, 500, 507)
    ),
    ("POST", f"{_PERSONA}/pair"): Operation(
        "Claim a pairing code, and so bind the channel to the account that was shown it. Unmasked.",
        _object(persona=_ref("Persona"), channel=_ref("Channel")),
        (400, 409, 422, 507),
        _ref("PairRequest"),
    ),
    ("GET", f"{_PERSONA}/conversation"): Operation(
        "What was said.", _object(messages=_list("Message")), (404, 422), query=("limit",)
    ),
    ("GET", f"{_PERSONA}/export"): Operation(
        "All of her as a ZIP archive, with her keys and tokens unless secrets is false.",
        {"type": "string", "format": "binary"},
        (400, 404, 422),
        query=("secrets",),
        media_type="application/zip",
    ),
    ("GET", f"{_PERSONA}/knowledge"): Operation("What she knows.", _ref("Knowledge"), (400, 404)),
    ("GET", f"{_PERSONA}/media/{{filename}}"): Operation(
        "A file that she perceived or made.", {}, (404, 416), media_type="application/octet-stream"
    ),
    ("GET", "/api/status"): Operation(
        "The daemon and every persona.",
        _object(
            version=TEXT,
            uptime_s={"type": "number"},
            pid=INTEGER,
            rss=INTEGER,
            spawner=TEXT,
            organ_host=_object(pid={"type": ["integer", "null"]}),
            sockets=INTEGER,
            ledger=_object(commits=INTEGER),
            personas=_list("PersonaStatus"),
            dead_letters=_list("DeadLetterShown"),
        ),
    ),
    ("GET", "/api/logs"): Operation(
        "The daemon's last events, one JSON object a line; with follow=true also those to come.",
        TEXT,
        (422, 429),
        query=("persona", "lines", "follow"),
        media_type="application/x-ndjson",
    ),
    ("GET", "/livez"): Operation("Whether the daemon lives.", STATUS),
    ("GET", "/readyz"): Operation(
        "Whether the daemon is ready.",
        _object(status=TEXT, checks={"type": "object", "additionalProperties": _ref("Check")}),
        (503,),
    ),
    ("GET", "/metrics"): Operation("Prometheus metrics.", TEXT, media_type="text/plain"),
    ("GET", "/openapi.json"): Operation("This document.", {"type": "object"}),
}

_STATUS_WORDS: Final = {
    400: "Cannot be done; the detail says why.",
    401: "The token is missing or wrong.",
    403: "This Host or Origin is not answered.",
    404: "There is no such thing.",
    408: "It did not come in time.",
    409: "She is not running.",
    413: "Too large.",
    415: "No perception takes such a file; the detail lists those that one does.",
    416: "The range is not satisfiable.",
    422: "Faulty fields.",
    429: "Too much is unanswered; Retry-After says when to come again.",
    500: "Saved, but her process did not follow, or ended; the detail says which.",
    503: "Not now.",
    507: "The disk does not take it.",
}
_ALWAYS: Final = (401, 403)


def document(operations: Mapping[tuple[str, str], Operation] = OPERATIONS) -> Json:
    """Build the whole document."""
    kinds = (
        *(ReadRequest, CreateRequest, OrganChange, AddRequest, PairRequest),
        *(Persona, Channel, PersonaView, PersonaStatus, DeadLetterShown, Check, Message, Knowledge, Restored, Fault),
    )
    _, schemas = msgspec.json.schema_components(kinds, schema_hook=_secret_schema, ref_template=REF)
    schemas["Problem"] = _object(detail=TEXT)
    schemas["Unprocessable"] = _object(detail=_list("Fault"))
    paths: Json = {}
    for (method, path), operation in operations.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "personad", "version": daemon_version()},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def routed(routes: Iterable[BaseRoute]) -> set[tuple[str, str]]:
    """The (method, path) pairs of a routes table; HEAD goes with GET."""
    return {
        (method, route.path_format)
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }


async def openapi(_request: Request) -> Response:
    """``GET /openapi.json``."""
    return json_response(document())


def _operation(path: str, operation: Operation) -> Json:
    described: Json = {
        "summary": operation.summary,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": PARAMETERS[name]} for name in _names(path)),
            *({"name": name, "in": "query", "required": False, "schema": QUERY[name]} for name in operation.query),
            *({"name": name, "in": "header", "required": False, "schema": TEXT} for name in operation.headers),
        ],
        "responses": {
            "200": {"description": "Done.", "content": {operation.media_type: {"schema": operation.answer}}},
            **{str(status): _problem(status) for status in (*operation.errors, *_ALWAYS)},
        },
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {operation.body_type: {"schema": operation.body}}}
    return described


def _names(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)


def _problem(status: int) -> Json:
    schema = _ref("Unprocessable" if status == 422 else "Problem")
    return {"description": _STATUS_WORDS[status], "content": {"application/json": {"schema": schema}}}


def _secret_schema(kind: type) -> Json:
    if kind is Secret:
        return TEXT
    raise NotImplementedError(f"no schema for {kind.__name__}")
