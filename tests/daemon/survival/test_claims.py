"""The resources that a daemon needs for itself, and what it says when it cannot have them."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from daemon.ledger.known import LEDGER_NAME
from daemon.ledger.schema import open_writer
from proto.records import Organ, Persona, to_json
from proto.secrets import Secret
from tests.daemon.cli.command_line import personad
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


def test_an_orderly_stop_leaves_no_runtime_directory(launch: Launch) -> None:
    """It is made at the start, often below /tmp, and removed when nothing runs in it any more."""
    daemon = launch()
    assert daemon.runtime_dir.is_dir()
    assert daemon.stop() == 0
    assert not daemon.runtime_dir.exists()


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


def test_a_ledger_that_is_held_by_another_program(launch: Launch, tmp_path: Path) -> None:
    """A lock passes: the daemon exits with 75, after which systemd tries again, and then it starts."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with closing(open_writer(state / LEDGER_NAME)) as other:
        other.execute("BEGIN EXCLUSIVE")
        daemon = launch(state, start=False)
        code, text = refused(daemon)
        assert code == 75
        assert "another program holds" in text
    daemon.start().ready()


def test_a_ledger_that_is_lost(launch: Launch, tmp_path: Path) -> None:
    """The daemon exits with 65, which systemd does not retry, until the loss is accepted; doctor says the same."""
    state = tmp_path / "state"
    eve = Persona(str(uuid.uuid4()), "Eve", Organ("m", "openai", Secret("k")), status="hibernate")
    memory = state / "personas" / eve.id / "memory"
    memory.mkdir(parents=True)
    state.chmod(0o700)
    (memory / "person.md").write_text("- Name: Ada")
    (memory.parent / "config.json").write_bytes(to_json(eve))
    daemon = launch(state, start=False)
    code, text = refused(daemon)
    assert code == 65
    assert all(words in text for words in (str(state / LEDGER_NAME), "is missing", "--accept-loss"))
    assert not (state / LEDGER_NAME).exists()
    doctor = personad(daemon, "doctor")
    assert doctor.returncode == 1
    assert f"FAIL  ledger: {state / LEDGER_NAME} is missing" in doctor.stdout
    daemon.arguments = ["--accept-loss"]
    daemon.start().ready()
    logged = personad(daemon, "logs", "--json", "-n", "100").stdout
    [accepted] = [json.loads(line) for line in logged.splitlines() if "ledger.loss_accepted" in line]
    assert (accepted["file"], accepted["reason"]) == (str(state / LEDGER_NAME), "is missing")
    assert (accepted["spoken"], accepted["known"], accepted["left"]) == (1, None, 0)
    assert daemon.stop() == 0
    daemon.arguments = []
    daemon.start().ready()
    assert "ok    ledger" in personad(daemon, "doctor").stdout
