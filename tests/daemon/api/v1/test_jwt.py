"""JSON web tokens of an identity provider: which are accepted, which refused, and when its keys are fetched."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.daemon.api.v1.asking import error
from tests.daemon.api.v1.issuer import AUDIENCE, Issuer, new_key
from tests.daemon.api.v1.reception import TOKEN, with_token
from tests.daemon_process import DaemonProcess, wait_for


class Trusting(NamedTuple):
    """A daemon, and the issuer that it trusts."""

    daemon: DaemonProcess
    issuer: Issuer

    def get(self, token: str) -> httpx.Response:
        """List the channels with this token."""
        return self.daemon.http.get("/v1/channels", headers={"authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusting]:
    """A daemon and issuer that all tests share."""
    with Issuer() as issuer:
        for algorithm in ("RS256", "ES256", "EdDSA"):
            issuer.add_key(algorithm, algorithm)
        process = with_token(DaemonProcess(tmp_path_factory.mktemp("jwt") / "state", issuer.settings()))
        try:
            yield Trusting(process.start(), issuer)
        finally:
            process.close()


@pytest.mark.parametrize("kid", ["RS256", "ES256", "EdDSA"])
def test_a_good_token_opens_the_door(trusting: Trusting, kid: str) -> None:
    """Tokens of each algorithm, with one or several audiences, and with slightly different clocks are accepted."""
    now = time.time()

    assert trusting.get(trusting.issuer.token(kid)).status_code == 200
    assert trusting.get(trusting.issuer.token(kid, aud=["other", AUDIENCE])).status_code == 200
    assert trusting.get(trusting.issuer.token(kid, exp=now - 10, nbf=now + 10)).status_code == 200


def test_the_daemons_own_token_is_good_beside_it(trusting: Trusting) -> None:
    """A token of `personad token` needs no provider; /api accepts no JSON web token."""
    assert trusting.get(TOKEN).status_code == 200


def test_it_is_a_visitors_at_the_owners_door(trusting: Trusting) -> None:
    """Who has one may see the models, and says nothing in her owner's name; the refusal has OpenAI's form."""
    headers = {"authorization": f"Bearer {trusting.issuer.token('ES256')}"}
    assert trusting.daemon.http.get("/v1/models", headers=headers).status_code == 200
    answer = trusting.daemon.http.post("/v1/chat/completions", json={}, headers=headers)
    assert "speaks for a visitor" in error(answer, 403, "insufficient_permissions")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "lacks one of the claims"),
        ({"nbf": 4_000_000_000}, "not valid yet"),
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "lacks one of the claims"),
        ({"iss": "https://other.example"}, "issuer"),
        ({"exp": "soon"}, "no valid JSON web token"),
    ],
)
def test_a_token_with_wrong_claims_is_refused(trusting: Trusting, changed: dict[str, object], words: str) -> None:
    """The challenge says what is wrong."""
    answer = trusting.get(trusting.issuer.token("ES256", **changed))

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert words in answer.json()["detail"]


def test_a_token_of_another_organization_is_forbidden(trusting: Trusting) -> None:
    """A valid token of another organization is 403."""
    for org in ("other", None, ["house"]):
        answer = trusting.get(trusting.issuer.token("ES256", org=org))
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_a_token_with_the_read_scope_reads_and_changes_nothing(trusting: Trusting) -> None:
    """403 names the scope that is needed; without either scope, or for another organization, it reads nothing."""
    reading = trusting.issuer.token("ES256", scope="openid channels.read")
    headers = {"authorization": f"Bearer {reading}"}

    assert trusting.get(reading).status_code == 200
    assert trusting.daemon.http.head("/v1/channels", headers=headers).status_code == 200
    for method, path in (("POST", "/v1/channels"), ("DELETE", "/v1/channels/x"), ("POST", "/v1/channels/x/test")):
        answer = trusting.daemon.http.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        assert "channels.write" in answer.json()["detail"]
    assert trusting.get(trusting.issuer.token("ES256", scope="openid")).status_code == 403
    assert trusting.get(trusting.issuer.token("ES256", scope="channels.read", org="other")).status_code == 403


def part(content: object) -> str:
    """One part of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def signed_by_secret(header: dict[str, object], claims: dict[str, object], secret: bytes) -> str:
    """An HS256 token, made by hand because libraries refuse a public key as a secret."""
    signed = f"{part(header)}.{part(claims)}"
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def test_forgeries_are_refused(trusting: Trusting) -> None:
    """Tokens without a signature, signed with the public key as a secret, or with another key are refused."""
    issuer = trusting.issuer
    claims = issuer.claims()
    public = issuer.keys["RS256"][1].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    whole = issuer.token("RS256")
    head, body, signature = whole.split(".")
    forged = [
        f"{part({'alg': 'none', 'kid': 'RS256'})}.{part(claims)}.",
        f"{part({'alg': 'None', 'kid': 'RS256'})}.{part(claims)}.{signature}",
        signed_by_secret({"alg": "HS256", "kid": "RS256"}, claims, public),
        jwt.encode(claims, new_key("RS256"), "RS256", {"kid": "RS256"}),
        jwt.encode(claims, new_key("RS256"), "RS256"),
        jwt.encode(claims, issuer.keys["RS256"][1], "RS512", {"kid": "RS256"}),
        issuer.signed("ES256", {"kid": "RS256"}, claims),
        issuer.signed("ES256", {"crit": ["exp"]}, claims),
        f"{head}.{part({**claims, 'sub': 'root'})}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        "a.b.c",
        "x" * 20_000,
        f"{part([])}.{part(claims)}.{signature}",
        f"{part({'alg': ['RS256'], 'kid': {}})}.{part(claims)}.{signature}",
    ]
    for token in forged:
        answer = trusting.get(token)
        assert answer.status_code == 401, token
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_new_key_is_asked_for_but_invented_ones_do_not_hammer(tmp_path: Path) -> None:
    """A key that the provider added is accepted at once; unknown key ids cause at most two fetches a minute.

    Until the next fetch nobody knows whether such a key is new: the answer is 503, and a client tries again.
    """
    with Issuer() as issuer:
        issuer.add_key("old", "ES256")
        process = with_token(DaemonProcess(tmp_path / "state", issuer.settings()))
        try:
            trusting = Trusting(process.start(), issuer)
            issuer.add_key("new", "ES256")
            issuer.keys["later"] = "ES256", new_key("ES256")
            late = issuer.token("later")
            del issuer.keys["later"]
            assert trusting.get(issuer.token("new")).status_code == 200
            for _ in range(20):
                refused = trusting.get(late)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
            assert trusting.get(issuer.token("old")).status_code == 200
            assert trusting.get(issuer.signed("old", {"kid": "new"}, {"exp": 1})).status_code == 401
            assert issuer.asked == 1
        finally:
            process.close()


