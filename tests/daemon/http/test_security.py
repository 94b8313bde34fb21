"""The outermost layer refuses every foreign Host, every foreign Origin and, with a token, everyone without it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.daemon_process import DaemonProcess, wait_for
from tests.patience import PATIENCE

TOKEN = "personad_abcdefghijklmnopqrstuvwxyz0123456789"


def raw(front: DaemonProcess, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back."""
    with socket.create_connection(("127.0.0.1", front.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
        return answer


def ask(front: DaemonProcess, *headers: str, path: str = "/livez") -> int:
    """The status that a request with exactly these headers gets."""
    lines = [f"GET {path} HTTP/1.1", *headers, "Connection: close", "", ""]
    return int(raw(front, "\r\n".join(lines).encode("latin-1")).split(b" ", 2)[1])


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:5000", "LOCALHOST", "127.0.0.1:{port}", "127.0.0.1", "[::1]", "[::1]:5000", "[0:0::1]:80"],
)
def test_hosts_of_the_loopback_are_answered(front: DaemonProcess, host: str) -> None:
    """Every spelling of this machine is answered on any port, since a tunnel may change it."""
    assert ask(front, "Host: " + host.format(port=front.port)) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "127.evil.com",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "localhost@evil.com",
        "evil.com:5000",
        "[::1].evil.com",
        "[::1",
        "::1",
        "[::2]",
        "127.0.0.2",
        "0x7f.1",
        "2130706433",
        "localhost:port",
        "localhost:999999",
        "localhost:80:80",
        "localhost, evil.com",
        "",
        "127.0.0.1#",
        "localhost/",
    ],
)
def test_foreign_hosts_are_refused(front: DaemonProcess, host: str) -> None:
    """Whatever name a page has pointed at this machine gives it away."""
    assert ask(front, f"Host: {host}") == 403


def test_missing_or_double_host_is_refused(front: DaemonProcess) -> None:
    """No Host and two of them are refused, on every path, known or not."""
    assert ask(front) == 403
    assert ask(front, "Host: localhost", "Host: evil.com") == 403
    assert ask(front, "Host: evil.com", "Host: localhost") == 403
    for path in ("/", "/nothing", "/api/personas", "/API/PERSONAS", "/api%2Fpersonas", "//api/personas", "/metrics"):
        assert ask(front, "Host: evil.com", path=path) == 403


def test_refusal_says_what_to_do(front: DaemonProcess) -> None:
    """The detail names the setting."""
    answer = front.http.get("/livez", headers={"host": "nas.local"})
    assert answer.status_code == 403
    assert "http.allowed_hosts" in answer.json()["detail"]


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.com",
        "null",
        "http://localhost",
        "http://localhost:1",
        "https://localhost:{port}",
        "http://localhost:{port}/",
        "http://localhost:{port}.evil.com",
        "http://user@localhost:{port}",
        "http://127.0.0.1:{port}",
        "file://",
        "",
    ],
)
def test_foreign_origins_are_refused(front: DaemonProcess, origin: str) -> None:
    """An Origin that is not this request's own scheme, host and port is refused for requests and sockets."""
    origin = origin.format(port=front.port)
    assert ask(front, f"Host: localhost:{front.port}", f"Origin: {origin}") == 403
    handshake = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    handshake.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    lines = ["GET /ws/system HTTP/1.1", f"Host: localhost:{front.port}", f"Origin: {origin}", *handshake, "", ""]
    assert raw(front, "\r\n".join(lines).encode()).split(b" ", 2)[1] == b"403"


def test_own_origin_is_welcome(front: DaemonProcess) -> None:
    """A page of the daemon's own address may use it; so may one behind the default port."""
    assert ask(front, f"Host: localhost:{front.port}", f"Origin: http://localhost:{front.port}") == 200
    assert ask(front, f"Host: [::1]:{front.port}", f"Origin: http://[::1]:{front.port}") == 200
    assert ask(front, "Host: localhost", "Origin: http://localhost:80") == 200
    with front.socket("/ws/system", origin=f"http://127.0.0.1:{front.port}"):
        pass


