"""/v1 needs a bearer token, and every refusal is a problem document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.daemon.api.v1.reception import TOKEN
from tests.daemon_process import DaemonProcess, wait_for

PATHS = ("/v1/channels", "/v1/channels/0123456789abcdef", "/v1", "/v1/", "/v1/nothing", "/v1%2Fchannels")


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The problem document of a refusal; asserts its form."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    assert found["type"] == "about:blank"
    assert found["status"] == answer.status_code
    assert found["title"]
    assert found["detail"].endswith(".")
    return found


def ask(front: DaemonProcess, path: str = "/v1/channels", *headers: tuple[str, str], method: str = "GET") -> Any:
    """The answer to a request with exactly these headers."""
    with httpx.Client(base_url=front.url, trust_env=False) as client:
        return client.request(method, path, headers=list(headers))


@pytest.mark.parametrize("path", PATHS)
def test_no_path_is_open_without_a_token(front: DaemonProcess, path: str) -> None:
    """That holds on the loopback and for unknown paths; without a token only the realm is given (RFC 6750, 3)."""
    answer = ask(front, path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="personad"'
    assert "personad token" in problem(answer)["detail"]


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ([("Authorization", f"Bearer {TOKEN[:-1]}")], 401, "invalid_token"),
        ([("Authorization", f"Bearer {TOKEN}x")], 401, "invalid_token"),
        ([("Authorization", f"Basic {TOKEN}")], 401, ""),
        ([("Authorization", TOKEN)], 401, ""),
        ([("Authorization", "Bearer")], 400, "invalid_request"),
        ([("Authorization", f"Bearer {TOKEN} {TOKEN}")], 400, "invalid_request"),
        ([("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")], 400, "invalid_request"),
        ([("Cookie", f"token={TOKEN}")], 401, ""),
    ],
)
def test_a_wrong_token_is_told_what_is_wrong(
    front: DaemonProcess, headers: list[tuple[str, str]], status: int, error: str
) -> None:
    """The challenge has the error and its description; the token is not repeated."""
    answer = ask(front, "/v1/channels", *headers)

    assert answer.status_code == status
    challenge = answer.headers["www-authenticate"]
    assert (f'error="{error}", error_description="' in challenge) == bool(error)
    assert TOKEN not in answer.text + challenge
    problem(answer)


def test_the_token_opens_v1_and_api_stays_as_it_was(front: DaemonProcess) -> None:
    """The scheme's letter case does not matter (RFC 9110, 11.1); /api on the loopback needs no token."""
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert ask(front, "/v1/channels", ("Authorization", f"{scheme} {TOKEN}")).status_code == 200
    assert ask(front, "/api/personas").status_code == 200
    assert ask(front, f"/v1/channels?access_token={TOKEN}").status_code == 401


def test_a_proxy_may_call_it_by_any_name(front: DaemonProcess) -> None:
    """A token is always needed here, so Host is not checked; /api still checks it."""
    token, host = ("Authorization", f"Bearer {TOKEN}"), ("Host", "personad.example")

    assert ask(front, "/v1/channels", token, host).status_code == 200
    assert ask(front, "/v1/channels", host).status_code == 401
    assert ask(front, "/api/personas", token, host).status_code == 403


def test_a_foreign_page_is_refused_with_a_problem(front: DaemonProcess) -> None:
    """A page of another origin is refused even with a token."""
    answer = ask(front, "/v1/channels", ("Authorization", f"Bearer {TOKEN}"), ("Origin", "http://evil.example"))

    assert answer.status_code == 403
    problem(answer)


def test_a_token_made_later_opens_at_once_and_a_revoked_one_no_more(tmp_path: Path) -> None:
    """Without any token the refusal says how to make one; `personad token` works without a restart."""
    daemon = DaemonProcess(tmp_path / "state")
    try:
        daemon.start()
        answer = daemon.http.get("/v1/channels")
        assert answer.status_code == 401
        assert "There is no token yet: make one with `personad token`" in problem(answer)["detail"]
        file = daemon.state_dir / "token"
        file.write_text(TOKEN)
        file.chmod(0o600)
        headers = {"authorization": f"Bearer {TOKEN}"}
        wait_for(lambda: daemon.http.get("/v1/channels", headers=headers).status_code == 200, "the token to count")
        file.unlink()
        wait_for(lambda: daemon.http.get("/v1/channels", headers=headers).status_code == 401, "the token to be void")
        assert "tokens.unusable" not in daemon.log.read_text()
    finally:
        daemon.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/channels/", 404),
        ("GET", "/v1/channels/0123456789abcdef", 404),
        ("DELETE", "/v1/channels/0123456789abcdef", 404),
        ("POST", "/v1/channels/0123456789abcdef/pause", 404),
        ("POST", "/v1/channels/0123456789abcdef/resume", 404),
        ("POST", "/v1/channels/0123456789abcdef/test", 404),
        ("GET", "/v1/channels/0123456789abcdef/conversations", 404),
        ("GET", "/v1/channels/x/conversations/y/messages", 404),
        ("PUT", "/v1/channels", 405),
        ("POST", "/v1/channels/x", 405),
        ("GET", "/v1/channels/x/pause", 405),
    ],
)
def test_what_is_not_there_is_a_problem(front: DaemonProcess, method: str, path: str, status: int) -> None:
    """Unknown paths and channels are 404; 405 names in Allow all methods that the resource has."""
    answer = front.http.request(method, path)

    assert answer.status_code == status
    problem(answer)
    if path == "/v1/channels":
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_a_body_that_is_too_large_is_a_problem(front: DaemonProcess) -> None:
    """It is refused with 413, whether its length is declared or counted."""
    declared = front.http.post("/v1/channels", content=b"x" * 1_048_577)
    counted = front.http.post("/v1/channels", content=iter([b"x" * 1_048_577]))

    for answer in (declared, counted):
        assert answer.status_code == 413
        assert "http.max_body" in problem(answer)["detail"]
