"""Appointments that a person makes in a conversation, and what comes of them whatever dies meanwhile."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.daemon.channels.stage import CONNECTED, ledger
from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.listener import Listener
from tests.observed import worker
from tests.providers import Telegram

Launch = Callable[..., DaemonProcess]

REMIND = json.dumps({"body": "water the fern", "when": "in 2 hours"})


def planned(daemon: DaemonProcess, persona_id: str) -> list[dict[str, Any]]:
    """What is to come. Any: JSON of the API."""
    found: list[dict[str, Any]] = daemon.http.get(f"/api/persona/{persona_id}/reminders").json()["reminders"]
    return found


def test_plain_english_over_http(daemon: DaemonProcess) -> None:
    """With the included mind a reminder is made, listed, cancelled, and told when it is due, without any model."""
    adam = daemon.create()
    with Listener(daemon, adam) as listener:
        daemon.read(adam, "Remind me in 2 hours to water the fern.")
        listener.hears("I will remind you on", ": water the fern.")
        (row,) = planned(daemon, adam)
        assert (row["body"], row["channel"]["type"], row["task"], row["cron"]) == ("water the fern", "web", False, None)
        daemon.read(adam, "What have you planned?")
        listener.hears("1. water the fern: ")
        daemon.read(adam, "Cancel the fern")
        listener.hears("It is cancelled: water the fern")
        assert planned(daemon, adam) == []
        daemon.read(adam, "Remind me in 1 second to stretch")
        listener.hears("Reminder: stretch")
        assert listener.count("Reminder: ") == 1


def test_a_reminder_that_was_set_in_telegram_comes_there_after_a_kill(launch: Launch) -> None:
    """The daemon is killed before it is due and started after that: it is told there, once, with when it was meant."""
    with Telegram() as telegram:
        daemon = launch(**{telegram.setting: telegram.emulator.url})
        adam = daemon.create()
        token = telegram.add_bot("bot")
        body = {"kind": "telegram", "credentials": {"token": token}}
        assert daemon.http.post(f"/api/persona/{adam}/channels", json=body).status_code == 200
        chat = telegram.chat(token, "alice")
        code = chat.ask_for_code()
        assert daemon.http.post(f"/api/persona/{adam}/pair", json={"code": code}).status_code == 200
        chat.hears(CONNECTED)
        chat.write("Remind me in 2 hours to water the fern")
        chat.hears("I will remind you on")
        daemon.kill()
        with ledger(daemon) as file:
            past = time.time_ns() - 3600 * 1_000_000_000
            assert file.execute("UPDATE reminder SET due = ?1, wake = ?1", (past,)).rowcount == 1
        daemon.start().ready()
        chat.hears("Reminder: water the fern", "(This was due on ")
        chat.write("What have you planned?")
        chat.hears("Nothing is planned.")
        assert chat.count("Reminder: water the fern") == 1


def test_a_turn_that_is_repeated_makes_one_reminder(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """Her worker dies after the reminder was made and before she answered: the next one asks again, and gets it."""
    eve = create(daemon, brain)
    deaths = list[int]()

    def strike(text: str) -> None:
        if text.startswith("Done.") and not deaths:
            deaths.append(1)
            worker(daemon, eve).send_signal(signal.SIGKILL)

    brain.answer = lambda text: Step(calls=(("remind", REMIND),)) if text == "Please remind me" else None
    brain.strike = strike
    with Listener(daemon, eve) as listener:
        daemon.read(eve, "Please remind me")
        listener.hears("Done. id ")
        assert listener.count("Done. id ") == 1
    assert deaths == [1]
    (row,) = planned(daemon, eve)
    assert row["body"] == "water the fern"
    assert brain.times("Please remind me") == 2


def test_a_task_comes_due_and_may_end_in_silence(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """Her mind reads it as no words of the person, and its answer goes to the person; silence is an answer, too."""
    eve = create(daemon, brain)
    brain.answer = lambda text: Step("(silence)") if text.endswith("if it snows") else None
    with Listener(daemon, eve) as listener:
        for words in ("tell me if it snows", "ask how I slept"):
            body = {"body": words, "at": _in(1), "task": True}
            assert daemon.http.post(f"/api/persona/{eve}/reminders", json=body).status_code == 201
            wait_for(partial(brain.times, words), f"the task {words!r}")
        listener.hears("ask how I slept")
        assert "(silence)" not in listener.words
        assert listener.count("Nobody wrote this.") == 1
    wait_for(lambda: daemon.http.get("/api/status").json()["personas"][0]["inbox"] == 0, "nothing to wait")


def _in(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + seconds))
