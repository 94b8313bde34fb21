"""A feed that is cut off anywhere is continued by the next one, and nothing is learned twice."""

from __future__ import annotations

import json
import resource
import signal
import socket
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.daemon.feeding.feeding import (
    Feeding,
    LearningMind,
    create,
    export,
    facts,
    feed,
    feeder,
    learned,
    leftovers,
)
from tests.daemon_process import DaemonProcess, wait_for
from tests.observed import events, logged
from tests.patience import PATIENCE

Own = Callable[[], DaemonProcess]


def about(text: str, fact: str) -> bool:
    """Matches a request to consolidate a conversation with this fact."""
    return fact in text.partition("# The talk")[2]


def test_a_feeder_that_dies_is_replaced(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """A feeder that is killed during two conversations is replaced, and the client does not notice."""
    killed: set[str] = set()

    def strike(text: str) -> None:
        for fact in ("fact-1", "fact-4"):
            if about(text, fact) and fact not in killed:
                killed.add(fact)
                feeder(kitchen).send_signal(signal.SIGKILL)

    mind.strike = strike
    answer = feed(kitchen, eve, export(facts(6)))

    assert (answer.status_code, len(killed)) == (200, 2)
    assert learned(kitchen, eve) == Counter(facts(6))


def test_a_feeder_that_always_dies_is_given_up(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """After three deaths at one conversation the answer is 500 with a reason; later the same file is continued."""

    def strike(text: str) -> None:
        if about(text, "fact-2"):
            feeder(kitchen).send_signal(signal.SIGKILL)

    mind.strike = strike
    answer = feed(kitchen, eve, export(facts(4)))
    before = learned(kitchen, eve)
    mind.strike = None

    assert answer.status_code == 500
    assert "died 3 times in a row" in answer.json()["detail"]
    assert "SIGKILL" in answer.json()["detail"]
    assert before == Counter(facts(2))
    assert feed(kitchen, eve, export(facts(4))).status_code == 200
    assert learned(kitchen, eve) == Counter(facts(4))
    assert leftovers(kitchen, eve) == []


def test_a_feeder_that_hangs_is_replaced(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """A stopped feeder sends no heartbeat and is killed, and the next one continues."""
    stopped: list[psutil.Process] = []

    def strike(text: str) -> None:
        if about(text, "fact-1") and not stopped:
            stopped.append(feeder(kitchen))
            stopped[0].suspend()

    mind.strike = strike
    answer = feed(kitchen, eve, export(facts(3)))

    assert (answer.status_code, stopped[0].is_running()) == (200, False)
    assert learned(kitchen, eve) == Counter(facts(3))
    assert any("heartbeat" in entry["reason"] for entry in logged(kitchen, "feed.feeder_died"))


@pytest.mark.parametrize("verb", ["stop", "delete"])
def test_she_is_stopped_or_deleted_meanwhile(kitchen: DaemonProcess, mind: LearningMind, verb: str) -> None:
    """The feed ends with 409 at once, even while her mind is busy; a stopped persona's feed is continued later."""
    persona_id = create(kitchen, mind)
    mind.hold("fact-1")
    feeding = Feeding(kitchen, persona_id, export(facts(3)))
    wait_for(lambda: mind.times("fact-1") == 1, "the second conversation")
    kitchen.http.post(f"/api/persona/{persona_id}/{verb}")
    answer = feeding.ended()
    mind.let_go("fact-1")

    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("Persona is not active.")
    assert leftovers(kitchen, persona_id) == []
    if verb == "stop":
        kitchen.http.post(f"/api/persona/{persona_id}/start")
        assert feed(kitchen, persona_id, export(facts(3))).status_code == 200
        assert learned(kitchen, persona_id) == Counter(facts(3))
        kitchen.http.post(f"/api/persona/{persona_id}/delete")
    assert not (kitchen.state_dir / "personas" / persona_id).exists()


def test_a_client_that_hangs_up_ends_the_feed(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """The conversation in hand is finished and no other is started; the next feed continues from there."""
    mind.hold("fact-1")
    data = export(facts(4))
    boundary = "x7f"
    part = f"--{boundary}\r\nContent-Disposition: form-data; name="
    body = f'{part}"source"\r\n\r\nchatgpt\r\n{part}"history"; filename="a.json"\r\n\r\n'.encode() + data
    body += f"\r\n--{boundary}--\r\n".encode()
    head = (
        f"POST /api/persona/{eve}/feed HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", kitchen.port)) as connection:
        connection.sendall(head.encode() + body)
        wait_for(lambda: mind.times("fact-1") == 1, "the second conversation")
    mind.let_go("fact-1")
    wait_for(lambda: any(entry["cause"] == "hung_up" for entry in events(kitchen, "feed.ended")), "its end")

    assert learned(kitchen, eve) == Counter(facts(2))
    wait_for(lambda: not leftovers(kitchen, eve), "the export to be removed")
    assert feed(kitchen, eve, data).status_code == 200
    assert learned(kitchen, eve) == Counter(facts(4))


def test_a_full_disk(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """A full disk is 507 before and during a feed; with room again the same file is continued, and nothing doubled."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def strike(text: str) -> None:
        if about(text, "fact-1"):
            resource.prlimit(kitchen.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    mind.strike = strike
    during = feed(kitchen, eve, export(facts(3)))
    before = feed(kitchen, eve, export(facts(3)))
    resource.prlimit(kitchen.pid, resource.RLIMIT_FSIZE, unlimited)
    mind.strike = None

    assert (during.status_code, before.status_code) == (507, 507)
    assert learned(kitchen, eve) == Counter(facts(1))
    assert feed(kitchen, eve, export(facts(3))).status_code == 200
    assert learned(kitchen, eve) == Counter(facts(3))


def test_kill_9_of_the_daemon(own: Own, mind: LearningMind) -> None:
    """A daemon that is killed during a feed leaves nothing behind, and the same file is continued where it ended."""
    daemon = own()
    eve = create(daemon, mind)
    mind.hold("fact-2")
    feeding = Feeding(daemon, eve, export(facts(5)))
    wait_for(lambda: mind.times("fact-2") == 1, "the conversation to die in")
    assert leftovers(daemon, eve) != []
    daemon.kill()
    feeding.join(PATIENCE)
    mind.let_go("fact-2")
    own()

    assert leftovers(daemon, eve) == []
    assert learned(daemon, eve) == Counter(facts(2))
    assert feed(daemon, eve, export(facts(5))).status_code == 200
    assert learned(daemon, eve) == Counter(facts(5))


def test_a_daemon_that_is_asked_to_stop(own: Own, mind: LearningMind) -> None:
    """It does not wait for a mind, tells the client to try again, and leaves neither a process nor the export."""
    daemon = own()
    eve = create(daemon, mind)
    mind.hold("fact-1")
    feeding = Feeding(daemon, eve, export(facts(3)))
    wait_for(lambda: mind.times("fact-1") == 1, "the second conversation")
    process = feeder(daemon)
    # The mind is held until the daemon has ended, so a stop that waited for it would never come.
    code = daemon.stop()
    mind.let_go("fact-1")

    assert (code, feeding.ended().status_code) == (0, 503)
    assert not process.is_running()
    assert leftovers(daemon, eve) == []


def test_a_digest_that_was_not_written(own: Own, mind: LearningMind) -> None:
    """A digest that is only in the ledger after a crash is written at the next start, unless the file has changed."""
    daemon = own()
    eve, ada = create(daemon, mind), create(daemon, mind, "Ada")
    memory = {one: daemon.state_dir / "personas" / one / "memory" / "person.md" for one in (eve, ada)}
    for persona_id in memory:
        assert feed(daemon, persona_id, export(facts(1))).status_code == 200
    daemon.stop()
    for persona_id, file in memory.items():
        _undo(daemon.state_dir, persona_id, file.read_text())
    memory[eve].unlink()
    memory[ada].write_text("- edited by hand\n")
    own()
    after = {one: learned(daemon, one) for one in memory}
    by_hand = memory[ada].read_text()
    calls = len(mind.heard)
    for persona_id in memory:
        assert feed(daemon, persona_id, export(facts(1))).status_code == 200

    assert after == {eve: Counter(facts(1)), ada: Counter()}
    assert by_hand == "- edited by hand\n"
    assert learned(daemon, eve) == learned(daemon, ada) == Counter(facts(1))
    assert len(mind.heard) == calls + 1


def _undo(state_dir: Path, persona_id: str, after: str) -> None:
    """Reset the ledger to the moment before the files were written."""
    with sqlite3.connect(state_dir / "ledger.db") as ledger:
        [(key,)] = ledger.execute("SELECT key FROM feed WHERE persona = ?", (persona_id,)).fetchall()
        ledger.execute("UPDATE feed SET state = 'digested' WHERE persona = ?", (persona_id,))
        ledger.execute("DELETE FROM memory_version WHERE persona = ?", (persona_id,))
        ledger.execute(
            "INSERT INTO memory_change (persona, at, why, before, after) VALUES (?, 1, ?, '{}', ?)",
            (persona_id, json.dumps({"cause": "feed", "key": key}), json.dumps({"person": after})),
        )
    ledger.close()
