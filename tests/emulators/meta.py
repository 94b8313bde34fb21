"""WhatsApp's Cloud API on loopback: one number, messages out, media both ways, signed webhook batches."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import secrets
import time
from typing import Any, Final

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.emulators.loopback import Call, Failure, Loopback
from tests.patience import PATIENCE

ROOT: Final = "/v23.0"
Json = dict[str, Any]


class MetaEmulator(Loopback):
    """One number of one WhatsApp account."""

    def __init__(self, display: str = "+1 500-555-0007") -> None:
        self.display = display
        self.number_id = "106540352242922"
        self.access_token = "EAA" + secrets.token_hex(24)
        self.app_secret = secrets.token_hex(16)
        self.verify_token = secrets.token_hex(8)
        self.sent: list[Json] = []
        """Messages that were accepted, unchanged, with their ``id``."""
        self.read: list[Json] = []
        """Read receipts and typing marks."""
        self.media: dict[str, tuple[str, bytes]] = {}
        self.media_host = ""
        self.media_sizes: dict[str, int] = {}
        """The declared sizes of files by id, if they differ from the real ones."""
        self._ids = itertools.count(1)
        super().__init__()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/attachments/{media}", self._file, methods=["GET"]),
            Route(f"{ROOT}/{{object}}", self._answer, methods=["GET"]),
            Route(f"{ROOT}/{{object}}/messages", self._answer, methods=["POST"]),
            Route(f"{ROOT}/{{object}}/media", self._answer, methods=["POST"]),
        ]

    def refusal(self, status: int, code: int | None, message: str) -> Response:
        error = {"message": f"(#{code}) {message}", "type": "OAuthException", "code": code, "fbtrace_id": "A1"}
        details = {"messaging_product": "whatsapp", "details": message}
        return JSONResponse({"error": {**error, "error_data": details}}, status)

    def add_media(self, kind: str, data: bytes) -> str:
        """Store a file from a person; returns its id."""
        media_id = str(next(self._ids) + 10**15)
        self.media[media_id] = (kind, data)
        return media_id

    def message(self, sender: str, kind: str = "text", at: float | None = None, **content: Any) -> Json:
        """One message of a webhook batch (Any: the content by its kind)."""
        if kind == "text" and "text" not in content:
            content["text"] = {"body": content.pop("body", "hello")}
        seconds = str(int(time.time() if at is None else at))
        return {"from": sender, "id": self.new_id(), "timestamp": seconds, "type": kind, **content}

    def new_id(self) -> str:
        """A message id in WhatsApp's form."""
        return f"wamid.HBgL{next(self._ids):024d}AERgSQ=="

    def status(self, message_id: str, status: str, *errors: Json) -> Json:
        """The status of a message that she sent."""
        found = {"id": message_id, "status": status, "timestamp": str(int(time.time())), "recipient_id": "1555"}
        return {**found, "errors": list(errors)} if errors else found

    def batch(self, *messages: Json, statuses: tuple[Json, ...] = (), number_id: str = "", name: str = "Ann") -> bytes:
        """The body of a webhook request."""
        return json.dumps(self.batches([self.value(messages, statuses, number_id or self.number_id, name)])).encode()

    def value(self, messages: tuple[Json, ...], statuses: tuple[Json, ...], number_id: str, name: str) -> Json:
        """One change's value."""
        found: Json = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15005550007", "phone_number_id": number_id},
        }
        if messages:
            people = dict.fromkeys(one.get("from") or one["from_user_id"] for one in messages)
            found["contacts"] = [{"profile": {"name": name}, "wa_id": who, "user_id": who} for who in people]
            found["messages"] = list(messages)
        if statuses:
            found["statuses"] = list(statuses)
        return found

    def batches(self, values: list[Json], field: str = "messages") -> Json:
        """A request with several changes."""
        changes = [{"field": field, "value": value} for value in values]
        return {"object": "whatsapp_business_account", "entry": [{"id": "1029", "changes": changes}]}

    def sign(self, body: bytes) -> str:
        """The header that signs a body."""
        return "sha256=" + hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()

    def call(self, target: str, body: bytes) -> httpx.Response:
        """Send a webhook request."""
        headers = {"content-type": "application/json", "x-hub-signature-256": self.sign(body)}
        return httpx.post(target, content=body, headers=headers, timeout=PATIENCE, trust_env=False)

    async def _answer(self, request: Request) -> Response:
        call = await self.record(request)
        failure = self.scripted(request)
        if failure and failure.trouble != "lost":
            return self.failed(failure)
        if request.headers.get("authorization") != f"Bearer {self.access_token}":
            return self.refusal(401, 190, "Error validating access token: Session has expired")
        answer = self._handle(call)
        return self.failed(Failure("", "", trouble="lost")) if failure else answer

    def _handle(self, call: Call) -> Response:
        match call.method, call.path.removeprefix(f"{ROOT}/").split("/"):
            case "GET", [number] if number == self.number_id:
                return JSONResponse({"display_phone_number": self.display, "verified_name": "Hers", "id": number})
            case "GET", [media_id] if media_id in self.media:
                kind, data = self.media[media_id]
                url = f"{self.media_host or self.url}/attachments/{media_id}"
                size = self.media_sizes.get(media_id, len(data))
                return JSONResponse({"url": url, "mime_type": kind, "file_size": size, "id": media_id})
            case "POST", [number, "messages"] if number == self.number_id:
                return self._message(call.body)
            case "POST", [number, "media"] if number == self.number_id:
                return JSONResponse({"id": self.add_media(call.body["type"], call.body["file"])})
            case _:
                return self.refusal(400, 100, "Unsupported request: object does not exist")

    def _message(self, body: Json) -> Response:
        if body.get("status") == "read":
            self.read.append(body)
            return JSONResponse({"success": True})
        if len(body.get("text", {}).get("body", "")) > 4096:
            return self.refusal(400, 100, "Param text['body'] must be at most 4096 characters long.")
        message_id = self.new_id()
        self.sent.append({**body, "id": message_id})
        contact = {"input": body.get("to"), "wa_id": body.get("to")}
        return JSONResponse({"messaging_product": "whatsapp", "contacts": [contact], "messages": [{"id": message_id}]})

    async def _file(self, request: Request) -> Response:
        await self.record(request)
        if request.headers.get("authorization") != f"Bearer {self.access_token}":
            return Response(status_code=401)
        kind, data = self.media[request.path_params["media"]]
        return Response(data, media_type=kind)
