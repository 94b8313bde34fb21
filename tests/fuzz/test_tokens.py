"""Who may come in, and what the operator writes: web tokens, keys, claims, files of tokens and settings, arguments."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.api.v1.claims import found_at, missing
from daemon.api.v1.jwks import ALGORITHMS, KeysUnavailable, usable
from daemon.api.v1.jwt_tokens import JwtRefused, JwtVerifier
from daemon.cli.main import main
from daemon.http.tokens import TokenError, read_tokens
from daemon.logging.log import Log, Sink, worker_line
from daemon.settings.sections import Logs, Oidc
from daemon.settings.settings import SettingsError, load
from tests.fuzz.strategies import (
    SECRET,
    base64url,
    bent,
    caught,
    documents,
    json_values,
    objects,
    outcome,
    words,
    written,
)

LOG: Final = Log(Sink(Logs(), os.open(os.devnull, os.O_WRONLY), terminal=False))
TELEGRAM: Final = "123456789:" + "A" * 35

KEY: Final = generate_private_key(SECP256R1())
JWK: Final = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))

_jwk = objects(
    {
        "kty": st.sampled_from(["EC", "RSA", "OKP", "oct"]),
        "crv": st.sampled_from(["P-256", "P-521", "secp256k1", "Ed25519", "X25519"]),
        "alg": st.sampled_from([*ALGORITHMS, "HS256", "none"]),
        "use": st.sampled_from(["sig", "enc"]),
        "kid": words,
        **dict.fromkeys(("x", "y", "n", "e", "k", "d"), words | st.binary(max_size=70).map(base64url)),
    }
)


@given(documents | objects({"keys": st.lists(_jwk, max_size=3)}).map(written))
@example(written({"keys": [{**JWK, "crv": []}, {**JWK, "alg": ["ES256"]}, {**JWK, "x": 5}, 7]}))
@example(written({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS256", "oth": 1, "d": "AQAB"}]}))
@example(written({"keys": [{"kty": "oct"}]}))
@example(written({"keys": [{"kty": "E", "alg": "none"}]}))
def test_keys(document: bytes) -> None:
    """A set of keys, whatever it holds: those that may sign, or KeysUnavailable."""
    found: list[object] = []
    outcome(lambda: found.extend(usable(document)), KeysUnavailable)
    assert all(getattr(key, "algorithm_name", "") in ALGORITHMS for key in found)


_claims = objects(
    {"iss": st.just("https://issuer") | words, "aud": st.just("us") | words, "exp": st.just(10**12), "scope": words}
)
_header = objects({"alg": st.just("ES256") | words, "kid": st.just("1") | words, "typ": words, "crit": st.lists(words)})
_tokens = st.one_of(
    words,
    st.tuples(_header | json_values, _claims | json_values).map(
        lambda pair: f"{base64url(written(pair[0]))}.{base64url(written(pair[1]))}.AAAA"
    ),
    bent(_claims.map(lambda claims: _signed(written(claims)))).map(lambda token: token.decode("latin-1")),
)


def _signed(claims: bytes, **header: str) -> bytes:
    """A web token with these claims, truly signed by the issuer."""
    return jwt.PyJWS().encode(claims, KEY, "ES256", {"kid": "1", **header}).encode()


@functools.cache
def verifier() -> JwtVerifier:
    """One that knows the issuer's key; it has threads of its own."""
    with private(written({"keys": [{**JWK, "kid": "1", "alg": "ES256"}]})) as file:
        oidc = Oidc(issuer="https://issuer", audience="us", jwks_file=str(file), required_scope="talk")
        return JwtVerifier(oidc, "", LOG)


@given(_tokens)
@example(base64url(b'{"alg":' + b"[" * 11_000) + ".e30.AAAA")
@example(_signed(b"[" * 11_000).decode())
@example(_signed(b'{"exp": 1e400, "iss": 1, "aud": [[]]}').decode())
@example(_signed(b'{"exp": ' + b"9" * 5000 + b', "iss": "https://issuer", "aud": "us"}').decode())
@example(
    _signed(b'{"exp": 99999999999999999999, "iat": "x", "nbf": [], "iss": "https://issuer", "aud": "us"}').decode()
)
@example(_signed(b'"\\ud83d"').decode())
def test_web_tokens(token: str) -> None:
    """A token is refused in words, never with another error; only the issuer's key opens."""
    # As a header brings it.
    given = token.encode("latin-1", "replace").decode("latin-1")
    said = caught(lambda: asyncio.run(verifier().check(given)), JwtRefused, KeysUnavailable)
    assert said is not None
    assert len(str(said)) < 500


@given(json_values, st.lists(words, min_size=1, max_size=3).map(".".join))
def test_claims(claims: object, path: str) -> None:
    """A claim is found where its path leads, whatever stands there."""
    if isinstance(claims, dict):
        found_at(claims, path)
        missing(Oidc(organization_claim=path, required_role=path, required_scope=path), "org", claims)
        assert found_at({path: 1}, path) == 1


