"""A visitor's words are erased for good: from the lists, from what her mind is told, from the ledger and the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from tests.daemon.channels.open.counter import Counter
from tests.daemon_process import wait_for
from tests.providers import TelegramChat

PHOTO = b"\xff\xd8\xff\xe0" + b"photo" * 20


def lines_with(counter: Counter, word: str) -> list[Any]:
    """The rows of the ledger that hold a word. Any: a column."""
    with closing(sqlite3.connect(counter.daemon.state_dir / "ledger.db")) as connection:
        return [
            row
            for table in ("conversation", "inbox", "outbox")
            for row in connection.execute(f"SELECT content FROM {table} WHERE content LIKE ?", (f"%{word}%",))  # noqa: S608 - a constant
        ]


def told(counter: Counter, person: TelegramChat) -> None:
    """Let a person tell a secret and send a photo, both answered."""
    person.write("my SECRET is Rex")
    person.hears("SECRET")
    person.send("photo", PHOTO, caption="look")
    person.hears("look")


def files(counter: Counter) -> list[str]:
    """Her media folder."""
    return [one.name for one in (counter.daemon.state_dir / "personas" / counter.id / "media").glob("*")]


def test_a_conversation_is_erased(counter: Counter) -> None:
    """Afterwards the same person is a stranger; the other's conversation is untouched."""
    channel = counter.open()
    ann, bob = counter.visitors(2)
    told(counter, ann)
    bob.write("I am bob")
    bob.hears("bob")
    ((number,),) = [one["senderIds"] for one in counter.conversations() if one["id"] == str(ann.person.id)]
    assert number == str(ann.person.id)
    path = f"/v1/channels/{channel}/conversations/{ann.person.id}"
    assert counter.daemon.http.delete(path).status_code == 204
    assert lines_with(counter, "SECRET") == []
    assert files(counter) == []
    assert [one["id"] for one in counter.conversations()] == [str(bob.person.id)]
    assert counter.daemon.http.get(f"{path}/messages").status_code == 404
    again = counter.daemon.http.delete(path)
    assert (again.status_code, again.headers["content-type"]) == (404, "application/problem+json")
    ann.write("what is my dog called?")
    ann.hears("called")
    assert "Rex" not in str(counter.brain.journal[-1].body)


def test_a_sender_is_erased_everywhere(counter: Counter) -> None:
    """All conversations of an account are erased; an account that wrote nowhere is not found."""
    counter.open()
    ann = counter.visitor("everywhere")
    told(counter, ann)
    assert counter.daemon.http.delete(f"/v1/senders/{ann.person.id}").status_code == 204
    assert lines_with(counter, "SECRET") == []
    assert counter.conversations() == []
    assert counter.shown()["conversationCount"] == 0
    assert counter.daemon.http.delete(f"/v1/senders/{ann.person.id}").status_code == 404


def test_a_deleted_channel_takes_its_words_along(counter: Counter) -> None:
    """Made again, the channel has a new id, and nobody's old words."""
    old = counter.open()
    ann = counter.visitor("gone")
    told(counter, ann)
    assert counter.daemon.http.delete(f"/v1/channels/{old}").status_code == 204
    wait_for(lambda: not files(counter), "the files to be deleted")
    assert lines_with(counter, "SECRET") == []
    body = {"name": "New", "channelType": "telegram", "botToken": counter.token, "systemPromptId": counter.id}
    made = counter.daemon.http.post("/v1/channels", json=body)
    assert made.status_code == 201
    counter.channel = made.json()["id"]
    assert counter.channel != old
    counter.connected()
    assert counter.daemon.http.get(f"/v1/channels/{old}").status_code == 404
    ann.write("do you know me?")
    ann.hears("know me")
    assert "Rex" not in str(counter.brain.journal[-1].body)
    assert counter.shown()["messageCount"] == 2
