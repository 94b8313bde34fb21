"""OpenAI's API on loopback, with chat, transcriptions, speech and pictures, as OpenAI, xAI, Gemini and Ollama serve it.

By hand: ``python -m tests.emulators.openai --port 8081``; POST a step to ``/_control/next``.
"""

from __future__ import annotations

import base64
import json
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tests.emulators import samples
from tests.emulators.server import Emulator, Entry, Step, main, pieces

_KINDS = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error", 429: "tokens"}


_HEARD = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm")
"""The file names that OpenAI's transcriptions take."""


class OpenAIEmulator(Emulator):
    """OpenAI's chat completions, transcriptions, speech and pictures on 127.0.0.1, under any base path."""

    def __init__(self, *steps: Step, key: str = "", models: Sequence[str] = (), port: int = 0) -> None:
        super().__init__(*steps, key=key, models=models, port=port)
        self._organs: dict[str, deque[Step]] = {}
        self.refuses_tools = False
        self.context = 0
        """Tokens that the model takes, at four characters each; 0: any number."""
        self.counts_answer = False
        """Whether the answer's limit has to fit into ``context`` too, as with vLLM."""
        self.most = 0
        """The most tokens of an answer that may be asked for; 0: any number."""
        self.limit_fields: Sequence[str] = ("max_tokens", "max_completion_tokens")
        """The fields for that number that the server takes."""
        self.takes_system = True
        self.takes_stream_options = True
        self.wants_parts = False
        """Whether content has to be a list of parts."""
        self.tells_sizes = True
        """Whether the refusal of a long prompt says how long it was and may be."""
        self.local: dict[str, object] = {}
        """What Ollama's own API and the list of models tell: answers by the end of their path."""
        self.gives_urls = False
        """Whether a picture comes as a url instead of as data in the answer."""
        self.counts_calls = True
        """Whether each tool call has an index; Gemini's have none."""

    def reset(self) -> None:
        super().reset()
        self._organs.clear()
        self.refuses_tools = self.gives_urls = False
        self.counts_calls = self.takes_stream_options = True
        self.context, self.tells_sizes, self.counts_answer, self.most = 0, True, False, 0
        self.limit_fields, self.takes_system, self.wants_parts = ("max_tokens", "max_completion_tokens"), True, False
        self.local = {}

    def script_at(self, route: str, *steps: Step) -> None:
        """Play these steps for the next requests to ``transcriptions``, ``speech`` or ``generations``."""
        self._organs.setdefault(route, deque()).extend(steps)

    def asked(self, route: str) -> list[Entry]:
        """The requests so far whose path ends like this."""
        return [entry for entry in self.journal if entry.path.endswith(route)]

    def routes(self) -> list[Route]:
        return [
            Route("/{base:path}/chat/completions", self._complete, methods=["POST"]),
            Route("/{base:path}/audio/transcriptions", self._transcribe, methods=["POST"]),
            Route("/{base:path}/audio/speech", self._speak, methods=["POST"]),
            Route("/{base:path}/images/generations", self._paint, methods=["POST"]),
            Route("/painted.png", self._painted),
            Route("/api/{verb}", self._ollama, methods=["GET", "POST"]),
            Route("/{base:path}/models", self._models),
        ]

    def refuse(self, status: int, message: str, code: str | None = None) -> JSONResponse:
        kind = _KINDS.get(status, "server_error")
        return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status)

    def events(self, step: Step, text: str, asked: Mapping[str, Any]) -> Iterator[str]:
        model = asked.get("model", "")
        yield _chunk(model, {"role": "assistant", "content": ""})
        if step.failure == "error_event":
            yield f"data: {json.dumps({'error': {'message': step.message, 'type': 'server_error'}})}\n\n"
            return
        for piece in pieces(step.thought) if step.thought else ():
            yield _chunk(model, {"reasoning_content": piece})
        for piece in pieces(text) if text and not step.calls else ():
            yield _chunk(model, {"content": piece})
        for index, (name, arguments) in enumerate(step.calls):
            at = index if self.counts_calls else 0
            call = {"index": at, "id": f"call_{index}", "type": "function"}
            yield _chunk(model, {"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]})
            for part in (arguments[:5], arguments[5:]):
                yield _chunk(model, {"tool_calls": [{"index": at, "function": {"arguments": part}}]})
        yield _chunk(model, {}, step.finish or ("tool_calls" if step.calls else "stop"))
        if asked.get("stream_options", {}).get("include_usage"):
            yield _usage_chunk(model, *(step.used or (_size(asked["messages"]), -(-len(text) // 4), 0)))
        yield "data: [DONE]\n\n"

    async def _complete(self, request: Request) -> Response:
        body = await self.record(request)
        if refusal := self._unknown(request, body):
            return refusal
        if not body.get("messages") or not body.get("stream"):
            return self.refuse(400, "This emulator streams, and wants messages")
        if self.refuses_tools and "tools" in body:
            return self.refuse(400, f"{body['model']} does not support tools")
        if "stream_options" in body and not self.takes_stream_options:
            return self.refuse(400, "stream_options: Extra inputs are not permitted")
        if fault := self._form_fault(body):
            return self.refuse(400, fault)
        if self.context and (size := _size(body["messages"])) > self.context:
            told = f"This model's maximum context length is {self.context} tokens. However, your messages resulted in"
            told = f"{told} {size} tokens." if self.tells_sizes else "The prompt is too long."
            return self.refuse(400, told, "context_length_exceeded")
        if fault := _tools_fault(body["messages"]):
            return self.refuse(400, fault)
        return await self.play(request, _text(body["messages"][-1]["content"]))

    def _form_fault(self, body: dict[str, Any]) -> str:
        """Refuse what this server does not take, in the words of those that there are. Any: JSON."""
        for field in ("max_tokens", "max_completion_tokens"):
            if field in body and field not in self.limit_fields:
                return f"Unsupported parameter: '{field}' is not supported with this model."
        asked = body.get("max_tokens", body.get("max_completion_tokens", 0))
        if self.most and asked > self.most:
            return f"max_tokens is too large: {asked}. This model supports at most {self.most} completion tokens."
        if not self.takes_system and body["messages"][0]["role"] == "system":
            return "System role not supported"
        if self.wants_parts and any(isinstance(message["content"], str) for message in body["messages"]):
            return "messages.0.content: Input should be a valid list"
        size = _size(body["messages"])
        if self.counts_answer and size <= self.context < size + asked:
            return (
                f"This model's maximum context length is {self.context} tokens. However, you requested {size + asked} "
                f"tokens ({size} in the messages, {asked} in the completion)."
            )
        return ""

    async def _ollama(self, request: Request) -> Response:
        told = self.local.get(request.url.path.rpartition("/")[2])
        return JSONResponse(told) if told is not None else self.refuse(404, "404 page not found")

    async def _transcribe(self, request: Request) -> Response:
        body = await self.record(request)
        step = self._step("transcriptions", "hello from the recording")
        if refusal := self._unknown(request, body) or await self.stopped(request, step):
            return refusal
        if not body["file"]["name"].endswith(tuple(f".{kind}" for kind in _HEARD)):
            return self.refuse(400, f"Invalid file format. Supported formats: {list(_HEARD)}")
        if step.failure == "malformed":
            return HTMLResponse("<html>Log in to the hotel</html>")
        return JSONResponse({"text": step.text, "usage": {"type": "duration", "seconds": 1}})

    async def _speak(self, request: Request) -> Response:
        body = await self.record(request)
        step = self._step("speech", "")
        if refusal := self._unknown(request, body) or await self.stopped(request, step):
            return refusal
        spoken = b"ID3 not what was asked for" if step.failure == "malformed" else samples.ogg()
        return Response(spoken, media_type="audio/opus")

    async def _paint(self, request: Request) -> Response:
        body = await self.record(request)
        step = self._step("generations", "")
        if refusal := self._unknown(request, body) or await self.stopped(request, step):
            return refusal
        painted = b"no picture" if step.failure == "malformed" else samples.PNG
        picture = {"b64_json": base64.b64encode(painted).decode()}
        return JSONResponse(
            {"created": 1, "data": [{"url": f"{self.url}/painted.png"} if self.gives_urls else picture]}
        )

    async def _painted(self, request: Request) -> Response:
        self.journal.append(Entry(request.url.path, dict(request.headers), None))
        return Response(samples.PNG, media_type="image/png")

    def _step(self, route: str, text: str) -> Step:
        steps = self._organs.get(route)
        step = steps.popleft() if steps else Step()
        return step if step.text is not None else msgspec.structs.replace(step, text=text)

    def _unknown(self, request: Request, body: Mapping[str, object]) -> Response | None:
        """Refuse a wrong key or model."""
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            sent = request.headers.get("authorization", "").removeprefix("Bearer ")
            return self.refuse(401, f"Incorrect API key provided: {sent}.", "invalid_api_key")
        if self.models and body.get("model") not in self.models:
            return self.refuse(404, f"The model `{body.get('model')}` does not exist", "model_not_found")
        return None

    async def _models(self, request: Request) -> Response:
        self.journal.append(Entry(request.url.path, dict(request.headers), None))
        if refusal := self._unknown(request, {"model": next(iter(self.models), None)}):
            return refusal
        if "models" in self.local:
            return JSONResponse(self.local["models"])
        data = [{"id": model, "object": "model", "owned_by": "emulator"} for model in self.models]
        return JSONResponse({"object": "list", "data": data})


def _text(content: object) -> str:
    """The text of a message, which may come with pictures."""
    if not isinstance(content, list):
        return str(content)
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _size(messages: list[dict[str, Any]]) -> int:
    """How many tokens these messages are. Any: JSON."""
    return sum(len(_text(message.get("content") or "")) // 4 + 4 for message in messages)


def _tools_fault(messages: list[dict[str, Any]]) -> str:
    """Refuse what the service refuses: a result without its call, or a call without its result. Any: JSON."""
    asked = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    return "" if asked == answered else "An assistant message with 'tool_calls' must be followed by tool messages"


def _chunk(model: str, delta: dict[str, Any], finish: str | None = None) -> str:
    """One event of a stream. Any: JSON."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
    return f"data: {json.dumps({**chunk, 'choices': [choice]})}\n\n"


def _usage_chunk(model: str, asked: int, said: int, cached: int) -> str:
    """The last event of a stream that was asked for its usage: without a choice, after the end of the answer."""
    usage = {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": model}
    return f"data: {json.dumps({**chunk, 'choices': [], 'usage': usage})}\n\n"


if __name__ == "__main__":
    main(OpenAIEmulator)
