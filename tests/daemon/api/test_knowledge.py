"""Her memory, as the documented knowledge page shows it."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from tests.daemon_process import DaemonProcess

Make = Callable[..., str]


def test_files_are_shown_verbatim(front: DaemonProcess, make: Make) -> None:
    """Each file comes under its name, byte for byte, also while she is stopped; empty and other files are left out."""
    persona_id = make()
    empty = front.http.get(f"/api/persona/{persona_id}/knowledge")
    memory = front.state_dir / "personas" / persona_id / "memory"
    (memory / "persona-trait.md").write_text("## tone\r\n- dry é ✓\n\n")
    (memory / "person.md").write_text("- Name: Zoë")
    (memory / "wishes.md").write_text(" \n")
    (memory / ".person.md.new").write_text("half")
    (memory / "notes.txt").write_text("mine")
    front.http.post(f"/api/persona/{persona_id}/stop")
    answer = front.http.get(f"/api/persona/{persona_id}/knowledge")

    assert (empty.status_code, empty.json()) == (200, {"memory": {}, "instruction": []})
    known = {"person": "- Name: Zoë", "persona-trait": "## tone\r\n- dry é ✓\n\n"}
    assert (answer.status_code, answer.json()) == (200, {"memory": known, "instruction": []})


def test_nobody_and_nothing_readable(front: DaemonProcess, make: Make) -> None:
    """An unknown persona is 404; a file that is not text is 400 with the documented text, until it is fixed."""
    persona_id = make()
    nobody = front.http.get(f"/api/persona/{uuid.uuid4()}/knowledge")
    file = front.state_dir / "personas" / persona_id / "memory" / "person.md"
    file.write_bytes(b"\xff\xfe")
    broken = front.http.get(f"/api/persona/{persona_id}/knowledge")
    file.unlink()
    mended = front.http.get(f"/api/persona/{persona_id}/knowledge")

    assert nobody.status_code == 404
    assert (broken.status_code, broken.json()) == (400, {"detail": "Could not read knowledge."})
    assert mended.status_code == 200
