"""Her instructions over HTTP: written, read, told to her mind, and kept from visitors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator

Make = Callable[..., str]

GREET: Final = {"intention": "When I come home", "body": "Say hello.", "visitors": False}


def at(persona_id: str, name: str = "") -> str:
    """The address of her instructions."""
    return f"/api/persona/{persona_id}/knowledge/instructions{name and f'/{name}'}"


def folder(daemon: DaemonProcess, persona_id: str) -> Path:
    """The folder of her instructions."""
    return daemon.state_dir / "personas" / persona_id / "instructions"


def test_written_shown_and_removed(front: DaemonProcess, make: Make) -> None:
    """What is PUT is a Markdown file; ``GET .../knowledge`` shows it as documented; DELETE removes it."""
    eve = make()
    written = front.http.put(at(eve, "greet"), json=GREET)
    shown = {"name": "greet", **GREET, "source": "custom"}
    assert (written.status_code, written.json()) == (200, shown)
    assert (folder(front, eve) / "greet.md").read_text() == "# When I come home\n\nSay hello.\n"
    assert front.http.get(at(eve)).json() == {"instructions": [shown], "faults": [], "note": ""}
    one = front.http.get(at(eve, "greet"))
    assert (one.json(), one.headers["etag"]) == (shown, written.headers["etag"])
    documented = {"intention": "When I come home", "body": "Say hello.", "source": "custom"}
    assert front.http.get(f"/api/persona/{eve}/knowledge").json() == {"memory": {}, "instruction": [documented]}

    other = {**GREET, "body": "Say hi.", "visitors": True}
    assert front.http.put(at(eve, "greet"), json=other, headers={"If-Match": '"x"'}).status_code == 412
    assert front.http.put(at(eve, "new"), json=other, headers={"If-Match": "*"}).status_code == 412
    assert front.http.put(at(eve, "greet"), json=other, headers={"If-Match": one.headers["etag"]}).status_code == 200
    assert front.http.delete(at(eve, "greet"), headers={"If-Match": one.headers["etag"]}).status_code == 412
    assert front.http.delete(at(eve, "greet")).json() == {"removed": "greet"}
    gone = front.http.delete(at(eve, "greet"))
    assert (gone.status_code, "lists them" in gone.json()["detail"]) == (404, True)
    assert front.http.get(at(eve, "greet")).status_code == 404


@pytest.mark.parametrize(
    ("name", "body", "status", "says"),
    [
        ("Bad Name", GREET, 422, "small letters"),
        ("x" * 65, GREET, 422, "at most 64"),
        ("greet", {**GREET, "intention": "a\nb"}, 422, "one line"),
        ("greet", {**GREET, "intention": " "}, 422, "one line"),
        ("greet", {**GREET, "body": "  "}, 422, "says nothing"),
        ("greet", {**GREET, "body": "x" * 1_000_000}, 422, "at most 8192"),
        ("greet", {**GREET, "body": "é" * 5000}, 422, "larger than 8192 bytes"),
        ("greet", {"body": "Say."}, 422, "Field required"),
    ],
)
def test_bad_input(front: DaemonProcess, make: Make, name: str, body: object, status: int, says: str) -> None:
    """A name, a heading or a text that cannot be is refused in words that help."""
    answer = front.http.put(at(make(), name), json=body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_by_hand(front: DaemonProcess, make: Make, mind: OpenAIEmulator) -> None:
    """A file that somebody saves is told in the next turn; a bad one beside it is named in the status."""
    eve = make()
    (folder(front, eve) / "greet.md").write_text("# When I come home\n\nSay ahoy.\n")
    (folder(front, eve) / "big.md").write_bytes(b"x" * 1_000_000)

    def faults() -> list[str]:
        status = front.http.get("/api/status").json()
        return next(one["instructions"] for one in status["personas"] if one["id"] == eve)

    wait_for(faults, "the fault")
    assert "instructions/big.md: it is larger than" in faults()[0]
    with front.socket(f"/ws/{eve}"):
        front.read(eve, "I have come home")
        wait_for(lambda: len(front.conversation(eve)) == 2, "her answer")
    calls = [entry.body["messages"] for entry in mind.journal if "messages" in entry.body]
    system = next(messages[0]["content"] for messages in calls if "I have come home" in str(messages[-1]))
    assert "### When I come home\n\nSay ahoy." in system
    assert front.http.put(at(eve, "big"), json=GREET).status_code == 200
    assert faults() == []


def test_the_embedded_mind_says_that_it_cannot(front: DaemonProcess) -> None:
    """They are kept for a larger one."""
    eve = front.create("Tiny")
    assert front.http.put(at(eve, "greet"), json=GREET).status_code == 200
    assert "cannot follow instructions" in front.http.get(at(eve)).json()["note"]
    front.http.post(f"/api/persona/{eve}/delete")


def test_they_go_along(front: DaemonProcess, other: DaemonProcess, make: Make) -> None:
    """An archive holds them."""
    eve = make()
    front.http.put(at(eve, "greet"), json={**GREET, "visitors": True})
    archive = front.http.get(f"/api/persona/{eve}/export").content
    assert other.http.post("/api/persona/restore", files={"archive": ("a.zip", archive)}).status_code == 200
    assert other.http.get(at(eve)).json() == front.http.get(at(eve)).json()
