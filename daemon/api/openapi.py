"""``GET /openapi.json``: the routes in OpenAPI 3.1. It cannot describe WebSockets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.channels import AddRequest, PairRequest
from daemon.api.health import Broken, Check, PersonaStatus
from daemon.api.history import Message
from daemon.api.knowledge import Knowledge
from daemon.api.openapi_parts import INTEGER, REF, SECURITY_SCHEME, TEXT, Json, Operation, list_, object_, ref
from daemon.api.perception import ReadRequest
from daemon.api.personas import CreateRequest, OrganChange
from daemon.api.retry import RetryRequest
from daemon.api.v1.openapi import KINDS as V1_KINDS
from daemon.api.v1.openapi import OPERATIONS as V1_OPERATIONS
from daemon.api.v1.openapi import QUERY as V1_QUERY
from daemon.api.v1.openapi import STATUS_WORDS as V1_STATUS_WORDS
from daemon.archives.restore import Restored
from daemon.channels.health import DeadLetterShown
from daemon.http.answers import Fault, json_response
from daemon.http.problems import MEDIA_TYPE
from daemon.settings import version
from proto.feeds import SOURCES
from proto.records import ORGANS, Channel, Persona, PersonaView
from proto.secrets import Secret

PARAMETERS: Final[dict[str, Json]] = {
    "persona_id": {"type": "string", "format": "uuid", "description": "Her UUID."},
    "filename": {"type": "string", "description": "A bare file name."},
    "channel_name": {"type": "string", "description": "The channel's name, percent-encoded."},
    "channel_id": {"type": "string", "description": "The channel's id."},
    "conversation_id": {"type": "string", "description": "The conversation's id."},
    "sender_id": {
        "type": "string",
        "description": "A person's id at the provider, as in a conversation's `senderIds`.",
    },
}

QUERY: Final[dict[str, Json]] = {
    "limit": {"type": "integer", "minimum": 0, "description": "The greatest number of lines; never more than 1000."},
    "before": {"type": "integer", "minimum": 0, "description": "Only lines before the one with this id."},
    "after": {"type": "integer", "minimum": 0, "description": "The first lines after the one with this id."},
    "q": {"type": "string", "maxLength": 200, "description": "Only lines that contain these words."},
    "lines": {"type": "integer", "minimum": 0},
    "persona": {"type": "string"},
    "follow": {"type": "boolean"},
    **V1_QUERY,
    "secrets": {"type": "boolean", "default": True},
}
"""By the name of the parameter, or by several words of which the last is its name."""


def _form(file: str) -> Json:
    """A multipart form with one file and a caption."""
    properties = {file: {"type": "string", "format": "binary"}, "caption": {"type": "string", "default": ""}}
    return {"type": "object", "properties": properties, "required": [file]}


STATUS: Final = object_(status=TEXT)
NOTHING: Final[Json] = {"type": "null"}
UPDATE: Final[Json] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "status": {"enum": ["active", "hibernate", "sick"]},
        **{slot: ref("OrganChange") for slot in ("thinking", *ORGANS)},
        **{f"clear_{slot}": {"type": "boolean"} for slot in ORGANS},
    },
}

_FEED_FORM: Final = object_(history={"type": "string", "format": "binary"}, source={"enum": list(SOURCES)})
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
        ref("ReadRequest"),
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
        object_(persona=ref("Persona")),
        (400, 408, 409, 413, 422, 500, 503, 507),
        _FEED_FORM,
        body_type="multipart/form-data",
    ),
    ("GET", "/api/personas"): Operation("List the personas.", object_(personas=list_("PersonaView"))),
    ("GET", "/api/config/providers"): Operation(
        "Where each model provider answers.",
        {"type": "object", "additionalProperties": object_(url=TEXT)},
    ),
    ("POST", "/api/persona/create"): Operation(
        "Create a persona and start her.",
        object_(persona=ref("Persona"), recovery_phrase=NOTHING),
        (400, 422, 500),
        ref("CreateRequest"),
    ),
    ("POST", "/api/persona/restore"): Operation(
        "Make a persona from her archive, with her id or a new one. Unmasked.",
        ref("Restored"),
        (400, 408, 409, 413, 422, 500, 503, 507),
        _RESTORE_FORM,
        body_type="multipart/form-data",
    ),
    ("POST", f"{_PERSONA}/update"): Operation(
        "Change her status or organs, then make running match the status.",
        object_(status=TEXT, running={"type": "boolean"}),
        (400, 404, 422, 500),
        UPDATE,
    ),
    ("POST", f"{_PERSONA}/delete"): Operation("Delete her and all her data.", NOTHING, (400, 404)),
    ("POST", f"{_PERSONA}/start"): Operation("Start her.", STATUS, (400, 404)),
    ("POST", f"{_PERSONA}/stop"): Operation("Stop her.", STATUS, (404,)),
    ("POST", f"{_PERSONA}/restart"): Operation("Restart her, or start her.", STATUS, (400, 404)),
    ("POST", f"{_PERSONA}/sleep"): Operation("Fold the talk into what she knows.", NOTHING, (400, 409)),
    ("POST", f"{_PERSONA}/retry"): Operation(
        "Take up again what was set aside, one message or all, or drop it.",
        object_(status=TEXT, messages={"type": "array", "items": INTEGER}),
        (404, 422, 503, 507),
        ref("RetryRequest"),
        body_required=False,
    ),
    ("POST", f"{_PERSONA}/channels"): Operation(
        "Add a Telegram or Discord bot as a channel; the provider is asked whose token it is.",
        object_(kind=TEXT),
        (400, 404, 422, 500, 507),
        ref("AddRequest"),
    ),
    ("DELETE", f"{_PERSONA}/channels/{{channel_name}}"): Operation(
        "Remove her channel of this name; without one, nothing changes.", object_(removed=TEXT), (404, 500, 507)
    ),
    ("POST", f"{_PERSONA}/pair"): Operation(
        "Claim a pairing code, and so bind the channel to the account that was shown it. Unmasked.",
        object_(persona=ref("Persona"), channel=ref("Channel")),
        (400, 409, 422, 507),
        ref("PairRequest"),
    ),
    ("GET", f"{_PERSONA}/conversation"): Operation(
        "What was said, in pages: the last 100 lines unless the query asks for others.",
        object_(messages=list_("Message")),
        (404, 422),
        query=("limit", "before", "after", "q"),
    ),
    ("GET", f"{_PERSONA}/export"): Operation(
        "All of her as a ZIP archive, with her keys and tokens unless secrets is false.",
        {"type": "string", "format": "binary"},
        (400, 404, 422),
        query=("secrets",),
        media_type="application/zip",
    ),
    ("GET", f"{_PERSONA}/knowledge"): Operation("What she knows.", ref("Knowledge"), (400, 404)),
    ("GET", f"{_PERSONA}/media/{{filename}}"): Operation(
        "A file that she perceived or made.", {}, (404, 416), media_type="application/octet-stream"
    ),
    ("GET", "/api/status"): Operation(
        "The daemon and every persona.",
        object_(
            version=TEXT,
            commit={"type": ["string", "null"]},
            uptime_s={"type": "number"},
            pid=INTEGER,
            rss=INTEGER,
            spawner=TEXT,
            organ_host=object_(pid={"type": ["integer", "null"]}),
            sockets=INTEGER,
            ledger=object_(commits=INTEGER),
            personas=list_("PersonaStatus"),
            broken=list_("Broken"),
            dead_letters=list_("DeadLetterShown"),
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
        object_(status=TEXT, checks={"type": "object", "additionalProperties": ref("Check")}),
        (503,),
    ),
    ("GET", "/metrics"): Operation("Prometheus metrics.", TEXT, media_type="text/plain"),
    ("GET", "/openapi.json"): Operation("This document.", {"type": "object"}),
    **V1_OPERATIONS,
}

_STATUS_WORDS: Final = {
    400: "Cannot be done; the detail says why.",
    401: "The token is missing or wrong.",
    403: "This Host or Origin is not answered, or the token may only read.",
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
_ALWAYS_V1: Final = (400, 401, 403)


def document(operations: Mapping[tuple[str, str], Operation] = OPERATIONS) -> Json:
    """Build the whole document."""
    kinds = (
        *(ReadRequest, CreateRequest, OrganChange, AddRequest, PairRequest, RetryRequest),
        *(Persona, Channel, PersonaView, PersonaStatus, Broken, DeadLetterShown, Check, Message, Fault),
        *V1_KINDS,
        *(Persona, Channel, PersonaView, PersonaStatus, Broken, DeadLetterShown, Check, Message, Knowledge),
        *(Restored, Fault),
    )
    _, schemas = msgspec.json.schema_components(kinds, schema_hook=_secret_schema, ref_template=REF)
    _in_ecma(schemas)
    schemas["Detail"] = object_(detail=TEXT)
    schemas["Unprocessable"] = object_(detail=list_("Fault"))
    paths: Json = {}
    for (method, path), operation in operations.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "personad", "version": version.number()},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": SECURITY_SCHEME}},
        "security": [{}, {"token": []}],
    }


def _in_ecma(schema: object) -> None:
    r"""Write patterns as JSON Schema has them, in ECMA-262: there ``$`` is the end, and ``\Z`` is not known."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and isinstance(schema.get("pattern"), str):
        schema["pattern"] = re.sub(r"\\Z\Z", "$", schema["pattern"])
    for one in inner:
        _in_ecma(one)


