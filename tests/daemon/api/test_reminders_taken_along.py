"""Reminders in archives: they come back with her, and nothing is told twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

from tests.daemon.api.archives import exported, members, repacked, restored
from tests.daemon_process import DaemonProcess

Make = Callable[..., str]


def test_reminders_come_back(front: DaemonProcess, other: DaemonProcess, make: Make) -> None:
    """What is to come goes on, on her own web channel of a new id; what came due meanwhile is left out and named."""
    persona_id = make()
    path = f"/api/persona/{persona_id}/reminders"
    for body in (
        {"body": "fern", "at": "2096-12-01T08:00:00+01:00", "channel": "web"},
        {"body": "stretch", "cron": "0 8 * * *", "zone": "Asia/Tokyo", "task": True},
        {"body": "pills", "at": "2096-01-01"},
    ):
        assert front.http.post(path, json=body).status_code == 201
    archive = exported(front, persona_id)
    rows = [json.loads(line) for line in members(archive)["reminders.jsonl"].splitlines()]
    assert {row["body"] for row in rows} == {"fern", "stretch", "pills"}
    long_ago = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    # As if the archive had been lying about since then.
    aged = [{**row, "due": long_ago} if row["body"] != "fern" else row for row in rows]
    broken = {**rows[0], "body": "broken", "zone": "Mars/One"}
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in [*aged, broken])
    answer = restored(other, repacked(archive, {"reminders.jsonl": lines}), new_id="true")
    assert answer.status_code == 200, answer.text
    new_id = answer.json()["persona"]["id"]
    kept = other.http.get(f"/api/persona/{new_id}/reminders").json()["reminders"]
    assert (kept[0]["body"], kept[0]["zone"], kept[0]["task"]) == ("stretch", "Asia/Tokyo", True)
    assert datetime.fromisoformat(kept[0]["at"]) > datetime.now(UTC)
    assert (kept[1]["body"], kept[1]["channel"]) == ("fern", {"type": "web", "name": new_id})
    assert len(kept) == 2
    left_out = [one for one in answer.json()["left_out"] if one.startswith("the reminder")]
    assert left_out == [
        "the reminder 'pills': its time has passed",
        "the reminder 'broken': There is no time zone 'Mars/One': send an IANA name such as Europe/Oslo or UTC.",
    ]
    assert other.conversation(new_id) == []


def test_an_archive_without_reminders_comes_back(front: DaemonProcess, other: DaemonProcess, make: Make) -> None:
    """Version 2 had none."""
    archive = repacked(exported(front, make()), {"reminders.jsonl": None}, {"version": 2})
    assert restored(other, archive).status_code == 200