@pytest.mark.parametrize("answer", [b"", b'{"keys": []}', b"x" * 300_000, b'{"keys": [{"kty": "oct", "k": "AAAA"}]}'])
def test_a_provider_without_usable_keys_is_no_fault_of_the_tokens(tmp_path: Path, answer: bytes) -> None:
    """The answer is 503 with Retry-After, the log says why, and the daemon's own token is still accepted."""
    with Issuer() as issuer:
        issuer.add_key("k", "ES256")
        issuer.answer = answer
        process = with_token(DaemonProcess(tmp_path / "state", issuer.settings()))
        try:
            trusting = Trusting(process.start(), issuer)
            refused = trusting.get(issuer.token("k"))
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            wait_for(lambda: "jwks.unusable" in process.log.read_text(), "the log to say why")
            assert trusting.get(TOKEN).status_code == 200
        finally:
            process.close()


def test_keys_may_stand_in_a_file(tmp_path: Path) -> None:
    """Keys may come from a file instead of a URL; a file that cannot be used is an error at the start."""
    with Issuer() as issuer:
        issuer.add_key("k", "ES256")
        file = tmp_path / "jwks.json"
        settings = {**issuer.settings(), "PERSONAD_OIDC_JWKS_FILE": str(file)}
        del settings["PERSONAD_OIDC_JWKS_URL"]
        process = with_token(DaemonProcess(tmp_path / "state", settings))
        try:
            process.spawn()
            assert process.wait() == 64
            assert "oidc.jwks_file" in process.log.read_text()
            file.write_text(json.dumps(issuer.key_set()))
            assert Trusting(process.start(), issuer).get(issuer.token("k")).status_code == 200
        finally:
            process.close()
