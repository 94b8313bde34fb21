"""``personad feed`` and ``personad knowledge``."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.cli.command_line import ROOT, command, personad
from tests.daemon.feeding.feeding import LearningMind, create, export, facts
from tests.daemon_process import DaemonProcess
from tests.patience import PATIENCE


@pytest.fixture
def learner(shared_daemon: DaemonProcess) -> Iterator[str]:
    """Zoë, whose mind can learn."""
    mind = LearningMind()
    with mind:
        persona_id = create(shared_daemon, mind, "Zoë")
        yield persona_id
        shared_daemon.http.post(f"/api/persona/{persona_id}/delete")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An export with three conversations."""
    path = tmp_path / "conversations.json"
    path.write_bytes(export(facts(3)))
    return path


def test_an_export_is_fed(shared_daemon: DaemonProcess, learner: str, file: Path) -> None:
    """Progress goes to standard error, the result to standard output, and what she learned can be shown."""
    before = personad(shared_daemon, "knowledge", "Zoë")
    fed = personad(shared_daemon, "feed", "Zoë", str(file), "--source", "chatgpt")
    again = personad(shared_daemon, "feed", "Zoë", str(file), "--source", "chatgpt", "--json")
    known = personad(shared_daemon, "knowledge", "Zoë")
    as_json = json.loads(personad(shared_daemon, "knowledge", "Zoë", "--json").stdout)

    assert "knows nothing yet" in before.stdout
    assert (fed.returncode, fed.stdout) == (0, "Zoë: 3 conversations read, 3 new to her\n")
    assert "Zoë: sending 100 %" in fed.stderr
    assert re.search(r"^Zoë: reading +\d+ %, 1 conversation, 0 new$", fed.stderr, re.MULTILINE)
    counts = {"conversations": 3, "applied": 0, "known": 3, "undigested": 0}
    assert json.loads(again.stdout) == {"id": learner, "name": "Zoë", "source": "chatgpt", **counts}
    assert known.stdout.startswith("# person\n- fact-0 in call")
    assert as_json["memory"]["person"] == known.stdout.removeprefix("# person\n")[:-1]


def test_a_terminal_gets_a_bar(shared_daemon: DaemonProcess, learner: str, file: Path) -> None:
    """On a terminal the progress is one line that is redrawn and removed at the end."""
    ours, theirs = pty.openpty()
    arguments = command("feed", "Zoë", str(file), "--source", "chatgpt")
    done = subprocess.run(
        arguments,
        cwd=ROOT,
        env=shared_daemon.environ(),
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=PATIENCE,
        check=False,
    )
    os.close(theirs)
    shown = os.read(ours, 65_536).decode()
    os.close(ours)

    assert done.returncode == 0
    assert f"[{'#' * 30}] Zoë: sending 100 %" in shown
    assert "\n" not in shown
    assert shown.endswith("\r\x1b[K")


def test_what_cannot_be_fed(shared_daemon: DaemonProcess, learner: str, file: Path) -> None:
    """A missing file is wrong usage.

    The daemon's refusals are printed as they are, also for a file that is too large.
    """
    missing = personad(shared_daemon, "feed", "Zoë", str(file) + ".gz", "--source", "chatgpt")
    unknown = personad(shared_daemon, "feed", "Zoë", str(file), "--source", "eliza")
    file.write_bytes(b"rubbish")
    broken = personad(shared_daemon, "feed", "Zoë", str(file), "--source", "claude")
    file.write_text('[{"mapping": {}}]')
    foreign = personad(shared_daemon, "feed", "Zoë", str(file), "--source", "claude")
    with file.open("wb") as stream:
        stream.truncate(4_400_000_000)
    large = personad(shared_daemon, "feed", "Zoë", str(file), "--source", "claude")

    assert (missing.returncode, "cannot be read" in missing.stderr) == (2, True)
    assert (unknown.returncode, "Accepted: chatgpt, claude" in unknown.stderr) == (1, True)
    assert (broken.returncode, "Could not parse the external data." in broken.stderr) == (1, True)
    assert "it is an export of ChatGPT, not of Claude: name chatgpt as its source" in foreign.stderr
    assert (large.returncode, "limits.feed" in large.stderr) == (1, True)


def test_a_forecast_says_what_a_feed_would_take(shared_daemon: DaemonProcess, file: Path) -> None:
    """It reads the export and asks no mind; for the embedded one a feed costs nothing."""
    made = json.loads(personad(shared_daemon, "create", "Ida", "--no-senses", "--json").stdout)["id"]
    said = personad(shared_daemon, "feed", "Ida", str(file), "--source", "chatgpt", "--forecast")
    found = json.loads(
        personad(shared_daemon, "feed", "Ida", str(file), "--source", "chatgpt", "--forecast", "--json").stdout
    )
    known = personad(shared_daemon, "knowledge", "Ida")
    personad(shared_daemon, "delete", made, "--yes")

    assert said.stdout.startswith(f"{found['conversations']} conversations, {found['new']} new to Ida: ")
    assert (found["new"], found["calls"], found["cost"]) == (3, 3, "0")
    assert "knows nothing yet" in known.stdout
