"""What a call cost that nobody lived to tell of."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import worker

Launch = Callable[..., DaemonProcess]


def answers(daemon: DaemonProcess, persona_id: str) -> dict[str, int]:
    """How many calls for answers are booked, by where their numbers are from."""
    rows: list[dict[str, Any]] = daemon.http.get(f"/api/persona/{persona_id}/usage").json()["rows"]
    return {row["source"]: row["calls"] for row in rows if row["purpose"] == "answer"}


def test_calls_in_hand_at_kills_are_booked_once(launch: Launch, brain: ScriptedMind) -> None:
    """A worker and then the daemon die within a call: each call stays spent at what was reserved, and once."""
    daemon = launch()
    eve = create(daemon, brain)
    daemon.http.post(f"/api/persona/{eve}/budget", json={"day": "1000000 tokens"})
    brain.hold("hello")
    with Listener(daemon, eve):
        daemon.read(eve, "hello")
        wait_for(lambda: brain.times("hello") == 1, "the first call")
    worker(daemon, eve).send_signal(signal.SIGKILL)
    wait_for(lambda: brain.times("hello") == 2, "the second call")
    wait_for(lambda: answers(daemon, eve) == {"estimated": 1, "open": 1}, "the first call's booking")
    daemon.kill()
    daemon.start().ready()
    wait_for(lambda: brain.times("hello") == 3, "the third call")
    with Listener(daemon, eve) as listener:
        brain.let_go("hello")
        wait_for(lambda: listener.words, "her answer")
    wait_for(lambda: "reported" in answers(daemon, eve), "its booking")

    assert answers(daemon, eve) == {"estimated": 2, "reported": 1}
