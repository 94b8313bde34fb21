"""What she perceives from the dashboard (the perception seed). Accepted means committed.

``read`` is the hot path: an ASGI endpoint of its own, which decodes, makes two checks, commits and sends ready bytes.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from daemon.api.bodies import Body
from daemon.api.lookup import require_web_channel
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.supervision.supervisor import Supervisor
from proto.messages import Conversation
from proto.unicode_text import valid_text

WEB: Final = "web"

_IDEMPOTENCY_KEY: Final = re.compile(rb"[\x21-\x7e]{1,255}\Z")
_RECEIVED: Final = b'{"status":"received"}'
_RECEIVED_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-length", str(len(_RECEIVED)).encode()),
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
    ],
}
_RECEIVED_BODY: Final = {"type": "http.response.body", "body": _RECEIVED}


class ReadRequest(msgspec.Struct):
    """The body of ``read``."""

    message: str


READ_BODY: Final = Body(ReadRequest)


class PerceptionRoutes:
    """What she reads; what she hears and files that are attached are in ``daemon/api/uploads.py``."""

    def __init__(self, *, supervisor: Supervisor, hubs: Hubs, inbox: Inbox, message_chars: int) -> None:
        self._read = Read(supervisor, hubs, inbox, message_chars)

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/persona/{persona_id}/read", self._read, methods=["POST"])]


class Read:
    """``POST /api/persona/{persona_id}/read``: 422, then 409, then 400, then committed and 200.

    An ``Idempotency-Key`` makes a repeated request the same message.
    """

    def __init__(self, supervisor: Supervisor, hubs: Hubs, inbox: Inbox, message_chars: int) -> None:
        self._supervisor = supervisor
        self._hubs = hubs
        self._inbox = inbox
        self._message_chars = message_chars

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = valid_text(READ_BODY.decode(await _body(receive), scope["headers"]).message)
        if len(message) > self._message_chars:
            raise HTTPException(413, f"The message is over {self._message_chars} characters: split it.")
        key = idempotency_key(scope)
        persona_id: str = scope["path_params"]["persona_id"]
        require_web_channel(self._supervisor, self._hubs, persona_id)
        await self._inbox.accept(persona_id, Conversation(WEB, persona_id), "text", message, key=key)
        await send(_RECEIVED_START)
        await send(_RECEIVED_BODY)


async def _body(receive: Receive) -> bytes:
    """Read a whole body; the outermost layer bounds its size."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return body


def idempotency_key(scope: Scope) -> str | None:
    """Return the request's idempotency key, or None. Raises HTTPException."""
    keys = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if not keys:
        return None
    if len(keys) > 1 or not _IDEMPOTENCY_KEY.match(keys[0]):
        raise HTTPException(400, "Idempotency-Key must be one text of 1 to 255 visible ASCII characters.")
    key: bytes = keys[0]
    return key.decode("ascii")
