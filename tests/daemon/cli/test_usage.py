"""What all commands have in common: no daemon, wrong usage, settings, and the daemon's address."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from daemon.cli.main import main
from tests.daemon.cli.command_line import ROOT, command, personad
from tests.daemon_process import DaemonProcess
from tests.patience import PATIENCE

VERBS = [
    ["create", "Adam"],
    ["list"],
    ["start", "Adam"],
    ["stop", "Adam"],
    ["restart", "Adam"],
    ["delete", "Adam", "--yes"],
    ["chat", "Adam"],
    ["logs"],
    ["logs", "-f"],
    ["status"],
    ["channel", "list", "Adam"],
    ["pair", "Adam", "CODE"],
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_without_a_daemon_every_client_says_how_to_start_it(nowhere: dict[str, str], verb: list[str]) -> None:
    """Exit 69 and one line."""
    ended = personad(nowhere, *verb)

    assert ended.returncode == 69
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert "Connection refused" in ended.stderr
    assert "personad serve" in ended.stderr


def test_another_server_on_the_port_is_not_taken_for_a_daemon(nowhere: dict[str, str]) -> None:
    """Another server that answers, or one that never does, is exit 69 and is reported as such."""
    with socket.create_server(("127.0.0.1", int(nowhere["PERSONAD_HTTP_PORT"]))) as stranger:
        process = subprocess.Popen(
            command("status"), cwd=ROOT, env=nowhere, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        connection, _ = stranger.accept()
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
        connection.close()
        _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 69
    assert "is not personad" in error


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["start"], ["create"], ["logs", "-n", "many"], ["chat", "Adam", "--timeout", "0"], ["list", "extra"]],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(nowhere: dict[str, str], arguments: list[str]) -> None:
    """argparse prints usage and an error; no request is sent."""
    ended = personad(nowhere, *arguments)

    assert ended.returncode == 2
    assert "usage: personad" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        *(
            (["retry", "Adam", text], "MESSAGE: must be a message's number, which `personad status` shows")
            for text in ("x", "0", "-1", "1.5", "9" * 19, "9" * 5000, "\N{FULLWIDTH DIGIT ONE}")
        ),
        *(
            (["chat", "Adam", "--timeout", text], "must be a number of seconds, more than 0 and at most 86400")
            for text in ("soon", "nan", "inf", "-1", "86401")
        ),
        *(
            (["logs", "-n", text], "must be a whole number from 0 to 100000")
            for text in ("many", "1e3", "-1", "100001")
        ),
    ],
)
def test_a_number_that_cannot_be_taken(arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says which numbers can be, both ends, and names nothing of the code."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert wanted in error or "expected one argument" in error or "unrecognized arguments: -1" in error
    assert "value" not in error


@pytest.mark.parametrize("verb", ["serve", "status", "list"])
def test_settings_that_cannot_be_taken_are_exit_64(nowhere: dict[str, str], tmp_path: Path, verb: str) -> None:
    """One line names the file and the key, and nothing is changed."""
    (tmp_path / "bad.toml").write_text("[http]\nprot = 1\n")
    ended = personad(nowhere, verb, "--config", str(tmp_path / "bad.toml"))

    assert ended.returncode == 64
    assert ended.stderr == f"personad: {tmp_path}/bad.toml: unknown setting 'http.prot'; did you mean http.port?\n"
    assert not (tmp_path / "state").exists()


def test_config_may_stand_before_or_after_the_verb(shared_daemon: DaemonProcess, tmp_path: Path) -> None:
    """``personad --config FILE list`` and ``personad list --config FILE`` are the same."""
    (tmp_path / "good.toml").write_text(f"[http]\nport = {shared_daemon.port}\n")
    environ = {name: value for name, value in shared_daemon.environ().items() if name != "PERSONAD_HTTP_PORT"}
    config = ["--config", str(tmp_path / "good.toml")]

    assert personad(environ, *config, "list").returncode == 0
    assert personad(environ, "list", *config).returncode == 0


def test_url_overrides_the_settings(shared_daemon: DaemonProcess, nowhere: dict[str, str]) -> None:
    """A daemon elsewhere is reached with --url."""
    assert personad(nowhere, "list", "--url", shared_daemon.url).returncode == 0
    assert personad(nowhere, "--url", shared_daemon.url + "/", "status").returncode == 0
    assert personad(nowhere, "list", "--url", "nonsense").returncode == 69
