"""``personad export`` and ``personad restore``."""

from __future__ import annotations

import json
import stat
import zipfile
from contextlib import closing
from pathlib import Path

from tests.daemon.cli.command_line import personad
from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator


def test_a_persona_moves_to_another_machine(shared_daemon: DaemonProcess, eve: str, tmp_path: Path) -> None:
    """Her archive is private to the owner, replaces nothing unasked, and restores her where she does not exist."""
    file = tmp_path / "eve.zip"
    (shared_daemon.state_dir / "personas" / eve / "memory" / "person.md").write_text("- Name: Zoë\n")
    made = personad(shared_daemon, "export", "Eve", str(file))
    again = personad(shared_daemon, "export", "Eve", str(file))
    forced = personad(shared_daemon, "export", "Eve", str(file), "--force", "--no-secrets", "--json")
    taken = personad(shared_daemon, "restore", str(file))
    with closing(DaemonProcess(tmp_path / "state")) as other:
        other.start().ready()
        back = personad(other, "restore", str(file))
        second = personad(other, "restore", str(file), "--new-id", "--name", "Eva", "--json")
        known = personad(other, "knowledge", "Eve")

    assert made.returncode == 0, made.stderr
    assert "keep it to yourself" in made.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (again.returncode, "--force" in again.stderr) == (2, True)
    assert json.loads(forced.stdout) == {
        "id": eve,
        "name": "Eve",
        "file": str(file),
        "size": file.stat().st_size,
        "files": 6,
    }
    with zipfile.ZipFile(file) as archive:
        assert json.loads(archive.read("persona.json"))["thinking"]["api_key"] is None
    assert list(tmp_path.glob(".*")) == []
    assert (taken.returncode, "--new-id" in taken.stderr) == (1, True)
    assert back.stdout.startswith(f"Eve is back: {eve}, 0 lines of conversation\nLeft out: keys")
    assert json.loads(second.stdout)["name"] == "Eva"
    assert json.loads(second.stdout)["id"] != eve
    assert known.stdout == "# person\n- Name: Zoë\n\n"


def test_what_is_not_an_archive(shared_daemon: DaemonProcess, mind: OpenAIEmulator, tmp_path: Path) -> None:
    """A missing file is wrong usage; the daemon refuses a file that is not an archive, and no persona is created."""
    (tmp_path / "other.zip").write_bytes(b"PK")
    missing = personad(shared_daemon, "restore", str(tmp_path / "none.zip"))
    refused = personad(shared_daemon, "restore", str(tmp_path / "other.zip"))
    nobody = personad(shared_daemon, "export", "Nobody", str(tmp_path / "nobody.zip"))

    assert (missing.returncode, "cannot be read" in missing.stderr) == (2, True)
    assert (refused.returncode, "Nothing was restored" in refused.stderr) == (1, True)
    assert (nobody.returncode, "no persona" in nobody.stderr) == (1, True)
    assert not (tmp_path / "nobody.zip").exists()
