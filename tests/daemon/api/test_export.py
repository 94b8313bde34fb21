"""A persona as an archive: everything that is hers, and nothing of others."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable

import pytest

from tests.daemon.api.archives import bodies, converse, exported, manifest_of, members, restored, shown
from tests.daemon.api.uploading import resident
from tests.daemon_process import DaemonProcess

Make = Callable[..., str]

MIB = 1024 * 1024


def test_the_archive_holds_all_of_her(front: DaemonProcess, make: Make) -> None:
    """It has record, conversation, memory and media, with sizes and sums in the manifest; she may run or be stopped."""
    persona_id = make("Zoë")
    converse(front, persona_id)
    media = front.state_dir / "personas" / persona_id / "media"
    (media / ".part-audio-1.ogg").write_bytes(b"unfinished")
    answer = front.http.get(f"/api/persona/{persona_id}/export")
    running = members(answer.content)
    front.http.post(f"/api/persona/{persona_id}/stop")
    stopped = members(exported(front, persona_id))

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/zip"
    assert f'filename="personad-{persona_id}.zip"' in answer.headers["content-disposition"]
    [file] = [path for path in media.iterdir() if not path.name.startswith(".")]
    files = {"persona.json", "conversation.jsonl", "fed.jsonl", "history.jsonl", "reminders.jsonl"}
    files |= {"memory/person.md", "memory/wishes.md"}
    files.add(f"media/{file.name}")
    assert running.keys() - {"manifest.json"} == stopped.keys() - {"manifest.json"} == files
    assert all(running[name] == stopped[name] for name in files - {"persona.json"})
    # A stop is written into her record.
    records = [json.loads(one["persona.json"]) for one in (running, stopped)]
    assert [record.pop("status") for record in records] == ["active", "hibernate"]
    assert records[0] == records[1]
    manifest = manifest_of(answer.content)
    assert (manifest["format"], manifest["version"], manifest["id"], manifest["name"]) == (
        "personad-archive",
        3,
        persona_id,
        "Zoë",
    )
    assert {one["name"]: (one["size"], one["sha256"]) for one in manifest["members"]} == {
        name: (len(running[name]), hashlib.sha256(running[name]).hexdigest()) for name in files
    }
    assert running[f"media/{file.name}"] == file.read_bytes()
    lines = [json.loads(line) for line in running["conversation.jsonl"].splitlines()]
    assert [(one["role"], one["content"]) for one in lines] == [
        (one["role"], one["content"]) for one in shown(front, persona_id)
    ]
    assert lines[2]["title"] == "ein Brief.txt"
    assert lines[2]["media"] == file.name
    assert lines[0]["channel"] == {"type": "web", "name": persona_id}


def test_secrets_stay_when_asked(front: DaemonProcess, make: Make) -> None:
    """The record has her keys unless secrets=false; anything but true or false is 422, an unknown persona 404."""
    persona_id = make(thinking_api_key="sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z")
    with_keys = exported(front, persona_id)
    without = exported(front, persona_id, "?secrets=False")

    assert json.loads(members(with_keys)["persona.json"])["thinking"]["api_key"].startswith("sk-proj")
    assert json.loads(members(without)["persona.json"])["thinking"]["api_key"] is None
    assert (manifest_of(with_keys)["secrets"], manifest_of(without)["secrets"]) == (True, False)
    assert front.http.get(f"/api/persona/{persona_id}/export?secrets=maybe").status_code == 422
    assert front.http.get(f"/api/persona/{uuid.uuid4()}/export").status_code == 404


@pytest.mark.frugal
def test_a_large_persona_takes_no_memory(front: DaemonProcess, make: Make) -> None:
    """An archive with 150 MiB of media makes the daemon grow by less than a fifth of that."""
    persona_id = make()
    file = front.state_dir / "personas" / persona_id / "media" / "document-big.pdf"
    with file.open("wb") as stream:
        stream.truncate(150 * MIB)
    before, size = resident(front), 0
    with front.http.stream("GET", f"/api/persona/{persona_id}/export") as answer:
        for piece in answer.iter_bytes():
            size += len(piece)
            assert resident(front) - before < 30 * MIB

    assert size > 150 * MIB


def test_another_machine_has_the_same_persona(front: DaemonProcess, make: Make, other: DaemonProcess) -> None:
    """Conversation, knowledge and media are the same byte for byte; she runs, and continues the conversation."""
    persona_id = make("Zoë")
    converse(front, persona_id)
    before = bodies(front, persona_id)
    answer = restored(other, exported(front, persona_id))

    assert answer.status_code == 200, answer.text
    assert answer.json()["persona"]["id"] == persona_id
    assert (answer.json()["lines"], answer.json()["left_out"]) == (4, [])
    assert bodies(other, persona_id) == before
    [view] = other.http.get("/api/personas").json()["personas"]
    assert (view["name"], view["running"]) == ("Zoë", True)
    here, there = members(exported(front, persona_id)), members(exported(other, persona_id))
    assert {name for name in here if here[name] != there.get(name)} <= {"manifest.json"}