def routed(routes: Iterable[BaseRoute]) -> set[tuple[str, str]]:
    """The (method, path) pairs of a routes table; HEAD goes with GET."""
    return {
        (method, route.path_format)
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }


class OpenApiRoutes:
    """The API's own description."""

    def routes(self) -> list[BaseRoute]:
        return [Route("/openapi.json", self.openapi)]

    async def openapi(self, _request: Request) -> Response:
        """``GET /openapi.json``."""
        return json_response(document())


def _operation(path: str, operation: Operation) -> Json:
    described: Json = {
        "summary": operation.summary,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": PARAMETERS[name]} for name in _names(path)),
            *(
                {"name": key.split()[-1], "in": "query", "required": False, "schema": QUERY[key]}
                for key in operation.query
            ),
            *({"name": name, "in": "header", "required": False, "schema": TEXT} for name in operation.headers),
        ],
        "responses": {
            str(operation.status): _done(operation),
            **{
                str(status): _refusal(status, operation.problems)
                for status in (*operation.errors, *(_ALWAYS_V1 if operation.problems else _ALWAYS))
            },
        },
    }
    if operation.problems:
        described["security"] = [{"token": []}]
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body_required,
            "content": {operation.body_type: {"schema": operation.body}},
        }
    return described


def _names(path: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", path)


def _done(operation: Operation) -> Json:
    described: Json = {"description": "Done."}
    if operation.answer is not None:
        described["content"] = {operation.media_type: {"schema": operation.answer}}
    if operation.answer_headers:
        described["headers"] = {name: {"schema": TEXT} for name in operation.answer_headers}
    return described


def _refusal(status: int, problems: bool) -> Json:
    if problems:
        content = {MEDIA_TYPE: {"schema": ref("Problem")}}
        return {"description": V1_STATUS_WORDS.get(status, _STATUS_WORDS[status]), "content": content}
    schema = ref("Unprocessable" if status == 422 else "Detail")
    return {"description": _STATUS_WORDS[status], "content": {"application/json": {"schema": schema}}}


def _secret_schema(kind: type) -> Json:
    if kind is Secret:
        return TEXT
    raise NotImplementedError(f"no schema for {kind.__name__}")
