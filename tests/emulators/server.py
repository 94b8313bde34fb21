"""What the model emulators share: a real HTTP server on loopback, a script of answers and failures, a journal."""

from __future__ import annotations

import argparse
import asyncio
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Self

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.patience import PATIENCE

Failure = Literal["", "hang", "hang_mid", "drop", "cut", "malformed", "error_event"]

BREAK: Final = 4
"""The event at which an answer breaks: both protocols have sent the first token by then."""

BROKEN: Final = "event: content_block_delta\ndata: {not json\n\n"


class Step(msgspec.Struct, frozen=True):
    """The answer to one request. ``text`` null echoes the last user message."""

    text: str | None = None
    status: int = 200
    message: str = "made to fail"
    code: str | None = None
    retry_after: float | None = None
    failure: Failure = ""
    """``hang`` sends no headers; ``hang_mid`` and ``drop`` stop after a first piece; ``malformed`` breaks the JSON.

    ``cut`` closes the stream in good order before the answer has ended.
    """
    thought: str = ""
    """Reasoning that is sent before the text in the provider's own field."""
    finish: str = ""
    """The stop reason, if it is not the usual one."""
    pause: float = 0.0
    """Seconds before each piece."""
    calls: tuple[tuple[str, str], ...] = ()
    """The tools that the answer calls: names, and arguments as JSON."""
    comments: int = 0
    """Comments that keep the connection alive before the first piece, each after ``pause``."""
    used: tuple[int, int, int] | None = None
    """Tokens of input and output, and how many of the input were cached; null: by the length of the texts."""
    body: str = ""
    """The whole body in place of a stream, of the type ``media_type``."""
    media_type: str = "application/json"


class Entry(msgspec.Struct, frozen=True):
    """One request as it came; header names are lower case."""

    path: str
    headers: dict[str, str]
    body: Any
    """Any: the JSON document that the client sent."""


class DroppedError(Exception):
    """Ends a response in the middle, so that the server drops the connection."""


