"""Verifies JSON web tokens of the operator's identity provider (``[oidc]``), on its own threads."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import jwt

from daemon.api.v1.claims import may_read, missing
from daemon.api.v1.jwks import ALGORITHMS, Keys, KeysUnavailable
from daemon.http.tokens import Access
from daemon.logging.log import Log
from daemon.settings.settings import Oidc

LEEWAY: Final = 30.0
"""Seconds by which the provider's clock and ours may differ."""
MAX_TOKEN: Final = 16_384
THREADS: Final = 2

_WORDS: Final[tuple[tuple[type[jwt.PyJWTError], str], ...]] = (
    (jwt.ExpiredSignatureError, "The token has expired; get a new one."),
    (jwt.ImmatureSignatureError, "The token is not valid yet; check the clocks of both machines."),
    (jwt.InvalidAudienceError, "The token is not for this audience (oidc.audience)."),
    (jwt.InvalidIssuerError, "The token is of another issuer (oidc.issuer)."),
    (jwt.MissingRequiredClaimError, "The token lacks one of the claims exp, iss and aud."),
    (jwt.InvalidSignatureError, "The token's signature is wrong."),
    (jwt.InvalidAlgorithmError, f"The token is not signed with {', '.join(ALGORITHMS)}."),
)


class JwtRefused(Exception):
    """A token that is not accepted; the text says why, for RFC 6750's ``error_description``."""


class NotEntitled(JwtRefused):
    """A valid token of another organization, or without the scope or role that is needed."""


class JwtVerifier:
    """Checks the signature, issuer, audience, times, organization, scope and role of tokens.

    ``organization`` is the value that the claim ``oidc.organization_claim`` must have, if that is set. Raises
    KeysUnavailable when ``oidc.jwks_file`` cannot be used.
    """

    def __init__(self, oidc: Oidc, organization: str, log: Log) -> None:
        self._oidc = oidc
        self._organization = organization
        self._log = log
        self._fault = ""
        self._keys = Keys(oidc)
        # Its own threads, so that a slow provider delays nothing else.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="jwt")

    @property
    def read_only_words(self) -> str:
        """What to say to a token with ``oidc.read_scope`` that asks for a change."""
        scopes = self._oidc.required_scope
        return f"This token may only read. Send one that also has the scope {scopes} (oidc.required_scope)."

    async def check(self, token: str) -> Access:
        """Return what the token opens.

        Raises JwtRefused, NotEntitled, or KeysUnavailable when the token cannot be checked at the moment.
        """
        if len(token) > MAX_TOKEN:
            raise JwtRefused(f"The token is longer than {MAX_TOKEN} characters.")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._check, token)
        finally:
            if self._keys.fault != self._fault:
                self._fault = self._keys.fault
                if self._fault:
                    self._log.error("jwks.unusable", reason=self._fault)

    def _check(self, token: str) -> Access:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise JwtRefused("The token is none of this daemon's, and no JSON web token.") from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise JwtRefused(f"The token is not signed with {', '.join(ALGORITHMS)}.")
        keys = self._keys.find(kid, algorithm)
        if not keys:
            raise JwtRefused("The token is signed with a key that its issuer does not publish.")
        claims = self._claims(token, keys)
        lacks = missing(self._oidc, self._organization, claims)
        if not lacks:
            return Access.FULL
        if may_read(self._oidc, self._organization, claims):
            return Access.READ
        raise NotEntitled(lacks)

    def _claims(self, token: str, keys: list[jwt.PyJWK]) -> dict[str, object]:
        """The claims, verified with the first key that fits. Raises JwtRefused."""
        last: jwt.PyJWTError = jwt.InvalidSignatureError()
        for key in keys:
            try:
                claims: dict[str, object] = jwt.decode(
                    token,
                    key,
                    algorithms=[key.algorithm_name],
                    issuer=self._oidc.issuer,
                    audience=self._oidc.audience,
                    leeway=LEEWAY,
                    options={"require": ["exp", "iss", "aud"]},
                )
            except jwt.InvalidSignatureError as error:
                last = error
            except jwt.PyJWTError as error:
                last = error
                break
            else:
                return claims
        words = next(
            (words for kind, words in _WORDS if isinstance(last, kind)), "The token is no valid JSON web token."
        )
        raise JwtRefused(words) from last


__all__ = ["JwtRefused", "JwtVerifier", "KeysUnavailable", "NotEntitled"]