@contextlib.contextmanager
def private(data: bytes) -> Iterator[Path]:
    """A file that only this user may read."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield Path(file.name)


@given(st.lists(st.binary(max_size=40) | words.map(lambda one: one.encode("utf-8", "surrogatepass")), max_size=5))
@example([b"read:" + SECRET.encode() + b" x"])
@example([SECRET.encode()[:10]])
def test_token_files(lines: list[bytes]) -> None:
    """A file of tokens is read, or its fault is named by line without a word of it."""
    with private(b"\n".join(lines)) as file:
        assert SECRET[:10] not in outcome(lambda: read_tokens(file), TokenError)


_keys = st.sampled_from(
    ["http", "limits", "oidc", "state_dir", "host", "port", "token_file", "models", "accounts", "x"]
)
_tables = st.recursive(
    st.integers() | st.booleans() | st.text(st.characters(codec="utf-8"), max_size=20).map(json.dumps),
    lambda inner: st.lists(inner, max_size=3).map(lambda some: "[" + ", ".join(map(str, some)) + "]"),
    max_leaves=4,
)
_toml = st.lists(
    st.one_of(
        _keys.map(lambda name: f"[{name}]"),
        st.tuples(_keys, _tables).map(lambda pair: f"{pair[0]} = {pair[1]}"),
        st.tuples(_keys, _keys).map(lambda pair: f"[{pair[0]}.{pair[1]}]"),
        st.text(max_size=20),
    ),
    max_size=6,
).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass"))


@given(_toml | documents)
@example(b"x = " + b"[" * 60_000)
@example(b"x = " + b"{a=" * 10_000)
@example(b"x = 9" + b"9" * 5000)
@example(b"x = 9999-99-99")
@example(b"models = 5")
@example(b"[models]\nx = 5")
@example(b"[accounts.x]\ntype = []")
def test_settings(document: bytes) -> None:
    """A settings file is read, or its fault is named."""
    with private(document) as file:
        said = outcome(lambda: load(file, {"HOME": "/nonexistent", "XDG_STATE_HOME": "/nonexistent"}), SettingsError)
    assert len(said) < 2000


_variables = st.sampled_from(["PERSONAD_HTTP_PORT", "PERSONAD_STATE_DIR", "PERSONAD_MODELS_X", "PERSONAD_X"])


def _of_a_process(text: str) -> str:
    """The text as an environment can hold it: any bytes but NUL."""
    return text.replace("\0", "").encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")


@given(st.dictionaries(_variables, words.map(_of_a_process), max_size=4))
@example({"PERSONAD_HTTP_PORT": "\udcff"})
def test_environments(environ: dict[str, str]) -> None:
    """So are the variables."""
    outcome(lambda: load(None, {"HOME": "/nonexistent", "XDG_CONFIG_HOME": "/nonexistent", **environ}), SettingsError)


_arguments = st.sampled_from(
    [
        *("list", "chat", "organ", "logs", "feed", "channel", "add", "token", "--help", "--json", "--url", "-n"),
        *("--timeout", "--follow", "Adam", "--source", "chatgpt", "--config", "/nonexistent", "create", "--version"),
    ]
)


@given(st.lists(_arguments | words.filter(lambda one: "\0" not in one and one != "--"), max_size=5))
@example(["logs", "Adam", "-n", "\u00b2"])
@example(["--url", "http://["])
def test_arguments(arguments: list[str]) -> None:
    """A command line that is none ends with the usage, before anything is done or asked."""
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        code = caught(lambda: main([*arguments, "--no-such-option", "x"]), SystemExit, argparse.ArgumentError)
    assert isinstance(code, SystemExit)
    assert code.code in (0, 2)
    assert "Traceback" not in said.getvalue()


_fields = st.dictionaries(
    st.sampled_from(["event", "level", "time", "persona", "token", "text", "Bad Name"]), json_values
)


@given(_fields.map(written) | documents, words)
@example(b'{"event": "a.b", "text": "' + TELEGRAM.encode() + b'"}', "")
@example(b'{"event": "a.b", "token": "' + SECRET.encode() + b'"}', "")
@example(b'{"event": "a.b", "n": 1e999}', "")
@example(b'{"event": "a.b", "n": ' + b"9" * 5000 + b"}", "")
@example(b'{"event": "a.b", "text": "\\ud83d"}', "")
def test_lines_of_workers(line: bytes, text: str) -> None:
    """Any line is one event at most, under her name, without a token and on one line."""
    worker_line(LOG.bind(persona="p1"), line + f" bot{TELEGRAM} {text}".encode("utf-8", "surrogatepass"))
    for event in LOG.tail.last(1):
        assert TELEGRAM.encode() not in event
        assert json.loads(event)["persona"] == "p1"
        assert b"\n" not in event.rstrip(b"\n")
        event.decode()