class Emulator(ABC):
    """A model API on 127.0.0.1; use it as a context manager, or by hand through ``main``."""

    def __init__(self, *steps: Step, key: str = "", models: Sequence[str] = (), port: int = 0) -> None:
        """``steps`` are played in order, then ``default``; ``key`` and ``models`` are checked when given."""
        self.key = key
        self.models = list(models)
        self.default = Step()
        self.journal: list[Entry] = []
        self._steps = deque(steps)
        self._gate = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket = socket.create_server(("127.0.0.1", port))
        config = uvicorn.Config(
            self._app(), log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1, loop="asyncio"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + PATIENCE
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the emulator did not start")
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._server.should_exit = True
        self._thread.join(PATIENCE)

    def script(self, *steps: Step) -> None:
        """Play these steps for the next requests."""
        self._steps.extend(steps)

    def reset(self) -> None:
        """Forget the script, the journal and all settings."""
        self.release()
        self._steps.clear()
        self.journal = []
        self.default, self.key, self.models = Step(), "", []

    def release(self) -> None:
        """Let the requests that hang now go on; later ones wait for the next release."""
        gate, self._gate = self._gate, asyncio.Event()
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(gate.set)

    async def requests(self, count: int) -> list[Entry]:
        """Wait until this many requests came, and return them."""
        async with asyncio.timeout(PATIENCE):
            while len(self.journal) < count:  # noqa: ASYNC110  the journal grows on another thread
                await asyncio.sleep(0.005)
        return self.journal[:count]

    @abstractmethod
    def routes(self) -> list[Route]:
        """The provider's routes."""

    @abstractmethod
    def refuse(self, status: int, message: str, code: str | None = None) -> JSONResponse:
        """An error in the provider's form."""

    @abstractmethod
    def events(self, step: Step, text: str, asked: Mapping[str, Any]) -> Iterator[str]:
        """The server-sent events of an answer to the body ``asked``; the first is a preamble. Any: JSON."""

    async def play(self, request: Request, text: str) -> Response:
        """Answer a request with the next step; ``text`` is the echo."""
        step = self._steps.popleft() if self._steps else self.default
        body = self.journal[-1].body
        if refusal := await self.stopped(request, step):
            return refusal
        if step.body:
            return Response(step.body, media_type=step.media_type)
        events = self.events(step, text if step.text is None else step.text, body)
        return StreamingResponse(self._streamed(request, step, events), media_type="text/event-stream")

    async def stopped(self, request: Request, step: Step) -> Response | None:
        """Refuse or hang as the step says; None when there is an answer to give."""
        if step.status != 200:
            refusal = self.refuse(step.status, step.message, step.code)
            if step.retry_after is not None:
                refusal.headers["retry-after"] = f"{step.retry_after:g}"
            return refusal
        if step.failure == "hang":
            await self._hang(request)
        return None

    async def record(self, request: Request) -> Any:
        """Put a request into the journal and return its body (Any: whatever JSON it is)."""
        body = await self._body(request)
        request.state.gate = self._gate
        self.journal.append(Entry(request.url.path, dict(request.headers), body))
        return body

    async def _body(self, request: Request) -> Any:
        """The JSON of a request, or the fields of its form: a file as its name, size and first bytes (Any: either)."""
        if not request.headers.get("content-type", "").startswith("multipart/"):
            return await request.json()
        async with request.form() as form:
            fields: dict[str, object] = {}
            for name, value in form.items():
                fields[name] = value
                if not isinstance(value, str):
                    head = await value.read(4)
                    fields[name] = {"name": value.filename, "size": value.size, "head": head.decode("latin-1")}
            return fields

    async def _streamed(self, request: Request, step: Step, events: Iterator[str]) -> AsyncIterator[str]:
        for _ in range(step.comments):
            await asyncio.sleep(step.pause)
            yield ": PROCESSING\n\n"
        for number, event in enumerate(events):
            if step.pause:
                await asyncio.sleep(step.pause)
            if number == BREAK:
                match step.failure:
                    case "hang_mid":
                        await request.state.gate.wait()
                    case "drop":
                        raise DroppedError
                    case "cut":
                        return
            yield BROKEN if number == BREAK and step.failure == "malformed" else event

    async def _hang(self, request: Request) -> None:
        """Wait until released or until the client gives up."""
        waiting = {asyncio.ensure_future(request.state.gate.wait()), asyncio.ensure_future(request.receive())}
        _, late = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in late:
            task.cancel()

    def _serve(self) -> None:
        asyncio.run(self._serving())

    async def _serving(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._socket])

    def _app(self) -> Starlette:
        control = [
            Route("/_control/journal", self._read_journal),
            Route("/_control/next", self._script_by_hand, methods=["POST"]),
            Route("/_control/release", self._release_by_hand, methods=["POST"]),
        ]
        return Starlette(routes=[*control, *self.routes()])

    async def _read_journal(self, _request: Request) -> Response:
        return Response(msgspec.json.encode(self.journal), media_type="application/json")

    async def _script_by_hand(self, request: Request) -> Response:
        self.script(msgspec.json.decode(await request.body(), type=Step))
        return JSONResponse({"steps": len(self._steps)})

    async def _release_by_hand(self, _request: Request) -> Response:
        self.release()
        return JSONResponse({})


def pieces(text: str) -> list[str]:
    """Cut a text into words with their spaces, as a model streams it."""
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]


def main(kind: type[Emulator]) -> None:
    """Serve until interrupted: ``python -m tests.emulators.NAME --port PORT``."""
    parser = argparse.ArgumentParser(description=kind.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", default="", help="refuse requests without this key")
    parser.add_argument("--text", help="always answer this instead of an echo")
    arguments = parser.parse_args()
    emulator = kind(key=arguments.key, port=arguments.port)
    emulator.default = Step(text=arguments.text)
    with emulator:
        print(emulator.url, flush=True)
        threading.Event().wait()
