"""Whose request it is behind a proxy: what the proxy says counts only if the operator trusts that proxy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import NamedTuple

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

from daemon.http.refused_tokens import RefusedTokens
from daemon.http.security import Guard
from daemon.http.tokens import Tokens
from daemon.logging.log import Log, Sink
from daemon.runtime.tasks import daemon_tasks
from daemon.settings.sections import Http, Logs
from daemon.settings.settings import Settings
from daemon.startup.serve import _config
from tests.daemon.fakes.clock import LoopClock

TOKEN = "personad_abcdefghijklmnopqrstuvwxyz0123456789"
PROXY = "10.1.0.9"


class Request(NamedTuple):
    """A request that reaches the listener from this address."""

    client: str
    headers: dict[str, str]
    kind: str = "http"


class Seen(NamedTuple):
    """The answer's status, and the address of a refused token's event."""

    status: int
    logged: str | None


def ask(folder: Path, trusted: tuple[str, ...], request: Request) -> Seen:
    """Send a request through all that stands before the routes, as ``serve`` puts it together."""
    file = folder / "tokens"
    file.write_text(TOKEN)
    file.chmod(0o600)
    http = Http(token_file=str(file), trusted_proxies=trusted)
    settings = Settings(state_dir=folder, runtime_dir=folder, http=http)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def test(log: Log) -> None:
        refused = RefusedTokens(daemon_tasks(LoopClock(), log), log)
        guard = Guard(PlainTextResponse("in"), http, settings.limits, Tokens(http.token_file), refused, log)
        config = _config(guard, settings)
        config.load()
        scope: Scope = {
            "type": request.kind,
            "method": "GET",
            "path": "/api/personas",
            "scheme": {"http": "http", "websocket": "ws"}[request.kind],
            "client": (request.client, 5000),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()],
            "extensions": {"websocket.http.response": {}},
        }
        await config.loaded_app(scope, receive, send)
        log.flush()

    with (folder / "log").open("w+b") as stream:
        asyncio.run(test(Log(Sink(Logs(), stream.fileno(), terminal=False))))
        stream.seek(0)
        events = [json.loads(line) for line in stream]
    logged = [one["address"] for one in events if one["event"] == "tokens.refused"]
    return Seen(sent[0]["status"], logged[0] if logged else None)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("trusted", "forwarded", "address"),
    [
        # Nobody is trusted: anybody could write the header.
        ((), "203.0.113.7", PROXY),
        # Another machine is, not this one.
        (("10.1.0.8",), "203.0.113.7", PROXY),
        ((PROXY,), "203.0.113.7", "203.0.113.7"),
        (("10.1.0.0/16",), "203.0.113.7", "203.0.113.7"),
        ((PROXY,), "2001:db8::7", "2001:db8::7"),
        # What the client itself claimed stands on the left, and what the proxy saw on the right.
        ((PROXY,), "127.0.0.1, 198.51.100.1, 203.0.113.7", "203.0.113.7"),
        # A chain of proxies of the operator's.
        (("10.1.0.0/16",), "198.51.100.1, 203.0.113.7, 10.1.0.3", "203.0.113.7"),
        ((PROXY,), "203.0.113.7:4711", "203.0.113.7"),
        # What is no address is none in the log either.
        ((PROXY,), "unknown", ""),
        ((PROXY,), "x" * 9000, ""),
        ((PROXY,), "", PROXY),
    ],
)
def test_the_refused_are_told_apart(
    tmp_path: Path, kind: str, trusted: tuple[str, ...], forwarded: str, address: str
) -> None:
    """A refused token is counted for the client that a trusted proxy names, else for the peer."""
    request = Request(PROXY, {"host": "home.example", "x-forwarded-for": forwarded}, kind)

    assert ask(tmp_path, trusted, request) == Seen(401, address)


def test_the_environment_trusts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn's own variable is not a setting of personad, and neither is its default."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")

    for trusted in ((), ("10.1.0.8",)):
        request = Request("127.0.0.1", {"host": "home.example", "x-forwarded-for": "203.0.113.7"})
        assert ask(tmp_path, trusted, request) == Seen(401, "127.0.0.1")


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("trusted", "headers", "welcome"),
    [
        ((PROXY,), {"origin": "https://home.example", "x-forwarded-proto": "https"}, True),
        ((PROXY,), {"origin": "https://home.example:443", "x-forwarded-proto": "https"}, True),
        ((), {"origin": "https://home.example", "x-forwarded-proto": "https"}, False),
        (("10.1.0.8",), {"origin": "https://home.example", "x-forwarded-proto": "https"}, False),
        ((PROXY,), {"origin": "http://home.example", "x-forwarded-proto": "https"}, False),
        ((PROXY,), {"origin": "https://home.example"}, False),
        ((PROXY,), {"origin": "https://evil.example", "x-forwarded-proto": "https"}, False),
        ((PROXY,), {"origin": "https://home.example", "x-forwarded-proto": "ftp"}, False),
    ],
)
def test_a_page_behind_a_tls_proxy_is_the_daemons_own(
    tmp_path: Path, kind: str, trusted: tuple[str, ...], headers: dict[str, str], welcome: bool
) -> None:
    """The browser's Origin is https, the request that arrives is http: the proxy's word makes them fit."""
    request = Request(PROXY, {"host": "home.example", "authorization": f"Bearer {TOKEN}", **headers}, kind)

    assert ask(tmp_path, trusted, request).status == (200 if welcome else 403)
