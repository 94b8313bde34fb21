"""An archive becomes a persona, all of her or nothing."""

from __future__ import annotations

import json
import resource
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from daemon.ledger.known import MARK_NAME
from tests.daemon.api.archives import (
    MANIFEST,
    converse,
    exported,
    manifest_of,
    members,
    repacked,
    restored,
    shown,
    zipped,
)
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.scripted import ScriptedMind

Make = Callable[..., str]

VERSION_1: Final = Path(__file__).parents[2] / "fixtures" / "archives" / "version-1"
"""The members of an archive that personad wrote with version 6 of the ledger."""


@pytest.fixture
def archive(front: DaemonProcess, make: Make) -> bytes:
    """Eve's archive."""
    persona_id = make()
    converse(front, persona_id)
    data = exported(front, persona_id)
    front.http.post(f"/api/persona/{persona_id}/delete")
    return data


def lines(archive: bytes) -> list[dict[str, Any]]:
    """Her conversation as the archive has it (Any: JSON)."""
    return [json.loads(line) for line in members(archive)["conversation.jsonl"].splitlines()]


def names(daemon: DaemonProcess) -> list[str]:
    return [one["name"] for one in daemon.http.get("/api/personas").json()["personas"]]


def left(daemon: DaemonProcess) -> list[str]:
    """Leftovers: unexpected files in the state directory, and rows of unknown personas in the ledger."""
    found = [path.name for path in daemon.state_dir.iterdir() if path.name.startswith("restore-")]
    found += [path.name for path in (daemon.state_dir / "personas").iterdir() if path.name != MARK_NAME]
    with sqlite3.connect(daemon.state_dir / "ledger.db") as ledger:
        found += [str(row) for row in ledger.execute("SELECT DISTINCT persona FROM conversation")]
    ledger.close()
    return found


def test_an_archive_of_version_1_comes_back(front: DaemonProcess) -> None:
    """An archive of an earlier personad is restored completely, each line on its channel and in its chat."""
    files = (path for path in VERSION_1.rglob("*") if path.is_file())
    old = zipped({str(path.relative_to(VERSION_1)): path.read_bytes() for path in files})
    answer = restored(front, old)
    assert answer.status_code == 200, answer.text
    assert answer.json()["lines"] == 31
    persona_id = answer.json()["persona"]["id"]
    again = exported(front, persona_id)
    assert (manifest_of(old)["version"], manifest_of(again)["version"]) == (1, 3)
    assert manifest_of(again)["consolidated"] == 3

    before, after = lines(old), lines(again)
    places = [(line["channel"].get("id", ""), line["chat"]) for line in after]
    assert places == [tuple(line["talk"].partition(":")[::2]) for line in before]
    assert ("51ac000000000008", "C0123ABCD:1700000000.000100") in places
    for line in (*before, *after):
        line["channel"].pop("id", None)
        for place in {"talk", "chat"} & line.keys():
            del line[place]
    # What version 1 had no word for.
    assert not any(line.pop("hushed") for line in after)
    assert after == before
    assert members(again)["memory/person.md"] == members(old)["memory/person.md"]
    front.http.post(f"/api/persona/{persona_id}/delete")


def test_her_id_is_hers(front: DaemonProcess, make: Make) -> None:
    """While she exists her archive is 409; new_id makes a second persona, whose web lines get her own id."""
    persona_id = make()
    converse(front, persona_id)
    data = exported(front, persona_id)
    taken = restored(front, data)
    # As a client that was generated for Python writes it.
    second = restored(front, data, new_id="True", name="Eva")
    twin = second.json()["persona"]["id"]

    assert taken.status_code == 409
    assert "new_id" in taken.json()["detail"]
    assert second.status_code == 200, second.text
    assert second.json()["persona"]["name"] == "Eva"
    assert twin != persona_id
    assert {line["channel"]["name"] for line in shown(front, twin)} == {twin}
    assert [line["content"] for line in shown(front, twin)] == [line["content"] for line in shown(front, persona_id)]
    front.http.post(f"/api/persona/{twin}/delete")


BENT: Final[tuple[tuple[dict[str, bytes | None], dict[str, object], str], ...]] = (
    ({"media/../../evil": b"x"}, {}, "no file of a persona"),
    ({"/etc/passwd": b"x"}, {}, "no file of a persona"),
    ({"memory/Person.md": b"x"}, {}, "no file of a persona"),
    ({"config.json": b"{}"}, {}, "no file of a persona"),
    ({"persona.json": None}, {}, "no persona.json"),
    ({"persona.json": b"{}"}, {}, "persona.json cannot be read"),
    ({"persona.json": b"null"}, {}, "persona.json cannot be read"),
    (
        {
            "persona.json": b'{"id":"5d90869a-6161-4142-85fe-edb749d91456","name":"A",'
            b'"thinking":{"name":"m","provider":"opnai"}}'
        },
        {},
        "there is no such provider",
    ),
    ({"conversation.jsonl": b'{"role": "system"}\n'}, {}, "line 1"),
    ({"conversation.jsonl": b"\xff\n"}, {}, "line 1"),
    ({"conversation.jsonl": b'{"x":' + b"[" * 9000 + b"]" * 9000 + b"}\n"}, {}, "line 1"),
    ({}, {"version": 4}, "manifest.json cannot be read"),
    ({}, {"id": "5d90869a-6161-4142-85fe-edb749d91456"}, "another persona's"),
    ({"memory/person.md": b"x" * 1_048_577}, {}, "too large"),
    ({"media/a.txt": bytes(40_000_000)}, {}, "too tightly"),
)


