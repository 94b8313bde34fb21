"""``personad knowledge --history``, ``--diff`` and ``--undo``, and ``personad instruction``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.cli.command_line import personad
from tests.daemon_process import DaemonProcess


@pytest.fixture
def ivy(shared_daemon: DaemonProcess) -> Iterator[Path]:
    """The folder of Ivy, who knows two versions of her person; she has the embedded mind."""
    persona_id = shared_daemon.create("Ivy")
    folder = shared_daemon.state_dir / "personas" / persona_id
    for text in ("- Name: Sam\n", "- Name: Sam\n- Cat: Tom\n"):
        (folder / "memory" / "person.md").write_text(text)
        shared_daemon.http.get(f"/api/persona/{persona_id}/knowledge/memory")
    yield folder
    shared_daemon.http.post(f"/api/persona/{persona_id}/delete")


def test_back_and_forth(shared_daemon: DaemonProcess, ivy: Path) -> None:
    """The history says when and why, the diff shows what an undo takes back, and the undo does it."""
    files = personad(shared_daemon, "knowledge", "Ivy", "--history").stdout
    history = personad(shared_daemon, "knowledge", "Ivy", "--history", "person").stdout
    diff = personad(shared_daemon, "knowledge", "Ivy", "--diff", "person.md").stdout
    undone = personad(shared_daemon, "knowledge", "Ivy", "--undo", "person")
    again = json.loads(personad(shared_daemon, "knowledge", "Ivy", "--undo", "person", "2", "--json").stdout)

    assert [line.split()[:2] for line in files.splitlines()] == [["FILE", "VERSIONS"], ["person", "2"]]
    assert [line.split()[0] for line in history.splitlines()] == ["VERSION", "2", "1"]
    assert "edited by hand" in history
    assert diff.splitlines()[2:] == ["@@ -1 +1,2 @@", " - Name: Sam", "+- Cat: Tom"]
    assert (undone.returncode, undone.stdout) == (0, "person is as it was in version 1; this is its version 3\n")
    assert (again["version"], again["restores"]) == (4, 2)
    assert (ivy / "memory" / "person.md").read_text() == "- Name: Sam\n- Cat: Tom\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--undo", "../config"), 2, "is no memory file"),
        (("--undo", "person", "one"), 2, "the number of a version"),
        (("--diff", "person", "1", "2"), 2, "the number of a version"),
        (("--undo", "person", "7"), 1, "no version 7"),
        (("--history", "nothing"), 1, "no memory file 'nothing'"),
        (("--history", "--undo", "person"), 2, "not allowed"),
    ],
)
def test_mistakes(shared_daemon: DaemonProcess, ivy: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    """Each says what to do instead."""
    answer = personad(shared_daemon, "knowledge", ivy.name, *arguments)
    assert (answer.returncode, says in answer.stderr) == (code, True), answer.stderr


def test_instructions(shared_daemon: DaemonProcess, ivy: Path, tmp_path: Path) -> None:
    """From a file or from the input, listed with what cannot be told, and removed."""
    file = tmp_path / "night.md"
    file.write_text("# When I say good night\n\nWish me sweet dreams.\n")
    none = personad(shared_daemon, "instruction", "list", "Ivy")
    written = personad(shared_daemon, "instruction", "set", "Ivy", "good-night", str(file))
    piped = personad(shared_daemon, "instruction", "set", "Ivy", "be-brief", "-", "--visitors", stdin="Be brief.")
    (ivy / "instructions" / "big.md").write_bytes(b"x" * 1_000_000)
    listed = personad(shared_daemon, "instruction", "list", "Ivy").stdout
    removed = personad(shared_daemon, "instruction", "remove", "Ivy", "good-night")
    bad = personad(shared_daemon, "instruction", "set", "Ivy", "big", str(ivy / "instructions" / "big.md"))
    name = personad(shared_daemon, "instruction", "set", "Ivy", "Bad Name", str(file))

    assert "has no instructions" in none.stdout
    assert "Ivy has the instruction good-night: When I say good night\n" in written.stdout
    assert "cannot follow instructions" in written.stdout
    assert piped.returncode == 0
    assert listed.startswith("# be brief (be-brief, also for visitors)\nBe brief.\n\n# When I say good night")
    assert "Not told: instructions/big.md: it is larger than" in listed
    assert "no instruction good-night any more" in removed.stdout
    assert [one.name for one in (ivy / "instructions").glob("*night*")] == []
    assert (bad.returncode, "larger than" in bad.stderr) == (2, True)
    assert (name.returncode, "small letters" in name.stderr) == (1, True)
