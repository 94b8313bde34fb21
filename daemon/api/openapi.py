"""``GET /openapi.json``: the routes in OpenAPI 3.1, for people and for generators of clients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.openai.openapi import STATUS_WORDS as OPENAI_STATUS_WORDS
from daemon.api.openapi_operations import HEADERS, OPERATIONS, PARAMETERS, QUERY, TAGS
from daemon.api.openapi_parts import SECURITY_SCHEME, TEXT, Json, Operation, ref
from daemon.api.openapi_schemas import plain, schemas
from daemon.api.v1.openapi import STATUS_WORDS as V1_STATUS_WORDS
from daemon.http.answers import json_response
from daemon.http.problems import MEDIA_TYPE
from daemon.settings import version

_DESCRIPTION: Final = """\
What a persona says arrives on her WebSocket, which OpenAPI cannot describe.

Open `/ws/{persona_id}` before you send her something. Each text frame is JSON: a `DeltaFrame` when its `type` is
`chat_delta`, a `SpeechFrame` when it is `chat_speech`, a `ChatFrame` when it begins with `chat_` otherwise, and else a
`SignalFrame`. Answers to `hear` come as
`chat_audio` if she has a mouth: `url` is the path of a recording (Ogg with Opus), to be fetched with `getMedia`, and
`content` has the same words. A `DeltaFrame` shows what she has said so far in a `turn`, and a `SpeechFrame` holds a
sentence of it that she has spoken; the `ChatFrame` with that `turn` ends both. They have no `seq` and are never sent
again.

After a lost connection, open `/ws/{persona_id}?after=SEQ` with the `seq` of the last frame that you have.
`/ws/system` receives the signals of all personas. What a client sends on a socket is ignored.
"""

_STATUS_WORDS: Final = {
    400: "Cannot be done; the detail says why.",
    401: "The token is missing or wrong.",
    403: "This Host or Origin is not answered, or the token may only read.",
    404: "There is no such thing.",
    408: "It did not come in time.",
    409: "She is not running, or it cannot be done as things stand; the detail says which.",
    412: "It was changed since it was read: GET it again.",
    413: "Too large.",
    415: "No perception takes such a file; the detail lists those that one does.",
    416: "The range is not satisfiable.",
    422: "Faulty fields.",
    429: "Too much is unanswered; Retry-After says when to come again.",
    500: "Saved, but her process did not follow, or ended; the detail says which.",
    503: "Not now: the ledger is busy or cannot be read, or the daemon is stopping; Retry-After may say when.",
    507: "The disk does not take it.",
}
_ALWAYS: Final = (401, 403, 503)
_ALWAYS_V1: Final = (400, *_ALWAYS)


def document(operations: Mapping[tuple[str, str], Operation] = OPERATIONS) -> Json:
    """Build the whole document."""
    paths: Json = {}
    for (method, path), operation in operations.items():
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "personad",
            "version": version.number(),
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        # Relative to where this document was fetched, which only the client knows behind a proxy.
        "servers": [{"url": "/", "description": "The daemon that this document comes from."}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": plain(paths),
        "components": {"schemas": schemas(), "securitySchemes": {"token": SECURITY_SCHEME}},
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


class OpenApiRoutes:
    """The API's own description."""

    def routes(self) -> list[BaseRoute]:
        return [Route("/openapi.json", self.openapi)]

    async def openapi(self, _request: Request) -> Response:
        """``GET /openapi.json``."""
        return json_response(document())


def _operation(path: str, operation: Operation) -> Json:
    described: Json = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": PARAMETERS[name]} for name in _names(path)),
            *(
                {"name": key.split()[-1], "in": "query", "required": False, "schema": QUERY[key]}
                for key in operation.query
            ),
            *({"name": name, "in": "header", "required": False, "schema": HEADERS[name]} for name in operation.headers),
        ],
        "responses": {
            str(operation.status): _done(operation),
            **({"206": {**_done(operation), "description": "The range."}} if operation.partial else {}),
            **{
                str(status): _refusal(status, operation)
                for status in (*operation.errors, *(_ALWAYS_V1 if _at_v1(operation) else _ALWAYS))
            },
        },
    }
    if _at_v1(operation):
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
        described["content"] = {media_type: {"schema": operation.answer} for media_type in operation.media_types}
    if operation.answer_headers:
        described["headers"] = {name: {"schema": TEXT} for name in operation.answer_headers}
    return described


def _at_v1(operation: Operation) -> bool:
    return operation.problems or operation.openai


def _refusal(status: int, operation: Operation) -> Json:
    if operation.openai:
        content = {"application/json": {"schema": ref("ErrorAnswer")}}
        return {"description": OPENAI_STATUS_WORDS.get(status) or _STATUS_WORDS[status], "content": content}
    if operation.problems:
        content = {MEDIA_TYPE: {"schema": ref("Problem")}}
        return {"description": V1_STATUS_WORDS.get(status) or _STATUS_WORDS[status], "content": content}
    schema = operation.refusals.get(status) or ref("Unprocessable" if status == 422 else "Detail")
    return {"description": _STATUS_WORDS[status], "content": {"application/json": {"schema": schema}}}
