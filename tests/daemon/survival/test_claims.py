"""The resources that a daemon needs for itself, and what it says when it cannot have them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess

Launch = Callable[..., DaemonProcess]


def refused(daemon: DaemonProcess) -> tuple[int, str]:
    """The daemon's exit code and its one line of output."""
    daemon.spawn()
    code = daemon.wait()
    text = daemon.log.read_text()
    assert "Traceback" not in text
    assert len(text.splitlines()) == 1, text
    return code, text


def test_a_second_daemon(launch: Launch, tmp_path: Path) -> None:
    """A second daemon on the same state exits with 3 and names the first one's process, which continues undisturbed."""
    first = launch(tmp_path / "state")
    second = launch(tmp_path / "state", start=False, log=tmp_path / "second.log")
    code, text = refused(second)
    assert code == 3
    assert str(first.pid) in text
    assert first.http.get("/livez").status_code == 200
    first.kill()
    second.log.unlink()
    second.start().ready()


def test_a_port_in_use(launch: Launch) -> None:
    """The daemon exits with 69 and names the port; it does not take another port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        daemon = launch(start=False)
        daemon.port = taken.getsockname()[1]
        code, text = refused(daemon)
    assert code == 69
    assert str(daemon.port) in text


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("PERSONAD_HTTP_PORT", "many"),
        ("PERSONAD_HTTP_PROT", "5000"),
        ("PERSONAD_HTTP_HOST", "0.0.0.0"),
        ("PERSONAD_SUPERVISOR_BACKOFF_MIN", "1000"),
    ],
)
def test_a_bad_setting(launch: Launch, setting: str, value: str) -> None:
    """The daemon exits with 64 and names the setting, before anything is touched."""
    daemon = launch(start=False)
    daemon.settings[setting] = value
    code, text = refused(daemon)
    assert code == 64
    assert setting in text
    assert not daemon.state_dir.exists()


@pytest.mark.parametrize("place", ["/proc/personad", "/dev/null/personad"])
def test_a_state_dir_that_cannot_be(launch: Launch, tmp_path: Path, place: str) -> None:
    """If the directory cannot be made, the daemon says so in one line that names it."""
    daemon = launch(Path(place), start=False, log=tmp_path / "daemon.log")
    code, text = refused(daemon)
    assert code == 64
    assert place in text


def test_a_state_dir_of_another_user(launch: Launch, tmp_path: Path) -> None:
    """A state directory of another user is refused."""
    state = tmp_path / "state"
    state.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    os.chown(state, 12345, 12345)
    code, text = refused(launch(state, start=False))
    assert code == 64
    assert "belongs to another user" in text
