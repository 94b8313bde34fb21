"""The history of her memory files over HTTP: what changed when and why, and the way back."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.daemon.feeding.feeding import LearningMind, create, export, facts, feed
from tests.daemon_process import DaemonProcess, wait_for
from tests.observed import logged

Make = Callable[..., str]
# Any in this file: the daemon's JSON.

NAME: Final = "- Name: Sam\n"


@pytest.fixture
def learner(front: DaemonProcess) -> Iterator[tuple[str, LearningMind]]:
    """Eve, whose mind keeps facts, and that mind."""
    with LearningMind() as mind:
        persona_id = create(front, mind)
        yield persona_id, mind
        front.http.post(f"/api/persona/{persona_id}/delete")


def person(daemon: DaemonProcess, persona_id: str) -> Path:
    """Her file about her person."""
    return daemon.state_dir / "personas" / persona_id / "memory" / "person.md"


def at(persona_id: str, path: str = "") -> str:
    """The address of her memory's history."""
    return f"/api/persona/{persona_id}/knowledge/memory{path}"


def causes(daemon: DaemonProcess, persona_id: str, file: str = "person") -> list[str]:
    """Why each version came to be, oldest first."""
    answer = daemon.http.get(at(persona_id, f"/{file}"))
    return [one["cause"] for one in reversed(answer.json().get("versions", []))]


def say(daemon: DaemonProcess, persona_id: str, words: str) -> list[dict[str, Any]]:
    """Tell her something, and return the conversation once she has answered."""
    before = len(daemon.conversation(persona_id))
    with daemon.socket(f"/ws/{persona_id}"):
        daemon.read(persona_id, words)
        wait_for(lambda: len(daemon.conversation(persona_id)) == before + 2, "her answer")
    return daemon.conversation(persona_id)[before:]


def test_each_change_says_where_it_is_from(front: DaemonProcess, learner: tuple[str, LearningMind]) -> None:
    """An edit by hand, a talk with its lines, a feed with its conversation: newest first, each with its text."""
    eve, _ = learner
    person(front, eve).write_text(NAME)
    assert causes(front, eve) == ["hand"], "an edit shows at once"
    lines = say(front, eve, "remember fact-talk1")
    assert front.http.post(f"/api/persona/{eve}/sleep").status_code == 200
    assert feed(front, eve, export(["fact-feed1"])).status_code == 200

    answer = front.http.get(at(eve, "/person"))
    fed, talk, hand = answer.json()["versions"]
    assert [one["version"] for one in (hand, talk, fed)] == [1, 2, 3]
    assert (hand["cause"], hand["bytes"], hand["lines"], hand["fed"]) == ("hand", len(NAME), None, None)
    assert (talk["cause"], talk["lines"]["first"], talk["lines"]["last"]) == ("talk", lines[0]["id"], lines[1]["id"])
    assert (talk["lines"]["since"], talk["lines"]["until"]) == (lines[0]["time"], lines[1]["time"])
    assert (fed["cause"], fed["fed"]["source"], fed["fed"]["title"]) == ("feed", "chatgpt", "fact-feed1")
    texts = [front.http.get(at(eve, f"/person/{number}")).json()["text"] for number in (1, 2, 3)]
    assert texts[0] == NAME
    assert "fact-talk1" in texts[1]
    assert texts[2] == person(front, eve).read_text()
    [file] = front.http.get(at(eve)).json()["files"]
    assert (file["file"], file["versions"], file["last"]) == ("person", 3, fed)
    assert front.http.get(f"/api/persona/{eve}/knowledge").json() == {"memory": {"person": texts[2]}, "instruction": []}


