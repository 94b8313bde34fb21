"""``personad token``, and commands for a daemon that requires one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.daemon.cli.command_line import personad
from tests.daemon_process import DaemonProcess, wait_for


def test_a_token_is_made_needed_and_used(tmp_path: Path) -> None:
    """token prints it once. With it in the settings every verb works; without it every verb is refused."""
    daemon = DaemonProcess(tmp_path / "state")
    try:
        made = personad(daemon, "token")
        file = tmp_path / "state" / "token"
        token = made.stdout.strip()
        assert token.startswith("personad_")
        assert token not in made.stderr
        assert str(file) in made.stderr
        assert file.read_text() == token + "\n"
        assert file.stat().st_mode & 0o777 == 0o600

        without = daemon.environ()
        daemon.settings["PERSONAD_HTTP_TOKEN_FILE"] = str(file)
        daemon.token = token
        daemon.start()
        refused = personad(without, "status")
        assert refused.returncode == 1
        assert "token" in refused.stderr
        assert personad(without, "status", PERSONAD_TOKEN=token).returncode == 0
        assert personad(daemon, "status").returncode == 0
        second = json.loads(personad(daemon, "token", "--json").stdout)["token"]
        wait_for(lambda: personad(without, "status", PERSONAD_TOKEN=second).returncode == 0, "the new token to count")
        reader = personad(daemon, "token", "--read-only")
        assert "changes nothing" in reader.stderr
        reading = reader.stdout.strip()
        assert f"read-only {reading}\n" in file.read_text()
        wait_for(lambda: personad(without, "status", PERSONAD_TOKEN=reading).returncode == 0, "the reader to count")
        forbidden = personad(without, "restore", str(file), PERSONAD_TOKEN=reading)
        assert forbidden.returncode == 1
        assert "may only read" in forbidden.stderr
        assert f"3 in {file}, 1 of them read-only" in personad(daemon, "doctor").stdout
        assert token not in daemon.log.read_text()
    finally:
        daemon.close()


def test_doctor_says_when_nobody_may_change_anything(nowhere: dict[str, str], tmp_path: Path) -> None:
    """A file with read-only tokens alone is in order, but hardly meant."""
    file = tmp_path / "token"
    personad(nowhere, "token", "--read-only", "--file", str(file))

    found = personad({**nowhere, "PERSONAD_HTTP_TOKEN_FILE": str(file)}, "doctor", "--json").stdout

    token = next(one for one in json.loads(found) if one["check"] == "token")
    assert token["state"] == "warn"
    assert "nobody can change anything" in token["words"]


def test_a_token_can_be_made_for_a_host_that_needs_one(nowhere: dict[str, str], tmp_path: Path) -> None:
    """A token can be made although the settings are invalid only because there is none."""
    open_host = {**nowhere, "PERSONAD_HTTP_HOST": "0.0.0.0"}

    assert personad(open_host, "serve").returncode == 64
    assert personad(open_host, "token", "--file", str(tmp_path / "token")).returncode == 0
    assert (tmp_path / "token").exists()