def test_bent_archives_are_400(other: DaemonProcess, archive: bytes) -> None:
    """Names, sizes, records and lines are checked; a refused archive leaves nothing behind."""
    for changes, manifest, words in BENT:
        answer = restored(other, repacked(archive, changes, manifest))
        assert answer.status_code == 400, words
        assert words in answer.json()["detail"]
    assert left(other) == []


def test_damaged_archives_are_400(other: DaemonProcess, archive: bytes) -> None:
    """An archive that is cut off, does not match its manifest, or is not a ZIP file makes nothing."""
    extra = zipped({**members(archive), "media/a.txt": b"x"})
    lying = {"memory/person.md": b"- Name: Zoe\n- Likes: cake\n"}
    flipped = bytearray(archive)
    flipped[len(archive) // 3] ^= 255
    bent = [archive[:-3], archive[: len(archive) // 2], bytes(flipped), extra, repacked(archive, lying, honest=False)]
    bent += [repacked(archive, {"memory/person.md": None}, honest=False), zipped({MANIFEST: b"{}"}), b"", b"PK\5\6" * 9]

    for data in bent:
        answer = restored(other, data)
        assert (answer.status_code, answer.json()["detail"].partition(":")[0]) == (400, "Nothing was restored")
    assert left(other) == []
    assert restored(other, archive).status_code == 200


def test_what_was_asked_is_checked(other: DaemonProcess, archive: bytes) -> None:
    """A name of control characters, an invalid new_id, and a form without an archive are 422."""
    assert restored(other, archive, name="a\nb").status_code == 422
    assert restored(other, archive, new_id="maybe").status_code == 422
    missing = other.http.post("/api/persona/restore", data={"name": "x"}, files={"other": b""})
    assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["body", "archive"])
    assert left(other) == []


def test_what_waited_is_not_answered_again(other: DaemonProcess, front: DaemonProcess) -> None:
    """Unanswered messages are restored as history; the restored persona answers only new ones, and knows the old."""
    mind = ScriptedMind()
    with mind:
        persona_id = front.create(
            "Eve", thinking_model="m", thinking_provider="openai", thinking_url=mind.url, thinking_api_key="k"
        )
        mind.hold("unanswered")
        with front.socket(f"/ws/{persona_id}"):
            assert front.read(persona_id, "unanswered words").status_code == 200
            wait_for(lambda: mind.times("unanswered") == 1, "the mind to be asked")
            data = exported(front, persona_id)
        front.http.post(f"/api/persona/{persona_id}/delete")
        mind.let_go("unanswered")
        asked = len(mind.heard)
        assert restored(other, data).status_code == 200
        with other.socket(f"/ws/{persona_id}"):
            assert other.read(persona_id, "new words").status_code == 200
            wait_for(lambda: len(shown(other, persona_id)) == 3, "an answer")

        assert [line["role"] for line in shown(other, persona_id)] == ["person", "person", "assistant"]
        assert len(mind.heard) == asked + 1
        turns = [turn["content"] for turn in mind.journal[-1].body["messages"]]
        assert any("unanswered words" in turn for turn in turns)


def test_a_full_disk_is_507(other: DaemonProcess, archive: bytes) -> None:
    """Wherever the disk fills up, nothing of her is left, and once there is room she is restored."""
    line = members(archive)["conversation.jsonl"].splitlines(keepends=True)[0]
    large = repacked(archive, {"conversation.jsonl": line * 3000})
    for room in (0, 8_000, 900_000):
        resource.prlimit(other.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        answer = restored(other, large)
        assert (answer.status_code, names(other)) == (507, []), room
        resource.prlimit(other.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    answer = restored(other, large)

    assert (answer.status_code, answer.json()["lines"]) == (200, 3000)
    assert len(shown(other, answer.json()["persona"]["id"])) == 3000


def cut_off(daemon: DaemonProcess, archive: bytes) -> None:
    """Send an archive to a daemon that is killed meanwhile."""
    with suppress(httpx.TransportError):
        restored(daemon, archive)


def test_kill_9_leaves_all_of_her_or_nothing(tmp_path: Path, archive: bytes, mind: OpenAIEmulator) -> None:
    """A daemon that is killed while it writes 30,000 lines restarts without a trace of her, and then restores her."""
    line = members(archive)["conversation.jsonl"].splitlines(keepends=True)[0]
    large = repacked(archive, {"conversation.jsonl": line * 30_000}, {"consolidated": 29_999})
    daemon = DaemonProcess(tmp_path / "state")
    try:
        daemon.start().ready()
        sending = threading.Thread(target=cut_off, args=(daemon, large))
        sending.start()
        wait_for(lambda: any("(" in one for one in left(daemon)), "her first lines in the ledger")
        daemon.kill()
        sending.join()
        assert left(daemon) != []
        daemon.start().ready()
        assert (names(daemon), left(daemon)) == ([], [])
        answer = restored(daemon, large)
        assert (answer.status_code, answer.json()["lines"]) == (200, 30_000)
        again = exported(daemon, answer.json()["persona"]["id"])
        assert manifest_of(again)["consolidated"] == 29_999
        assert members(again)["conversation.jsonl"].count(b"\n") == 30_000
        assert json.loads(members(again)["persona.json"])["name"] == "Eve"
    finally:
        daemon.close()