def test_undo_over_http(front: DaemonProcess, make: Make) -> None:
    """It makes a version; its own undo brings the text back; If-Match protects what the caller has not seen."""
    eve = make()
    for text in (NAME, "- Name: Tom\n"):
        person(front, eve).write_text(text)
        front.http.get(at(eve, "/person"))
    tag = front.http.get(at(eve, "/person")).headers["etag"]
    undone = front.http.post(at(eve, "/person/undo"), headers={"If-Match": tag})
    known = front.http.get(f"/api/persona/{eve}/knowledge").json()["memory"]
    late = front.http.post(at(eve, "/person/undo"), headers={"If-Match": tag})
    again = front.http.post(at(eve, "/person/undo"), json={"version": 2}, headers={"If-Match": undone.headers["etag"]})

    assert (undone.status_code, undone.json()["version"], undone.json()["restores"]) == (200, 3, 1)
    assert known == {"person": NAME}
    assert late.status_code == 412
    assert "GET its history again" in late.json()["detail"]
    assert (again.json()["version"], person(front, eve).read_text()) == (4, "- Name: Tom\n")
    assert causes(front, eve) == ["hand", "hand", "undo", "undo"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("GET", "/nothing", None, 404, "no memory file 'nothing'"),
        ("GET", "/..%2fconfig", None, 404, "no memory file '..'"),
        ("GET", "/Person", None, 404, "no memory file 'Person'"),
        ("GET", "/person/9", None, 404, "no version 9"),
        ("GET", "/nothing/1", None, 404, "no memory file"),
        ("GET", "/person/x", None, 422, "a version's number"),
        ("POST", "/nothing/undo", {}, 404, "no memory file"),
        ("POST", "/person/undo", {"version": 9}, 404, "no version 9"),
        ("POST", "/person/undo", {"version": 0}, 422, "whole number"),
        ("POST", "/person/undo", {"version": "1"}, 422, "whole number"),
        ("POST", "/person/undo", {"version": 1}, 409, "holds that already"),
    ],
)
def test_what_is_refused(
    front: DaemonProcess, make: Make, method: str, path: str, body: object, status: int, says: str
) -> None:
    """Each refusal says what there is, or what to send."""
    eve = make()
    person(front, eve).write_text(NAME)
    front.http.get(at(eve))
    answer = front.http.request(method, at(eve, path), json=body)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_a_condition_must_be_one(front: DaemonProcess, make: Make) -> None:
    """An If-Match without quotation marks is no ETag; nobody has a history."""
    eve = make()
    person(front, eve).write_text(NAME)
    assert front.http.post(at(eve, "/person/undo"), headers={"If-Match": "1"}).status_code == 422
    assert front.http.get(at(str(uuid.uuid4()))).status_code == 404


@pytest.mark.parametrize("meanwhile", ["edit", "undo"])
def test_while_her_mind_consolidates(front: DaemonProcess, learner: tuple[str, LearningMind], meanwhile: str) -> None:
    """An edit or an undo during a consolidation stays: her mind is asked again with it, and no version is doubled."""
    eve, mind = learner
    for text in ("- fact-old1\n", "- fact-old2\n"):
        person(front, eve).write_text(text)
        front.http.get(at(eve, "/person"))
    say(front, eve, "remember fact-new1")
    mind.hold("fact-new1")
    sleeping = threading.Thread(target=front.http.post, args=(f"/api/persona/{eve}/sleep",))
    sleeping.start()
    wait_for(lambda: any("# The talk" in text and "fact-new1" in text for text in mind.heard), "the consolidation")
    if meanwhile == "edit":
        person(front, eve).write_text("- fact-edited1\n")
    else:
        assert front.http.post(at(eve, "/person/undo")).status_code == 200
    mind.let_go("fact-new1")
    sleeping.join()

    kept = "fact-edited1" if meanwhile == "edit" else "fact-old1"
    text = person(front, eve).read_text()
    assert kept in text
    assert "fact-new1" in text
    assert "fact-old2" not in text
    assert causes(front, eve) == ["hand", "hand", "hand" if meanwhile == "edit" else "undo", "talk"]
    assert [one for one in logged(front, "consolidation.again") if one["persona"] == eve]


def test_her_history_goes_along(front: DaemonProcess, other: DaemonProcess, make: Make) -> None:
    """An archive brings every version back, and an undo there goes on with it."""
    eve = make()
    for text in (NAME, "- Name: Tom\n"):
        person(front, eve).write_text(text)
        front.http.get(at(eve, "/person"))
    archive = front.http.get(f"/api/persona/{eve}/export").content
    answer = other.http.post("/api/persona/restore", files={"archive": ("a.zip", archive)})
    assert answer.status_code == 200, answer.text
    assert other.http.get(at(eve, "/person")).json() == front.http.get(at(eve, "/person")).json()
    assert other.http.post(at(eve, "/person/undo")).json()["version"] == 3
    assert person(other, eve).read_text() == NAME


def test_facts_are_not_doubled(front: DaemonProcess, learner: tuple[str, LearningMind]) -> None:
    """A feed makes one version for each conversation that changed a file."""
    eve, _ = learner
    for _ in range(2):
        assert feed(front, eve, export(facts(3))).status_code == 200
    assert causes(front, eve) == ["feed"] * 3
