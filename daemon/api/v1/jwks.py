"""The public keys of the operator's identity provider: fetched, bounded, cached, and fetched again when they change.

Runs on its own threads; imported only if ``[oidc]`` is set. The document is a JWK set
(https://www.rfc-editor.org/rfc/rfc7517#section-5).
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from daemon.settings.settings import Oidc

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
"""Only asymmetric ones: anybody who can verify with a symmetric key can also sign with it."""

TIMEOUT: Final = 5.0
"""Seconds for one complete answer of the provider."""
MAX_DOCUMENT: Final = 262_144
MAX_KEYS: Final = 100
LIFETIME: Final = 3600.0
"""Seconds after which keys are fetched again."""
STALE: Final = 24 * 3600.0
"""Seconds for which keys stay valid while they cannot be fetched again."""
LEAST_INTERVAL: Final = 30.0
"""Seconds between two fetches: tokens with invented key ids must not make the daemon hammer the provider."""
LEAST_RSA_BITS: Final = 2048


_NO_KEY: Final = (PyJWTError, UnsupportedAlgorithm, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What PyJWT and cryptography raise for a key that they cannot read; ``{"kty": "oct"}`` is a KeyError."""


class KeysUnavailable(RuntimeError):
    """There are no keys to verify with; the text says why."""


class Keys:
    """The keys of ``oidc.jwks_url`` or ``oidc.jwks_file``. ``fault`` says why the last fetch failed, or is "".

    Raises KeysUnavailable when the file cannot be used. A URL is fetched only when its keys are needed.
    """

    def __init__(self, oidc: Oidc) -> None:
        self._oidc = oidc
        self._lock = threading.Lock()
        self._keys: list[PyJWK] = []
        self._fetched = self._asked = float("-inf")
        self._sought: str | None = None
        self.fault = ""
        if oidc.jwks_file:
            self._keys = usable(_read(oidc.jwks_file))
            self._fetched = self._asked = time.monotonic()

    def find(self, kid: str | None, algorithm: str) -> list[PyJWK]:
        """The keys that may have signed a token with this header. For an unknown key id the keys are fetched again.

        Raises KeysUnavailable.
        """
        with self._lock:
            age = time.monotonic() - self._fetched
            if age > LIFETIME or not (found := self._matching(kid, algorithm)):
                self._refresh(kid)
                found = self._matching(kid, algorithm)
            if not found and self._may_be_new(kid):
                raise KeysUnavailable(f"the keys are asked for again within {LEAST_INTERVAL:g} s")
            if not found and self.fault and time.monotonic() - self._fetched > STALE:
                raise KeysUnavailable(self.fault)
            return found

    def _may_be_new(self, kid: str | None) -> bool:
        """Whether a key with this id may have been published since the last fetch, which looked for another one."""
        if kid is None or kid == self._sought or not self._oidc.jwks_url:
            return False
        return all(key.key_id != kid for key in self._keys)

    def _matching(self, kid: str | None, algorithm: str) -> list[PyJWK]:
        if time.monotonic() - self._fetched > STALE:
            return []
        return [
            key for key in self._keys if key.algorithm_name == algorithm and (kid is None or key.key_id in (kid, None))
        ]

    def _refresh(self, kid: str | None) -> None:
        now = time.monotonic()
        if now - self._asked < LEAST_INTERVAL:
            return
        self._asked = now
        self._sought = kid
        try:
            self._keys = usable(_fetch(self._oidc.jwks_url) if self._oidc.jwks_url else _read(self._oidc.jwks_file))
        except KeysUnavailable as error:
            self.fault = str(error)
        else:
            self.fault = ""
            self._fetched = now


def usable(document: bytes) -> list[PyJWK]:
    """The keys of a document that fit the accepted algorithms. Raises KeysUnavailable."""
    try:
        listed = json.loads(document)["keys"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise KeysUnavailable('its document is no key set: a JSON object with a list "keys"') from error
    keys = []
    for one in listed[:MAX_KEYS] if isinstance(listed, list) else []:
        try:
            key = PyJWK(one)
        except _NO_KEY:
            # A provider may list keys of kinds that are not accepted here.
            continue
        weak = isinstance(key.key, RSAPublicKey) and key.key.key_size < LEAST_RSA_BITS
        if key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig") and not weak:
            keys.append(key)
    if not keys:
        raise KeysUnavailable(f"its document holds no key for {', '.join(ALGORITHMS)}")
    return keys


def _fetch(url: str) -> bytes:
    deadline = time.monotonic() + TIMEOUT
    request = urllib.request.Request(url, headers={"accept": "application/json"})  # noqa: S310 (setting_checks: http)
    try:
        with _opener().open(request, timeout=TIMEOUT) as answer:
            document = b""
            while piece := answer.read1(65_536):
                document += piece
                if len(document) > MAX_DOCUMENT:
                    raise KeysUnavailable(f"{url}: its answer is larger than {MAX_DOCUMENT} bytes")
                if time.monotonic() > deadline:
                    raise KeysUnavailable(f"{url}: did not answer within {TIMEOUT:g} s")
    except urllib.error.HTTPError as error:
        raise KeysUnavailable(f"{url}: answered {error.code}; correct oidc.jwks_url") from error
    except (OSError, HTTPException) as error:
        raise KeysUnavailable(f"{url}: cannot be reached: {error}") from error
    return document


def _opener() -> urllib.request.OpenerDirector:
    """An opener that follows no redirects: only the address that the operator named is trusted."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.ProxyHandler())
    opener.add_handler(urllib.request.HTTPHandler())
    opener.add_handler(urllib.request.HTTPSHandler())
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    return opener


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as stream:
            document = stream.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise KeysUnavailable(f"{file}: {error.strerror}; correct oidc.jwks_file") from error
    if len(document) > MAX_DOCUMENT:
        raise KeysUnavailable(f"{file}: larger than {MAX_DOCUMENT} bytes; correct oidc.jwks_file")
    return document
