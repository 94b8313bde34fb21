"""An identity provider on loopback: it makes JSON web tokens and publishes its keys."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE: Final = "personad"
ORGANIZATION: Final = "house"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def new_key(algorithm: str) -> PrivateKey:
    """A private key for an algorithm."""
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Serves ``keys`` as its key set at ``url`` + ``/jwks`` and counts how often it was asked."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[str, PrivateKey]] = {}
        self.asked = 0
        self.answer: bytes | None = None
        """The answer in place of the key set, if set."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                body = issuer.answer if issuer.answer is not None else json.dumps(issuer.key_set()).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The issuer's name."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def settings(self) -> dict[str, str]:
        """The settings with which the daemon trusts it."""
        return {
            "PERSONAD_OIDC_ISSUER": self.url,
            "PERSONAD_OIDC_AUDIENCE": AUDIENCE,
            "PERSONAD_OIDC_JWKS_URL": f"{self.url}/jwks",
            "PERSONAD_OIDC_ORGANIZATION_CLAIM": "org",
            "PERSONAD_OIDC_REQUIRED_SCOPE": "channels.write",
            "PERSONAD_OIDC_READ_SCOPE": "channels.read",
            "PERSONAD_V1_ORGANIZATION_ID": ORGANIZATION,
        }

    def add_key(self, kid: str, algorithm: str) -> PrivateKey:
        """Publish a new key."""
        self.keys[kid] = algorithm, new_key(algorithm)
        return self.keys[kid][1]

    def key_set(self) -> dict[str, Any]:
        """The key set that it publishes."""
        return {
            "keys": [
                {
                    **jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True),
                    "kid": kid,
                    "use": "sig",
                }
                for kid, (algorithm, key) in self.keys.items()
            ]
        }

    def claims(self, **changed: object) -> dict[str, object]:
        """The claims of a valid token; None removes a claim."""
        claims: dict[str, object] = {"iss": self.url, "aud": AUDIENCE, "sub": "you", "exp": time.time() + 60}
        claims |= {"org": ORGANIZATION, "scope": "channels.write"}
        return {name: value for name, value in {**claims, **changed}.items() if value is not None}

    def token(self, kid: str, **changed: object) -> str:
        """A token signed with a published key."""
        return self.signed(kid, {}, self.claims(**changed))

    def signed(self, kid: str, header: dict[str, object], claims: dict[str, object]) -> str:
        """A token with additional or different header fields."""
        algorithm, key = self.keys[kid]
        return jwt.encode(claims, key, algorithm, {"kid": kid, **header})
