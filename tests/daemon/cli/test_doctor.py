"""``personad doctor`` with a daemon, without one, and before its first start."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from daemon.cli.client import UnreachableError
from daemon.cli.doctor import Finding, _edits, _personas
from daemon.cli.kernel_walls import Report, in_words
from daemon.settings.settings import Settings
from tests.daemon.cli.command_line import personad
from tests.daemon_process import DaemonProcess


def findings(nowhere: dict[str, str]) -> dict[str, tuple[str, str]]:
    ended = personad(nowhere, "doctor", "--json")
    found = {one["check"]: (one["state"], one["words"]) for one in json.loads(ended.stdout)}
    assert ended.returncode == (1 if any(state == "fail" for state, _ in found.values()) else 0)
    return found


def test_doctor_finds_nothing_wrong_with_a_running_daemon(shared_daemon: DaemonProcess, eve: str) -> None:
    """Every check is in order; the text has a line for each."""
    ended = personad(shared_daemon, "doctor")

    assert ended.returncode == 0, ended.stdout
    assert "FAIL" not in ended.stdout
    assert f"pid {shared_daemon.pid}" in ended.stdout


def test_doctor_says_what_is_wrong_and_what_to_do(nowhere: dict[str, str], tmp_path: Path) -> None:
    """An open directory, a port in use, a broken record, an open token file and a missing key are each found."""
    state = tmp_path / "state"
    record = state / "personas" / "6c17c83c-3158-450d-8e43-0e7efea717c1" / "config.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"id": "6c17c83c-3158-450d-8e43-0e7efea717c1", "name": 7}')
    state.chmod(0o755)
    (tmp_path / "token").write_text("personad_" + "a" * 43)
    (tmp_path / "token").chmod(0o644)
    settings = Path(nowhere["HOME"]) / ".config/personad/personad.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[models.fast]\nname = "m"\napi_key_file = "/nowhere/at/all"\n')
    with socket.create_server(("127.0.0.1", int(nowhere["PERSONAD_HTTP_PORT"]))):
        found = findings({**nowhere, "PERSONAD_HTTP_TOKEN_FILE": str(tmp_path / "token")})

    assert found["state directory"][0] == "fail"
    assert f"chmod 700 {state}" in found["state directory"][1]
    assert found["port"][0] == "fail"
    assert "http.port" in found["port"][1]
    assert found["token"][0] == "fail"
    assert "chmod 600" in found["token"][1]
    assert found["accounts"][0] == "fail"
    assert "models.fast.api_key_file: /nowhere/at/all" in found["accounts"][1]
    state_of_record, words = found[f"persona {record.parent.name}"]
    assert state_of_record == "fail"
    assert str(record) in words
    assert "$.name" in words


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("null", "got `null`"),
        ('{"id": "%s", "name": "A", "thinking": {"name": "m", "provider": "opnai"}}', "$.thinking.provider"),
        (
            '{"id": "%s", "name": "A", "thinking": {"name": "m"}, "ear": {"name": "m", "provider": "x"}}',
            "$.ear.provider",
        ),
    ],
)
def test_doctor_refuses_the_records_that_the_daemon_refuses(tmp_path: Path, record: str, words: str) -> None:
    """A record that is null, or names a provider that does not exist, is a fault before the daemon reads it."""
    persona_id = "6c17c83c-3158-450d-8e43-0e7efea717c1"
    file = tmp_path / "personas" / persona_id / "config.json"
    file.parent.mkdir(parents=True)
    file.write_text(record.replace("%s", persona_id))
    file.chmod(0o600)
    settings = Settings(state_dir=tmp_path, runtime_dir=tmp_path)
    [found] = _personas(settings, UnreachableError("no daemon"))
    assert (found.state, str(file) in found.words, words in found.words) == ("fail", True, True)


@pytest.mark.parametrize(("count", "words"), [(1, "1 message was set aside"), (2, "2 messages were set aside")])
def test_doctor_counts_in_english(tmp_path: Path, count: int, words: str) -> None:
    """One message is one message."""
    settings = Settings(state_dir=tmp_path, runtime_dir=tmp_path)
    [found] = _personas(settings, {"personas": [{"name": "Eve", "status": "active", "poison": count}]})
    assert words in found.words


def test_doctor_before_the_first_start_only_warns(nowhere: dict[str, str]) -> None:
    """Nothing exists yet, and the checks create nothing."""
    found = findings(nowhere)

    assert found["daemon"][0] == "warn"
    assert found["state directory"][0] == "ok"
    assert not Path(nowhere["PERSONAD_STATE_DIR"]).exists()


def test_doctor_reports_settings_that_cannot_be_taken(nowhere: dict[str, str]) -> None:
    """The one check that can still be made fails with the setting's own error."""
    ended = personad({**nowhere, "PERSONAD_HTTP_PORT": "x"}, "doctor", "--json")

    assert ended.returncode == 1
    assert [one["check"] for one in json.loads(ended.stdout)] == ["settings"]


def test_doctor_says_what_the_kernel_lacks(nowhere: dict[str, str]) -> None:
    """It asks this kernel; an older one's gaps become one warning that says what to do."""
    state, words = findings(nowhere)["walls"]
    assert (state == "ok") == words.startswith("Landlock ")
    assert in_words(Report(6, [])) == (True, "Landlock 6 and seccomp close in every worker")
    assert in_words(Report(2, ["no ports; set http.token_file"])) == (False, "no ports; set http.token_file")
    assert in_words(None)[0] is False


def test_doctor_passes_on_the_limit_of_watches() -> None:
    """The limit is of the daemon's user, so the daemon says whether it is reached."""
    limit = "edits by hand are noticed only after 5 seconds: raise it with `sysctl fs.inotify.max_user_watches=524288`"
    assert _edits({"edits": limit}) == Finding("edits", "warn", limit)
    assert _edits({"edits": ""}).state == "ok"
    assert _edits(UnreachableError("nobody answers")).state == "ok"
