"""Authentication: every request under ``/v1`` needs a bearer token, also on the loopback.

https://www.rfc-editor.org/rfc/rfc6750
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from daemon.http.openai_errors import is_openai, plain_error
from daemon.http.problems import problem
from daemon.http.refused_tokens import RefusedTokens
from daemon.http.security import OWNERS, READ_ONLY_REFUSED, is_reading
from daemon.http.tokens import Access, Tokens
from daemon.logging.log import Log
from daemon.settings.settings import Settings, SettingsError

if TYPE_CHECKING:
    from daemon.api.v1.jwt_tokens import JwtVerifier

REALM: Final = "personad"
TOKEN_NAME: Final = "token"
"""The file in the state directory where ``personad token`` puts tokens, unless the settings name another."""

_MISSING: Final = "Send 'Authorization: Bearer <token>'. `personad token` makes one."
_NONE_YET: Final = "There is no token yet: make one with `personad token`, and send 'Authorization: Bearer <token>'."
_WRONG: Final = "The token is not one of this daemon's; `personad token` makes another."
_MALFORMED: Final = "Send one Authorization header: 'Bearer', a space, and the token."


class Refusal(NamedTuple):
    """A request that is not let in."""

    status: int
    detail: str
    headers: dict[str, str]

    def answer(self, scope: Scope) -> Response:
        """Return the response, in the form of the API that the request is for."""
        return (plain_error if is_openai(scope) else problem)(self.status, self.detail, self.headers)


class Authentication:
    """The ASGI layer around the routes of ``/v1``. Raises SettingsError when ``oidc.jwks_file`` cannot be used."""

    def __init__(self, app: ASGIApp, settings: Settings, refused: RefusedTokens, log: Log) -> None:
        self.app = app
        self._refused = refused
        self._log = log
        named = settings.http.token_file
        self._tokens = Tokens(named) if named else Tokens(str(settings.state_dir / TOKEN_NAME), optional=True)
        self._fault = ""
        self._verifier = _verifier(settings, log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = await self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            if refusal.status == 401:
                self._refused.count(scope)
            await refusal.answer(scope)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Refusal | None:
        headers = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = headers[0].partition(" ") if headers else ("", "", "")
        token = token.strip(" ")
        if len(headers) > 1 or (scheme.lower() == "bearer" and (not token or " " in token)):
            return _challenge(400, "invalid_request", _MALFORMED)
        if scheme.lower() != "bearer":
            usable = self._tokens.exist or self._verifier
            return _challenge(401, "", _MISSING if usable else _NONE_YET)
        access = self._tokens.access(token)
        if access is not Access.NONE:
            scope.setdefault("state", {})[OWNERS] = access is Access.FULL
            return _judged(access, scope, READ_ONLY_REFUSED)
        if self._tokens.fault != self._fault:
            self._fault = self._tokens.fault
            if self._fault:
                self._log.error("tokens.unusable", reason=self._fault)
        if self._verifier is None:
            return _challenge(401, "invalid_token", _WRONG if self._tokens.exist else _NONE_YET)
        return await _verified(self._verifier, token, scope)


def _judged(access: Access, scope: Scope, read_only_words: str) -> Refusal | None:
    if access is Access.READ and not is_reading(scope):
        return _challenge(403, "insufficient_scope", read_only_words)
    return None


async def _verified(verifier: JwtVerifier, token: str, scope: Scope) -> Refusal | None:
    from daemon.api.v1.jwt_tokens import JwtRefused, KeysUnavailable, NotEntitled

    try:
        access = await verifier.check(token)
    except NotEntitled as error:
        return _challenge(403, "insufficient_scope", str(error))
    except JwtRefused as error:
        return _challenge(401, "invalid_token", str(error))
    except KeysUnavailable:
        detail = "The identity provider's keys are not available at the moment; the daemon's log says why."
        return Refusal(503, detail, {"retry-after": "30"})
    return _judged(access, scope, verifier.read_only_words)


def _verifier(settings: Settings, log: Log) -> JwtVerifier | None:
    """The verifier, or None without ``[oidc]``; in that case its libraries are not imported."""
    if not settings.oidc.issuer:
        return None
    from daemon.api.v1.jwt_tokens import JwtVerifier, KeysUnavailable

    try:
        return JwtVerifier(settings.oidc, settings.v1.organization_id, log)
    except KeysUnavailable as error:
        raise SettingsError(f"oidc.jwks_file: {error}") from error


def _challenge(status: int, error: str, detail: str) -> Refusal:
    """The refusal. A request without any token gets only the realm.

    https://www.rfc-editor.org/rfc/rfc6750#section-3
    """
    challenge = f'Bearer realm="{REALM}"'
    if error:
        words = detail.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "/")
        challenge += f', error="{error}", error_description="{words}"'
    return Refusal(status, detail, {"www-authenticate": challenge})
