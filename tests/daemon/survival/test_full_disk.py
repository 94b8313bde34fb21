"""A disk that is full, then has room again: what was accepted stays; the rest is refused with a reason."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import events, lines, status

Launch = Callable[..., DaemonProcess]

SIZE = 8 * 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Fill the disk; deleting the returned file makes room again."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                continue
        except OSError:
            pass
    return ballast


def until_refused(daemon: DaemonProcess, persona_id: str) -> list[str]:
    """Send messages until one is refused because the disk is full; returns those that were received."""
    received: list[str] = []
    for number in range(2000):
        word = f"word{number}." + "x" * 2000
        answer = daemon.read(persona_id, word)
        if answer.status_code == 507:
            assert "the disk is full" in answer.json()["detail"]
            return received
        assert answer.status_code == 200, answer.text
        received.append(word)
    raise AssertionError("the disk was never full")


def test_words_are_refused_and_none_is_lost(launch: Launch, brain: ScriptedMind, disk: Path) -> None:
    """``read`` answers 507 and says what to do; everything received before is answered once there is room."""
    daemon = launch(disk / "state", log=disk.parent / "daemon.log")
    persona_id = create(daemon, brain)
    brain.hold("word0")
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "word0.")
        wait_for(lambda: brain.times("word0") == 1, "the question")
        ballast = fill(disk)
        received = ["word0.", *until_refused(daemon, persona_id)]
        assert daemon.http.get("/livez").status_code == 200
        assert daemon.http.get("/readyz").status_code == 503
        assert status(daemon, persona_id)["state"] == "running"
        ballast.unlink()
        wait_for(lambda: daemon.read(persona_id, "after.").status_code == 200, "room")
        brain.let_go("word0")
        wait_for(lambda: status(daemon, persona_id)["inbox"] == 0, "all answers")
        listener.hears("after.")
        for word in (*received, "after."):
            assert sum(said.split("\n\n").count(word) for said in listener.words) == 1
    said = [content for role, content in lines(daemon, persona_id) if role == "person"]
    assert said == [*received, "after."]


def test_a_reply_waits_for_the_disk(launch: Launch, brain: ScriptedMind, disk: Path) -> None:
    """A reply that cannot be committed comes once when there is room, even if her process was replaced meanwhile."""
    daemon = launch(disk / "state", log=disk.parent / "daemon.log", mind_burst_window="60")
    persona_id = create(daemon, brain)
    brain.hold("apple")
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        wait_for(lambda: brain.times("apple") == 1, "the question")
        ballast = fill(disk)
        until_refused(daemon, persona_id)
        brain.let_go("apple")
        wait_for(lambda: events(daemon, "inbox.answer_not_committed"), "the refused commit")
        assert listener.words == []
        daemon.http.post(f"/api/persona/{persona_id}/restart")
        brain.hold("pear")
        asked = len(brain.heard)
        ballast.unlink()
        wait_for(lambda: daemon.read(persona_id, "pear").status_code == 200, "room")
        listener.hears("apple")
        wait_for(lambda: len(brain.heard) > asked, "the next question")
        brain.let_go("pear")
        listener.hears("pear")
        wait_for(lambda: status(daemon, persona_id)["inbox"] == 0, "all answers")
        heard = [word for said in listener.words for word in said.split("\n\n")]
        assert (heard.count("apple"), heard.count("pear")) == (1, 1)
    assert brain.times("apple") == 1


def test_a_start_on_a_full_disk(launch: Launch, disk: Path) -> None:
    """A daemon without room for its state says so in one line and ends; with room it starts."""
    (disk / "state").mkdir()
    ballast = fill(disk)
    daemon = launch(disk / "state", log=disk.parent / "daemon.log", start=False)
    daemon.spawn()
    assert daemon.wait() == 75
    text = daemon.log.read_text()
    assert "Traceback" not in text
    assert "full" in text or "No space left" in text
    ballast.unlink()
    daemon.start().ready()


@pytest.mark.slow
def test_many_sizes_of_room(launch: Launch, brain: ScriptedMind, disk: Path) -> None:
    """Wherever the disk becomes full, a daemon that is killed then restarts with everything that was received."""
    daemon = launch(disk / "state", log=disk.parent / "daemon.log")
    persona_id = create(daemon, brain)
    kept: list[str] = []
    for _ in range(3):
        with Listener(daemon, persona_id):
            ballast = fill(disk)
            kept += until_refused(daemon, persona_id)
        daemon.kill()
        ballast.unlink()
        daemon.start().ready()
        wait_for(lambda: status(daemon, persona_id)["inbox"] == 0, "all answers")
    said = [content for role, content in lines(daemon, persona_id) if role == "person"]
    assert said == kept
