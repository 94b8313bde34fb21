"""Reminders and the calendar over HTTP: what is kept, told and refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.daemon_process import DaemonProcess, wait_for
from tests.listener import Listener

Make = Callable[..., str]
Json = dict[str, Any]
"""Any: JSON."""


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_reminder_and_a_routine(front: DaemonProcess, make: Make) -> None:
    """201 with the row, listed with the next one first, changed and removed."""
    persona_id = make(zone="Europe/Oslo")
    path = f"/api/persona/{persona_id}/reminders"
    fern = front.http.post(path, json={"body": "water the fern", "at": "2096-12-01T08:00:00+01:00"})
    assert fern.status_code == 201
    row: Json = fern.json()
    assert row == {
        "id": row["id"],
        "body": "water the fern",
        "at": "2096-12-01T08:00:00+01:00",
        "cron": None,
        "zone": "Europe/Oslo",
        "channel": None,
        "task": False,
        "quiet": False,
        "created": row["created"],
        "told": 0,
        "last_told": None,
    }
    work = front.http.post(path, json={"body": "work", "cron": "0 8 * * 1-5", "zone": "Asia/Tokyo", "channel": "web"})
    assert work.status_code == 201
    routine: Json = work.json()
    assert (routine["cron"], routine["zone"], routine["quiet"]) == ("0 8 * * 1-5", "Asia/Tokyo", True)
    assert routine["channel"] == {"type": "web", "name": persona_id}
    assert datetime.fromisoformat(routine["at"]).utcoffset() == timedelta(hours=9)
    assert front.http.get(path).json() == {"reminders": [routine, row]}
    changed = front.http.patch(f"{path}/{row['id']}", json={"at": "2096-03-25T02:30", "body": "two ferns"})
    assert changed.status_code == 200
    assert changed.json() == {**row, "body": "two ferns", "at": "2096-03-25T03:30:00+02:00"}
    assert front.http.patch(f"{path}/{row['id']}", json={}).json() == changed.json()
    for status, answer in ((200, {"removed": row["id"]}), (404, None)):
        removed = front.http.delete(f"{path}/{row['id']}")
        assert removed.status_code == status
        assert answer is None or removed.json() == answer


def test_it_is_told_on_the_socket_and_shown_in_the_calendar(front: DaemonProcess, make: Make) -> None:
    """Once it is due: as a frame, as a line of the conversation, and in the history of its day."""
    persona_id = make()
    with Listener(front, persona_id) as listener:
        at = soon(0.3)
        front.http.post(f"/api/persona/{persona_id}/reminders", json={"body": "tea is ready", "at": at})
        listener.hears("Reminder: tea is ready")
    front.http.post(f"/api/persona/{persona_id}/reminders", json={"body": "stretch", "cron": "0 8 * * *"})
    span = {"start": soon(-3600), "end": soon(3 * 86_400)}
    shown = front.http.get(f"/api/persona/{persona_id}/calendar", params=span)
    assert shown.status_code == 200
    calendar: Json = shown.json()
    assert [one["body"] for one in calendar["history"]["conversation"]] == ["Reminder: tea is ready"]
    [told] = calendar["history"]["reminder"]
    assert told["body"] == "tea is ready"
    assert abs(datetime.fromisoformat(told["time"]) - datetime.fromisoformat(at)) < timedelta(milliseconds=1)
    assert calendar["history"]["schedule"] == calendar["destiny"]["reminder"] == []
    coming = calendar["destiny"]["schedule"]
    assert {(one["body"], one["recurrence"]) for one in coming} == {("stretch", "0 8 * * *")}
    assert len(coming) == 3
    front.http.post(f"/api/persona/{persona_id}/stop")
    assert front.http.get(f"/api/persona/{persona_id}/calendar", params=span).status_code == 200


def test_a_task_is_answered_by_her_mind(front: DaemonProcess, make: Make) -> None:
    """The echo repeats what came to it, with the line above that says whose words these are not."""
    persona_id = make()
    with Listener(front, persona_id):
        body = {"body": "tell me the news", "at": soon(0.2), "task": True}
        assert front.http.post(f"/api/persona/{persona_id}/reminders", json=body).status_code == 201
        talk = wait_for(lambda: front.conversation(persona_id)[1:] and front.conversation(persona_id), "her answer")
    assert [line["role"] for line in talk] == ["person", "assistant"]
    assert talk[0]["content"].startswith("(Due now, as arranged;")
    assert "tell me the news" in talk[1]["content"]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"body": "x"}, "body", "Send either at, for once, or cron, for a routine."),
        ({"body": "x", "at": "2096-01-01", "cron": "* * * * *"}, "body", "Send either at"),
        ({"body": "x", "at": "2020-01-01"}, "at", "at is in the past: it is 20"),
        ({"body": "x", "at": "0001-01-01T00:00:00+14:00"}, "at", "at is in the past"),
        ({"body": "x", "at": "9999-12-31"}, "at", "more than a hundred years ahead"),
        ({"body": "x", "at": "tomorrow"}, "at", "Send ISO 8601"),
        ({"body": "x", "cron": "0 0 30 2 *"}, "cron", "cron cannot be taken"),
        ({"body": "x", "cron": "0 0 */30 * 0#2"}, "cron", "cron never comes"),
        ({"body": "x", "cron": "every day"}, "cron", "cron needs five fields"),
        ({"body": "x", "cron": "0 8 * * *", "zone": "Mars/One"}, "zone", "send an IANA name"),
        ({"body": "x", "cron": "0 8 * * *", "channel": "telegram"}, "channel", "send one of web, or leave it out"),
        ({"body": " ", "cron": "0 8 * * *"}, "body", "body is empty"),
        ({"body": "x" * 2001, "cron": "0 8 * * *"}, "body", "at most 2000 character"),
        ({"body": "x", "at": 7}, "at", "valid string"),
        ({"at": "2096-01-01"}, "body", "Field required"),
    ],
)
def test_what_is_refused(front: DaemonProcess, make: Make, body: Json, field: str, words: str) -> None:
    """422 names the field and says what to send; nothing is kept."""
    path = f"/api/persona/{make()}/reminders"
    answer = front.http.post(path, json=body)
    assert answer.status_code == 422
    [fault] = answer.json()["detail"]
    assert fault["loc"][-1] == field
    assert words in fault["msg"]
    assert front.http.get(path).json() == {"reminders": []}


def test_nobody_and_nothing(front: DaemonProcess, make: Make) -> None:
    """404 for an unknown persona and an unknown reminder, also another persona's."""
    mine, hers = make("Mine"), make("Hers")
    body = {"body": "x", "at": "2096-01-01"}
    number = front.http.post(f"/api/persona/{hers}/reminders", json=body).json()["id"]
    assert front.http.post("/api/persona/nobody/reminders", json=body).json() == {"detail": "Persona not found."}
    for name in (number, 10**17, "x", "-1", "9" * 40):
        for answer in (
            front.http.delete(f"/api/persona/{mine}/reminders/{name}"),
            front.http.patch(f"/api/persona/{mine}/reminders/{name}", json={"body": "y"}),
        ):
            assert answer.status_code == 404
            assert answer.json()["detail"].startswith("There is no such reminder: ")


