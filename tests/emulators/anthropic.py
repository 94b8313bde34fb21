"""Anthropic's Messages API on loopback.

By hand: ``python -m tests.emulators.anthropic --port 8082``; POST a step to ``/_control/next``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulators.server import Emulator, Step, main, pieces

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicEmulator(Emulator):
    """Anthropic's messages API on 127.0.0.1."""

    def routes(self) -> list[Route]:
        return [
            Route("/v1/messages", self._message, methods=["POST"]),
            Route("/v1/models", self._models),
        ]

    def refuse(self, status: int, message: str, code: str | None = None) -> JSONResponse:
        kind = code or _KINDS.get(status, "api_error")
        return JSONResponse({"type": "error", "error": {"type": kind, "message": message}}, status)

    def events(self, step: Step, text: str, asked: Mapping[str, Any]) -> Iterator[str]:
        model, (read, answered, cached) = asked.get("model", ""), step.used or (10, 12, 0)
        usage = {
            "input_tokens": read - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": 1,
        }
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": model, "usage": usage}
        yield _event("message_start", message={**message, "stop_reason": None, "stop_sequence": None})
        yield _event("ping")
        if step.failure == "error_event":
            yield _event("error", error={"type": "overloaded_error", "message": step.message})
            return
        blocks = [("thinking", step.thought)] if step.thought else []
        said = [] if step.calls else [("text", text)]
        for index, (kind, content) in enumerate([*blocks, *said]):
            yield _event("content_block_start", index=index, content_block={"type": kind, kind: ""})
            for piece in pieces(content) if content else ():
                yield _event("content_block_delta", index=index, delta={"type": f"{kind}_delta", kind: piece})
            yield _event("content_block_stop", index=index)
        for index, (name, arguments) in enumerate(step.calls, len(blocks)):
            block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
            yield _event("content_block_start", index=index, content_block=block)
            for part in (arguments[:5], arguments[5:]):
                yield _event(
                    "content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": part}
                )
            yield _event("content_block_stop", index=index)
        stop = {"stop_reason": step.finish or ("tool_use" if step.calls else "end_turn"), "stop_sequence": None}
        yield _event("message_delta", delta=stop, usage={"output_tokens": answered})
        yield _event("message_stop")

    @staticmethod
    def key_of(headers: Mapping[str, str]) -> str:
        """The key, in the header of older or of newer SDKs."""
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")

    async def _message(self, request: Request) -> Response:
        body = await self.record(request)
        if self.key and self.key_of(request.headers) != self.key:
            return self.refuse(401, f"invalid api key {self.key_of(request.headers)}")
        if self.models and body.get("model") not in self.models:
            return self.refuse(404, f"model: {body.get('model')}")
        if fault := _fault(request.headers, body):
            return self.refuse(400, fault)
        return await self.play(request, _text(body["messages"][-1]["content"]))

    async def _models(self, _request: Request) -> Response:
        data = [{"id": model, "type": "model", "display_name": model} for model in self.models]
        return JSONResponse({"data": data, "has_more": False})


def _fault(headers: Mapping[str, str], body: dict[str, object]) -> str:
    """What the real service refuses: no version or limit, a conversation begun by the assistant, an empty message."""
    messages = body.get("messages")
    if "anthropic-version" not in headers:
        return "anthropic-version: header is required"
    if not isinstance(body.get("max_tokens"), int):
        return "max_tokens: Field required"
    if not isinstance(messages, list) or not messages or messages[0]["role"] != "user":
        return "messages: first message must use the user role"
    if any(isinstance(message["content"], str) and not message["content"].strip() for message in messages):
        return "messages: text content blocks must be non-empty"
    blocks = [block for message in messages if isinstance(message["content"], list) for block in message["content"]]
    asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if asked != [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]:
        return "messages: `tool_use` ids were found without `tool_result` blocks immediately after"
    return ""


def _text(content: object) -> str:
    """The text of a message, which may come in blocks."""
    if not isinstance(content, list):
        return str(content)
    return "\n".join(block.get("text") or block.get("content", "") for block in content)


def _event(kind: str, **fields: object) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


if __name__ == "__main__":
    main(AnthropicEmulator)
