"""OpenAI's chat completions on loopback, as OpenAI, xAI, Gemini's compatible endpoint and Ollama serve them.

By hand: ``python -m tests.emulators.openai --port 8081``; POST a step to ``/_control/next``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulators.server import Emulator, Step, main, pieces

_KINDS = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error", 429: "tokens"}


class OpenAIEmulator(Emulator):
    """OpenAI's chat completions on 127.0.0.1, under any base path."""

    def routes(self) -> list[Route]:
        return [
            Route("/{base:path}/chat/completions", self._complete, methods=["POST"]),
            Route("/{base:path}/models", self._models),
        ]

    def refuse(self, status: int, message: str, code: str | None = None) -> JSONResponse:
        kind = _KINDS.get(status, "server_error")
        return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)

    def events(self, step: Step, text: str, model: str) -> Iterator[str]:
        yield _chunk(model, {"role": "assistant", "content": ""})
        if step.failure == "error_event":
            yield f"data: {json.dumps({'error': {'message': step.message, 'type': 'server_error'}})}\n\n"
            return
        for piece in pieces(step.thought) if step.thought else ():
            yield _chunk(model, {"reasoning_content": piece})
        for piece in pieces(text) if text else ():
            yield _chunk(model, {"content": piece})
        yield _chunk(model, {}, step.finish or "stop")
        yield "data: [DONE]\n\n"

    async def _complete(self, request: Request) -> Response:
        body = await self.record(request)
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            sent = request.headers.get("authorization", "").removeprefix("Bearer ")
            return self.refuse(401, f"Incorrect API key provided: {sent}.", "invalid_api_key")
        if self.models and body.get("model") not in self.models:
            return self.refuse(404, f"The model `{body.get('model')}` does not exist", "model_not_found")
        if not body.get("messages") or not body.get("stream"):
            return self.refuse(400, "This emulator streams, and wants messages")
        return await self.play(request, body["messages"][-1]["content"])

    async def _models(self, _request: Request) -> Response:
        data = [{"id": model, "object": "model", "owned_by": "emulator"} for model in self.models]
        return JSONResponse({"object": "list", "data": data})


def _chunk(model: str, delta: dict[str, str], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
    return f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"


if __name__ == "__main__":
    main(OpenAIEmulator)
