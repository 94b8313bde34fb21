"""The outermost layer, through which every request and every socket passes: default-deny.

1. Without a token the daemon answers only a request whose ``Host`` is a name of this machine's loopback, the listener's
   own, or one that the operator allowed. (A page of a stranger can make a browser send requests here under a name that
   it has pointed at 127.0.0.1; its Host gives it away.)
2. ``Origin``, where present, must be the daemon's own: scheme, host and port equal those of ``Host``. This holds for
   sockets, which browsers open across sites, too. Behind a TLS proxy the scheme is the one that the proxy tells, if it
   is one of ``http.trusted_proxies``.
3. With a token every route and socket needs it, as ``Authorization: Bearer <token>``, or in the handshake of a socket
   as the subprotocol ``bearer.<token>``. Never in a URL: those end in logs and histories. A token is looked up for
   each request; a socket whose token is revoked is closed. A read-only token may GET and listen at sockets, whatever
   the path: 403 for everything else.
4. No body is larger than ``http.max_body`` bytes, whether its length is declared or counted; the form of an upload may
   hold a file of ``limits.upload`` bytes besides, that of a feed one of ``limits.feed``, and a restore's
   ``limits.archive``.
5. Every request under ``/v1`` needs a token, which may also be a JSON web token. ``daemon/api/v1/authentication.py``
   checks it, and rules 1 and 3 add nothing there. A refusal of what is OpenAI's API has the form of that API.
6. Every answer tells browsers that it is not a page, and not meant for the pages of others.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.http import answers, openai_errors, problems
from daemon.http.refused_tokens import RefusedTokens
from daemon.http.tokens import Access, Tokens
from daemon.logging.log import Log
from daemon.settings.settings import Http, Limits

RESPONSE_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
)
"""On every answer: nothing that the daemon sends is a page, or meant for the pages of others."""

RESPONSE_STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start"})

SUBPROTOCOL: Final = "personad.v1"
POLICY_VIOLATION: Final = 1008
REVOCATION_CHECK: Final = 5.0
"""Seconds between two checks whether a socket's token is still valid."""
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_AUTHORITY: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?\Z")
_FORM: Final = re.compile(r"/api/persona/(?:[^/]+/(hear|attach|feed)|(restore))\Z")
_ORIGIN: Final = re.compile(r"(https?)://([^/]+)\Z")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HTTP_SCHEMES: Final = {"http": "http", "ws": "http", "https": "https", "wss": "https"}

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1)."""
READS_ONLY: Final = "reads_only"
"""In a request's state: its token may only read."""
OWNERS: Final = "owners"
"""In a request's state: its token is one of the daemon's own that may do everything."""
READ_ONLY_REFUSED: Final = (
    "This token may only read. Send one that may change things; `personad token` without --read-only makes one."
)

_HOST_REFUSED: Final = (
    "This Host is not answered. Use http://localhost or http://127.0.0.1 with the daemon's port, or add the name to"
    " http.allowed_hosts (PERSONAD_HTTP_ALLOWED_HOSTS)."
)
_ORIGIN_REFUSED: Final = (
    "Pages of another origin may not use this daemon. Open the page from the daemon's own address, or call it from a"
    " program, without an Origin header. If this is its own address behind a TLS proxy, set http.trusted_proxies."
)
_TOKEN_REFUSED: Final = (
    "This daemon needs its token: send 'Authorization: Bearer <token>', or open a socket with the subprotocols"
    " 'personad.v1' and 'bearer.<token>'. `personad token` makes one."
)


class Bound(NamedTuple):
    """How many bytes a body may have, and the setting with the value that bounds it."""

    size: int
    limit: int
    setting: str

    def words(self) -> str:
        """What to tell the sender of a larger one."""
        return f"The body is over the limit of {self.limit} bytes: send less, or raise {self.setting}."