def test_too_many(front: DaemonProcess, make: Make) -> None:
    """A bound keeps a mind that calls its tool in a loop from filling the disk: 409 says what to do."""
    path = f"/api/persona/{make()}/reminders"
    statuses = [front.http.post(path, json={"body": "x", "at": "2096-01-01"}).status_code for _ in range(501)]
    assert statuses == [201] * 500 + [409]
    assert "remove one" in front.http.post(path, json={"body": "x", "at": "2096-01-01"}).json()["detail"]


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("start=2026-01-01", 422, "Field required"),
        ("start=x&end=2026-01-01", 400, "start and end must be ISO dates"),
        ("start=1900-01-01&end=2026-01-01", 400, "start and end must be ISO dates"),
        ("start=2026-01-02&end=2026-01-01", 422, "end is before start"),
        ("start=2026-01-01&end=2126-01-01", 422, "ask for a shorter one"),
    ],
)
def test_a_calendar_that_cannot_be_shown(front: DaemonProcess, make: Make, query: str, status: int, words: str) -> None:
    """A hundred years of every minute are refused, and what is no range."""
    persona_id = make()
    front.http.post(f"/api/persona/{persona_id}/reminders", json={"body": "x", "cron": "* * * * *"})
    answer = front.http.get(f"/api/persona/{persona_id}/calendar?{query}")
    assert answer.status_code == status
    assert words in answer.text


def test_her_persons_zone(front: DaemonProcess, make: Make) -> None:
    """At her creation and later; 422 for an unknown one, which changes nothing."""
    persona_id = make(zone="Asia/Tokyo", quiet_hours="22:00-07:00")

    def shown() -> tuple[str, str]:
        personas = front.http.get("/api/status").json()["personas"]
        return next((one["zone"], one["quiet_hours"]) for one in personas if one["id"] == persona_id)

    assert shown() == ("Asia/Tokyo", "22:00-07:00")
    path = f"/api/persona/{persona_id}/update"
    for body in ({"zone": "Mars/One"}, {"quiet_hours": "always"}, {"zone": 7}):
        answer = front.http.post(path, json=body)
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", next(iter(body))])
    assert shown() == ("Asia/Tokyo", "22:00-07:00")
    assert front.http.post(path, json={"zone": "Europe/Oslo", "quiet_hours": ""}).status_code == 200
    assert shown() == ("Europe/Oslo", "")
    created = front.http.post("/api/persona/create", json={"name": "X", "thinking_model": "m", "zone": "Mars/One"})
    assert created.status_code == 422