def test_every_answer_has_the_headers(front: DaemonProcess) -> None:
    """Errors, refusals and successes alike tell browsers that they are no page."""
    answers = [front.http.get(path) for path in ("/livez", "/nothing", "/openapi.json")]
    answers.append(front.http.get("/livez", headers={"host": "evil.com"}))
    answers.append(front.http.post("/api/persona/x/read", content=b"{"))
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def test_allowed_hosts(tmp_path: Path) -> None:
    """A name that the operator allows is answered, on any port."""
    daemon = DaemonProcess(tmp_path / "state", {"PERSONAD_HTTP_ALLOWED_HOSTS": "nas.local,fd00::1"})
    try:
        daemon.start()
        assert ask(daemon, "Host: NAS.local:80") == 200
        assert ask(daemon, "Host: [fd00:0::1]") == 200
        assert ask(daemon, "Host: other.local") == 403
    finally:
        daemon.close()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon that needs a token."""
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    process = DaemonProcess(tmp_path / "state", {"PERSONAD_HTTP_TOKEN_FILE": str(file)})
    process.token = TOKEN
    try:
        yield process.start()
    finally:
        process.close()


def refused(daemon: DaemonProcess, path: str = "/ws/system", *offered: str, origin: str | None = None) -> int:
    """The status that a handshake without an Authorization header gets."""
    with pytest.raises(InvalidStatus) as refusal:
        daemon.socket(path, token="", subprotocols=offered, origin=origin)
    status: int = refusal.value.response.status_code
    return status


def test_token_is_needed_everywhere(locked: DaemonProcess) -> None:
    """Without the token every path, known or not, is 401 with the way to authenticate; with it, all is as ever."""
    paths = ["/", "/livez", "/readyz", "/metrics", "/api/personas", "/openapi.json", "/nothing", "/api%2Fpersonas"]
    for path in paths:
        answer = locked.http.get(path, headers={"authorization": ""})
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "personad token" in answer.json()["detail"]
    assert locked.http.get("/api/personas").status_code == 200
    assert locked.http.get("/api/personas", headers={"host": "my.server.example"}).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer x", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é"],
)
def test_wrong_tokens(locked: DaemonProcess, header: str) -> None:
    """Presence is not validity."""
    assert ask(locked, "Host: localhost", f"Authorization: {header}") == 401


def test_token_in_a_url_is_none(locked: DaemonProcess) -> None:
    """A token in a URL ends in logs: it is never looked at."""
    assert ask(locked, "Host: localhost", path=f"/livez?token={TOKEN}&access_token={TOKEN}") == 401
    assert refused(locked, f"/ws/system?token={TOKEN}") == 401


def test_two_authorizations_are_none(locked: DaemonProcess) -> None:
    """Who sends two tokens has not said which is meant."""
    right, wrong = f"Authorization: Bearer {TOKEN}", "Authorization: Bearer x"
    assert ask(locked, "Host: localhost", right) == 200
    assert ask(locked, "Host: localhost", right, wrong) == 401
    assert ask(locked, "Host: localhost", wrong, right) == 401


def test_socket_with_a_token(locked: DaemonProcess) -> None:
    """A socket takes the token as a header or as a subprotocol, which is never echoed; the Origin still counts."""
    with locked.socket("/ws/system"):
        pass
    offered = ("personad.v1", f"bearer.{TOKEN}")
    with locked.socket("/ws/system", token="", subprotocols=offered) as connection:
        assert connection.subprotocol == "personad.v1"
    assert refused(locked) == 401
    assert refused(locked, "/ws/system", "personad.v1") == 401
    assert refused(locked, "/ws/system", "personad.v1", "bearer.wrong") == 401
    assert refused(locked, "/ws/system", *offered, origin="http://evil.com") == 403


def test_revoked_token(locked: DaemonProcess) -> None:
    """A token taken out of the file lets nobody in any more, without a restart, and closes the sockets it opened."""
    file = Path(locked.settings["PERSONAD_HTTP_TOKEN_FILE"])
    with locked.socket("/ws/system") as connection:
        file.write_text("personad_another_token_of_some_length\n")
        wait_for(lambda: locked.http.get("/livez").status_code == 401, "the token to be revoked")
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


def test_broken_token_file_lets_nobody_in(locked: DaemonProcess) -> None:
    """A token file that can no longer be read means 401 for all, and the log says why."""
    file = Path(locked.settings["PERSONAD_HTTP_TOKEN_FILE"])
    file.unlink()
    wait_for(lambda: locked.http.get("/livez").status_code == 401, "the tokens to be gone")
    wait_for(lambda: "tokens.unusable" in locked.log.read_text(), "the log to say so")
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    wait_for(lambda: locked.http.get("/livez").status_code == 200, "the token to be back")


def test_no_token_is_logged(locked: DaemonProcess) -> None:
    """Neither a right token nor a wrong one is in the log."""
    locked.http.get("/api/personas")
    ask(locked, "Host: localhost", f"Authorization: Bearer {TOKEN}wrong")
    ask(locked, "Host: localhost", path=f"/livez?token={TOKEN}")
    assert refused(locked, "/ws/system") == 401
    locked.stop()
    log = locked.log.read_text()
    assert TOKEN not in log
    assert log.count('"event":"tokens.refused"') == 1
    # A refused handshake is no error of the daemon.
    assert '"level":"error"' not in log


def test_malformed_http(front: DaemonProcess) -> None:
    """What is no HTTP is 400 and ends the connection; the daemon goes on."""
    for request in (b"\x16\x03\x01\x00\xa5\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
        assert raw(front, request).startswith(b"HTTP/1.1 400")
    both = (
        b"POST /api/persona/x/read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"
    )
    assert raw(front, both + b"Connection: close\r\n\r\n{}").startswith(b"HTTP/1.1 400")
    assert json.loads(front.http.get("/livez").text) == {"status": "alive"}