class Guard:
    """The ASGI layer that lets through what the rules above allow."""

    def __init__(
        self, app: ASGIApp, http: Http, limits: Limits, tokens: Tokens, refused: RefusedTokens, log: Log
    ) -> None:
        self.app = app
        self._tokens = tokens
        self._refused = refused
        self._log = log
        self._fault = ""
        self._body = Bound(http.max_body, http.max_body, "http.max_body")
        upload = Bound(limits.upload + http.max_body, limits.upload, "limits.upload")
        self._forms = {
            "hear": upload,
            "attach": upload,
            "feed": Bound(limits.feed + http.max_body, limits.feed, "limits.feed"),
            "restore": Bound(limits.archive + http.max_body, limits.archive, "limits.archive"),
        }
        self._completion = Bound(limits.completion, limits.completion, "limits.completion")
        self._hosts = frozenset(_canonical(name) for name in (*LOOPBACK, http.host, *http.allowed_hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send)
        seen = _Headers.of(scope)
        refusal = self._refusal(scope, seen)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if seen.chunked:
            receive = self._counted(receive, self._bound(scope))
        if scope["type"] == "websocket" and self._tokens.required:
            await self._until_revoked(scope, receive, send, _presented(scope, seen))
        else:
            await self.app(scope, receive, send)

    def _refusal(self, scope: Scope, seen: _Headers) -> Response | None:
        host = _authority(seen.host)
        at_door = is_v1(scope)
        problem = openai_errors.plain_error if openai_errors.is_openai(scope) else _problem_of(at_door=at_door)
        if not at_door and self._tokens.required:
            access = self._access(scope, seen)
            if access is Access.NONE:
                self._refused.count(scope)
                return problem(401, _TOKEN_REFUSED, {"www-authenticate": "Bearer"})
            if access is Access.READ and not is_reading(scope):
                return problem(403, READ_ONLY_REFUSED, {"www-authenticate": 'Bearer error="insufficient_scope"'})
            scope.setdefault("state", {})[READS_ONLY] = access is Access.READ
        elif not at_door and (host is None or host.name not in self._hosts):
            return problem(403, _HOST_REFUSED, None)
        if seen.origin is not None and not _is_own(seen.origin, host, _HTTP_SCHEMES[scope["scheme"]]):
            return problem(403, _ORIGIN_REFUSED, None)
        if seen.length is not None:
            bound = self._bound(scope)
            if not (seen.length.isdecimal() and int(seen.length) <= bound.size):
                return problem(413, bound.words(), None)
        return None

    def _bound(self, scope: Scope) -> Bound:
        if scope["path"] == openai_errors.COMPLETIONS:
            return self._completion
        form = _FORM.match(scope["path"])
        return self._forms[form[1] or form[2]] if form else self._body

    def _access(self, scope: Scope, seen: _Headers) -> Access:
        access = self._tokens.access(_presented(scope, seen))
        if self._tokens.fault != self._fault:
            self._fault = self._tokens.fault
            if self._fault:
                self._log.error("tokens.unusable", reason=self._fault)
        return access

    async def _until_revoked(self, scope: Scope, receive: Receive, send: Send, token: str) -> None:
        """Serve a socket; when its token is no longer valid, it looks as if its client had gone."""
        revoked = False

        async def checked() -> Message:
            nonlocal revoked
            receiving = asyncio.ensure_future(receive())
            try:
                while not (await asyncio.wait({receiving}, timeout=REVOCATION_CHECK))[0]:
                    if not self._tokens.valid(token):
                        revoked = True
                        return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
                return receiving.result()
            finally:
                receiving.cancel()

        await self.app(scope, checked, send)
        if revoked:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "the token was revoked"})

    def _counted(self, receive: Receive, bound: Bound) -> Receive:
        """Count a body whose length is not declared while it is read."""
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > bound.size:
                raise HTTPException(413, bound.words())
            return message

        return counted


def is_v1(scope: Scope) -> bool:
    """Whether a request is for the ``/v1`` door; as Starlette does, by the decoded path."""
    path: str = scope["path"]
    return scope["type"] == "http" and (path == "/v1" or path.startswith("/v1/"))


def is_reading(scope: Scope) -> bool:
    """Whether a request only reads. What a socket's client sends is ignored, so a socket only listens."""
    return scope["type"] == "websocket" or scope["method"] in READING


def reads_only(connection: HTTPConnection) -> bool:
    """Whether its token may only read. Without a token that is needed, it may do everything."""
    return bool(getattr(connection.state, READS_ONLY, False))


def _problem_of(*, at_door: bool) -> Callable[[int, str, Mapping[str, str] | None], Response]:
    return problems.problem if at_door else answers.problem


def is_owners(scope: Scope) -> bool:
    """Whether a request under ``/v1`` comes with one of the daemon's own tokens that may do everything."""
    return bool(scope.get("state", {}).get(OWNERS, False))


def _presented(scope: Scope, seen: _Headers) -> str:
    """Return the one token that a request presents; an empty text, which is never valid, without one."""
    if seen.authorization is not None:
        scheme, _, token = seen.authorization.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""
    offered = scope.get("subprotocols", ()) if scope["type"] == "websocket" else ()
    tokens = [name.removeprefix("bearer.") for name in offered if name.startswith("bearer.")]
    return tokens[0] if len(tokens) == 1 else ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in RESPONSE_STARTS:
            message = {**message, "headers": [*message["headers"], *RESPONSE_HEADERS]}
        await send(message)

    return sending


class _Headers(NamedTuple):
    """The headers that the rules look at. One that may come once and comes twice counts as wrong."""

    host: str = ""
    origin: str | None = None
    authorization: str | None = None
    length: str | None = None
    chunked: bool = False

    @classmethod
    def of(cls, scope: Scope) -> _Headers:
        found: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name in _LOOKED_AT:
                found[name] = _TWICE if name in found else value.decode("latin-1")
        return cls(
            found.get(b"host", ""),
            found.get(b"origin"),
            found.get(b"authorization"),
            found.get(b"content-length"),
            b"transfer-encoding" in found,
        )


_LOOKED_AT: Final = frozenset({b"host", b"origin", b"authorization", b"content-length", b"transfer-encoding"})
_TWICE: Final = ", "


class _Authority(NamedTuple):
    name: str
    port: int | None


@lru_cache(maxsize=256)
def _authority(text: str) -> _Authority | None:
    """Take a Host or an origin's authority apart; None when it is no such thing."""
    found = _AUTHORITY.match(text)
    if found is None:
        return None
    address, name, port = found.groups()
    if address is not None:
        try:
            name = str(ipaddress.IPv6Address(address))
        except ValueError:
            return None
    return _Authority(name.lower(), int(port) if port else None)


def _canonical(name: str) -> str:
    """The operator writes an IPv6 address without brackets, in any of its spellings."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _is_own(origin: str, host: _Authority | None, scheme: str) -> bool:
    found = _ORIGIN.match(origin)
    if found is None or host is None or found[1] != scheme:
        return False
    page = _authority(found[2])
    default = _DEFAULT_PORTS[scheme]
    return page is not None and (page.name, page.port or default) == (host.name, host.port or default)
