"""What the emulators of REST APIs share: a real HTTP server on loopback in a thread, scripted failures, a journal."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from tests.patience import PATIENCE


@dataclass
class Failure:
    """The failure of the next requests with this method and path: an error, or trouble on the way.

    ``lost`` does what is asked and gives no answer, ``drop`` does nothing, ``garbage`` answers what is no JSON.
    """

    method: str
    path: str
    times: int = 1
    status: int = 500
    code: int | None = None
    message: str = "made to fail"
    retry_after: int | None = None
    trouble: Literal["", "lost", "drop", "garbage"] = ""

    def meets(self, request: Request) -> bool:
        """Return whether it matches this request; ``path`` is a suffix of the URL."""
        return self.times > 0 and request.method == self.method and request.url.path.endswith(self.path)


@dataclass
class Call:
    """One request as it came."""

    method: str
    path: str
    params: dict[str, str]
    body: Any
    """Any: a form's fields, or JSON."""
    headers: dict[str, str] = field(default_factory=dict)


class LostError(Exception):
    """Ends a request without an answer."""


class Loopback(ABC):
    """A provider's API on 127.0.0.1; use it as a context manager."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.failures: list[Failure] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        app = Starlette(routes=self.routes())
        config = uvicorn.Config(
            app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1, loop="asyncio"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._socket])), daemon=True)

    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """The provider's routes."""

    @abstractmethod
    def refusal(self, status: int, code: int | None, message: str) -> Response:
        """An error in the provider's form."""

    @property
    def url(self) -> str:
        """Its base URL."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + PATIENCE
        while not self._server.started:
            assert time.monotonic() < deadline, "the emulator did not start"
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)

    def fail(self, method: str, path: str, **what: Any) -> None:
        """Let the next request fail (Any: the fields of ``Failure``)."""
        self.failures.append(Failure(method, path, **what))

    def called(self, method: str, path: str) -> list[Call]:
        """The requests so far whose path ends like this."""
        return [call for call in list(self.calls) if call.method == method and call.path.endswith(path)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has come; it comes on another thread."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110  the journal grows on another thread
                await asyncio.sleep(0.005)

    async def record(self, request: Request) -> Call:
        """Put a request into the journal."""
        body: Any = None
        kind = request.headers.get("content-type", "")
        if kind.startswith(("application/x-www-form-urlencoded", "multipart/")):
            async with request.form() as form:
                body = {key: value if isinstance(value, str) else await value.read() for key, value in form.items()}
        elif kind.startswith("application/json"):
            body = await request.json()
        call = Call(request.method, request.url.path, dict(request.query_params), body, dict(request.headers))
        self.calls.append(call)
        return call

    def scripted(self, request: Request) -> Failure | None:
        """Return the failure that this request meets."""
        found = next((failure for failure in self.failures if failure.meets(request)), None)
        if found:
            found.times -= 1
        return found

    def failed(self, failure: Failure) -> Response:
        """Answer with a failure; raises LostError for one without an answer."""
        match failure.trouble:
            case "drop" | "lost":
                raise LostError
            case "garbage":
                return Response("<html>Bad gateway</html>", 200)
        answer = self.refusal(failure.status, failure.code, failure.message)
        if failure.retry_after is not None:
            answer.headers["retry-after"] = str(failure.retry_after)
        return answer
