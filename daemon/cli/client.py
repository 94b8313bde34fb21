"""A thin client of the daemon's HTTP API for the command line. It uses the standard library only, to import quickly."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import secrets
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from daemon.http.tokens import TokenError, read_tokens
from daemon.settings.checks import is_loopback
from daemon.settings.settings import Settings

TIMEOUT: Final = 30.0
SLOW_TIMEOUT: Final = 300.0
"""For requests that wait for a model or a process: create, start, restart."""
REUSE_SECONDS: Final = 2.0
"""How long an idle connection may be reused. The daemon closes it after five seconds, which must not hit a POST."""
PIECE: Final = 65_536
"""Bytes read from a file at a time."""
MAX_ANSWER: Final = 64 * 1024 * 1024


class RefusedError(RuntimeError):
    """The daemon refused; the text is its reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class UnreachableError(RuntimeError):
    """No daemon answers at the address; the text says how to start one."""


class AnsweredEarly(OSError):
    """The daemon answered before it had the whole body, which means that it refused it."""


class Persona(NamedTuple):
    """A persona in a list."""

    id: str
    name: str
    running: bool
    status: str


class Client:
    """One daemon: its address and the token that it may require."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], url: str | None = None) -> None:
        self.url = (url or _own_url(settings)).rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UnreachableError(
                f"{self.url} is not a daemon's address; use --url with one like http://127.0.0.1:5000"
            )
        self._parts = parts
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0
        self.token = environ.get("PERSONAD_TOKEN", "") or _own_token(settings, parts.hostname)

    @property
    def socket_url(self) -> str:
        """The address for WebSockets."""
        return "ws" + self.url.removeprefix("http")

    def get(self, path: str, timeout: float = TIMEOUT) -> object:
        """Return the JSON answer. Raises RefusedError, UnreachableError."""
        return self._call("GET", path, None, timeout)

    def post(self, path: str, body: object = None, timeout: float = TIMEOUT) -> object:
        """Return the JSON answer. Raises RefusedError, UnreachableError."""
        return self._call("POST", path, body, timeout)

    def put(self, path: str, body: object, timeout: float = TIMEOUT) -> object:
        """Return the JSON answer. Raises RefusedError, UnreachableError."""
        return self._call("PUT", path, body, timeout)

    def delete(self, path: str, timeout: float = TIMEOUT) -> object:
        """Return the JSON answer. Raises RefusedError, UnreachableError."""
        return self._call("DELETE", path, None, timeout)

    def upload(
        self,
        path: str,
        field: str,
        file: Path,
        texts: Mapping[str, str],
        timeout: float = SLOW_TIMEOUT,
        sent: Callable[[int, int], None] | None = None,
    ) -> object:
        """Send a file and texts as a form, piece by piece; ``sent`` gets the bytes sent so far and their total.

        Raises OSError when the file cannot be read, otherwise as ``get``.
        """
        boundary = secrets.token_hex(16)
        name = "".join(one if one.isprintable() and one not in '"\\' else "_" for one in file.name)
        part = f"--{boundary}\r\nContent-Disposition: form-data; name="
        head = "".join(f'{part}"{key}"\r\n\r\n{text}\r\n' for key, text in texts.items())
        head += f'{part}"{field}"; filename="{name}"\r\n\r\n'
        ends = head.encode(), f"\r\n--{boundary}--\r\n".encode()
        with file.open("rb") as stream:
            size = sum(map(len, ends)) + os.fstat(stream.fileno()).st_size
            headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(size)}
            pieces = itertools.chain(ends[:1], iter(lambda: stream.read(PIECE), b""), ends[1:])
            return self._answer(self._exchange("POST", path, self._unanswered(pieces, size, sent), headers, timeout))

    def download(self, path: str) -> Iterator[bytes]:
        """Yield an answer that is not JSON, one piece at a time. Raises as ``get``."""
        response = self._request("GET", path, None, SLOW_TIMEOUT)
        if response.status != 200:
            raise RefusedError(response.status, _detail(response.read(MAX_ANSWER)))
        try:
            while piece := response.read(PIECE):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnreachableError(f"personad at {self.url} ended the answer: {error}") from error

    def broken(self) -> dict[str, str]:
        """Return the faults of records that the daemon could not load, by persona id."""
        status = self.get("/api/status")
        found = status.get("broken") if isinstance(status, dict) else None
        return {str(_field(one, "id")): str(_field(one, "fault")) for one in found} if isinstance(found, list) else {}

    def personas(self) -> list[Persona]:
        """Return all personas."""
        views = _field(self.get("/api/personas"), "personas")
        if not isinstance(views, list):
            raise self._stranger()
        return [
            Persona(
                str(_field(view, "id")),
                str(_field(view, "name")),
                bool(_field(view, "running")),
                str(_field(view, "status")),
            )
            for view in views
        ]

    def find(self, named: str) -> Persona:
        """Return the persona with this id or name. Raises RefusedError when there is none or more than one."""
        personas = self.personas()
        for one in personas:
            if one.id == named:
                return one
        exact = [one for one in personas if one.name == named]
        alike = [one for one in personas if one.name.casefold() == named.casefold()]
        for found in (exact, alike):
            if len(found) == 1:
                return found[0]
            if found:
                ids = ", ".join(one.id for one in found)
                raise RefusedError(409, f"{len(found)} personas are named {named!r}; use one of their ids: {ids}")
        raise RefusedError(404, self._absent(named))

    def _absent(self, named: str) -> str:
        """Say that nobody has this name; a record that cannot be read hides its name, so it may be hers."""
        broken = self.broken()
        if named in broken:
            return f"her record is broken: {broken[named]} `personad doctor` checks it."
        if broken:
            faults = " ".join(broken.values())
            return f"no persona {named!r} is loaded. A record that may be hers is broken: {faults}"
        return f"there is no persona {named!r}; `personad list` shows them"

    def lines(self, path: str) -> Iterator[bytes]:
        """Yield the lines of an answer as they arrive, until the daemon ends it. Raises as ``get``."""
        response = self._request("GET", path, None, TIMEOUT)
        connection, self._connection = self._connection, None
        if response.status != 200:
            raise RefusedError(response.status, _detail(response.read(MAX_ANSWER)))
        if connection and connection.sock:
            connection.sock.settimeout(None)
        try:
            yield from response
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"personad at {self.url} ended the answer: {error}") from error

    def _call(self, method: str, path: str, body: object, timeout: float) -> object:
        return self._answer(self._request(method, path, body, timeout))

    def _answer(self, response: http.client.HTTPResponse) -> object:
        try:
            data = response.read(MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        if response.status >= 400:
            raise RefusedError(response.status, _detail(data))
        try:
            return json.loads(data)
        except ValueError as error:
            raise self._stranger() from error

    def _request(self, method: str, path: str, body: object, timeout: float) -> http.client.HTTPResponse:
        if body is None:
            return self._exchange(method, path, None, {}, timeout)
        return self._exchange(method, path, json.dumps(body).encode(), {"Content-Type": "application/json"}, timeout)

    def _exchange(
        self, method: str, path: str, data: bytes | Iterator[bytes] | None, headers: Mapping[str, str], timeout: float
    ) -> http.client.HTTPResponse:
        token = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        connection = self._connect(timeout)
        try:
            try:
                connection.request(
                    method, self._parts.path + path, data, {"Accept": "application/json", **token, **headers}
                )
            except (AnsweredEarly, BrokenPipeError, ConnectionResetError):
                # With part of the body unsent, this connection cannot be used for another request.
                self._used = 0.0
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._unreachable(error) from error

    def _unanswered(
        self, pieces: Iterable[bytes], size: int, sent: Callable[[int, int], None] | None
    ) -> Iterator[bytes]:
        """Yield the pieces of a body until the daemon answers. Raises AnsweredEarly if it answers too soon."""
        gone = 0
        for piece in pieces:
            yield piece
            gone += len(piece)
            if sent:
                sent(gone, size)
            connection = self._connection
            if gone < size and connection and connection.sock and select.select([connection.sock], [], [], 0)[0]:
                raise AnsweredEarly

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        """Return a connection, the same one as before if it was used a moment ago."""
        if time.monotonic() - self._used > REUSE_SECONDS:
            self.close()
        self._used = time.monotonic()
        if self._connection is None:
            secure = self._parts.scheme == "https"
            kind: type[http.client.HTTPConnection] = (
                http.client.HTTPSConnection if secure else http.client.HTTPConnection
            )
            self._connection = kind(self._parts.hostname or "", self._parts.port, timeout=timeout)
        self._connection.timeout = timeout
        if self._connection.sock:
            self._connection.sock.settimeout(timeout)
        return self._connection

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _unreachable(self, error: Exception) -> UnreachableError:
        if isinstance(error, TimeoutError):
            return UnreachableError(f"personad at {self.url} did not answer in time; run `personad doctor`")
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        if isinstance(error, socket.gaierror):
            reason = "the host name is unknown"
        return UnreachableError(
            f"personad is not reachable at {self.url} ({reason}); start it with `personad serve`,"
            " or with `systemctl start personad` if it is installed as a service"
        )

    def _stranger(self) -> UnreachableError:
        return UnreachableError(f"the server at {self.url} is not personad; set its address with --url")


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _detail(data: bytes) -> str:
    """Return the reason from an error answer; several invalid fields become one line."""
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    detail = _field(answer, "detail")
    if isinstance(detail, str) and (reason := _field(answer, "reason")):
        return f"{detail} {reason}"
    if isinstance(detail, list):
        faults = [
            f"{'.'.join(map(str, one.get('loc', [])))}: {one.get('msg', '')}" for one in detail if isinstance(one, dict)
        ]
        return "; ".join(faults)
    return str(detail or data[:200].decode(errors="backslashreplace") or "the daemon gave no reason")


def _own_url(settings: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.http.host, settings.http.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.http.port}"


def _own_token(settings: Settings, host: str) -> str:
    """Return the first token in this machine's token file, if there is one a token that may do everything.

    It is only sent to this machine's daemon.
    """
    if not settings.http.token_file or not (is_loopback(host) or host == settings.http.host):
        return ""
    try:
        tokens = read_tokens(Path(settings.http.token_file))
    except TokenError:
        # The daemon will refuse and say that a token is needed. `personad doctor` reports what is wrong with the file.
        return ""
    return next(iter((*tokens.full, *tokens.reading))).decode()
