"""SIGKILL daemon and workers around the moments when reminders are due, then check the books.

``python -m tests.chaos.reminders --kills 300 --seed 7``
"""

from __future__ import annotations

import argparse
import logging
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psutil

from tests.chaos.load import Browser
from tests.chaos.matrix import SETTINGS
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.observed import all_gone, events, family, lines, status
from tests.patience import PATIENCE
from tests.providers import Chat, Telegram

AHEAD: Final = (0.3, 0.9)
"""Seconds from the request to the moment when a reminder is due."""

AROUND: Final = (-0.02, 0.05)
"""Seconds from that moment to the kill: before the transaction, in it, and while its frame or message is sent."""

EVERY: Final = 3
"""Only every third round has a reminder on Telegram, which takes one message a second."""

SETTLING: Final = 300.0
MARK: Final = "(perhaps repeated)"

_NUMBERED: Final = re.compile(r"<[a-z]+-\d+>")


@dataclass
class Result:
    """The audit's result: everything below ``late`` must be empty."""

    kills: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    seconds: float = 0.0
    late: int = 0
    """Told more than a second after they were due, because nobody was there."""
    missed: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    """Tasks that her mind never got, or that have no answer."""

    @property
    def good(self) -> bool:
        """Return whether each was told exactly once."""
        return not (self.missed or self.doubled or self.unanswered)

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {victim}" for victim, count in sorted(self.kills.items()))
        return (
            f"{sum(self.kills.values())} kills ({kills}) in {self.seconds:.0f} s: {self.asked} reminders,"
            f" {self.late} told late, {len(self.missed)} missed, {len(self.doubled)} doubled,"
            f" {len(self.unanswered)} tasks without an answer"
        )


def run(folder: Path, kills: int, seed: int) -> Result:
    """Kill this often and check the books."""
    draw, result, begun = random.Random(seed), Result(), time.monotonic()
    over = threading.Event()
    with Telegram() as telegram, ScriptedMind() as mind:
        daemon = DaemonProcess(folder / "state", {**SETTINGS, telegram.setting: telegram.url})
        try:
            daemon.start_warm("telegram")
            persona_id, chat = _eve(daemon, mind, telegram)
            browser = Browser(daemon, persona_id, over)
            browser.start()
            asked: dict[str, list[str]] = {"web": [], "task": [], "telegram": []}
            for number in range(kills):
                _round(daemon, persona_id, draw, number, asked, result)
            wait_for(lambda: _is_settled(daemon, persona_id, asked), "everything that is due", SETTLING)
            over.wait(1.0)
            over.set()
            browser.join(PATIENCE)
            _audit(daemon, persona_id, asked, browser, chat, result)
            everyone = family(daemon)
            assert daemon.stop() == 0
            all_gone(everyone)
        finally:
            over.set()
            daemon.close()
    result.seconds = time.monotonic() - begun
    return result


def _eve(daemon: DaemonProcess, mind: ScriptedMind, telegram: Telegram) -> tuple[str, Chat]:
    """Create a persona with a paired channel."""
    persona_id = daemon.create(
        "eve", thinking_model="m", thinking_provider="openai", thinking_api_key="k", thinking_url=mind.url
    )
    token = telegram.add_bot("eve_bot")
    path = f"/api/persona/{persona_id}"
    added = daemon.http.post(f"{path}/channels", json={"kind": "telegram", "credentials": {"token": token}})
    assert added.status_code == 200, added.text
    wait_for(lambda: status(daemon, persona_id)["channels"][0]["state"] == "connected", "the channel")
    chat = telegram.chat(token, "sam")
    paired = daemon.http.post(f"{path}/pair", json={"code": chat.ask_for_code()})
    assert paired.status_code == 200, paired.text
    chat.hears("hello")
    return persona_id, chat


def _round(
    daemon: DaemonProcess,
    persona_id: str,
    draw: random.Random,
    number: int,
    asked: dict[str, list[str]],
    result: Result,
) -> None:
    """Ask for reminders, and kill somebody around the moment when one of them is due."""
    due = time.time() + draw.uniform(*AHEAD)
    for kind in ("web", "task", *(["telegram"] if number % EVERY == 0 else [])):
        body = {
            "body": f"<{kind}-{number}>",
            "at": (datetime.fromtimestamp(0, UTC) + timedelta(seconds=due)).isoformat(),
            "channel": "telegram" if kind == "telegram" else "web",
            "task": kind == "task",
        }
        answer = daemon.http.post(f"/api/persona/{persona_id}/reminders", json=body)
        if answer.status_code == 422 and "in the past" in answer.text:
            continue
        assert answer.status_code == 201, answer.text
        asked[kind].append(f"<{kind}-{number}>")
        result.asked += 1
    time.sleep(max(0.0, due + draw.uniform(*AROUND) - time.time()))
    victim = draw.choice(("daemon", "daemon", "worker"))
    if victim == "daemon":
        everyone = family(daemon)
        daemon.kill()
        all_gone(everyone)
        daemon.start()
    else:
        for process in family(daemon):
            with suppress(psutil.NoSuchProcess):
                if process.name() == "eve":
                    process.send_signal(signal.SIGKILL)
    result.kills[victim] += 1


def _is_settled(daemon: DaemonProcess, persona_id: str, asked: dict[str, list[str]]) -> bool:
    """Return whether nothing is to come, and everything that came was answered or delivered."""
    view = status(daemon, persona_id)
    if view["reminders"] or view["inbox"] or any(channel["pending"] for channel in view["channels"]):
        return False
    told = Counter(token for _, text in lines(daemon, persona_id) for token in _NUMBERED.findall(text))
    return all(told[token] for tokens in asked.values() for token in tokens)


def _audit(
    daemon: DaemonProcess,
    persona_id: str,
    asked: dict[str, list[str]],
    browser: Browser,
    chat: Chat,
    result: Result,
) -> None:
    """Compare what was asked for with the conversation, with what the browser got, and with the provider."""
    conversation = lines(daemon, persona_id)
    said = _count(text for role, text in conversation if role == "assistant" and text.startswith("Reminder: "))
    heard = _count(text for role, text in conversation if role == "person")
    answered = _count(text for role, text in conversation if role == "assistant")
    shown = _count(text for text in browser.said if text.startswith("Reminder: "))
    arrived = _count(text.removeprefix(MARK) for text in chat.texts())
    openly = _count(text for text in chat.texts() if not text.startswith(MARK))
    for token in asked["web"]:
        _book(token, said[token], result)
        _book(token, shown[token], result)
    for token in asked["telegram"]:
        _book(token, said[token], result)
        # A repetition that cannot be excluded is marked.
        _book(token, min(1, arrived[token]) if openly[token] <= 1 else openly[token], result)
    for token in asked["task"]:
        _book(token, heard[token], result)
        result.unanswered += [] if answered[token] else [token]
    result.doubled += [str(seq) for seq, count in browser.seqs.items() if count > 1]
    result.late = sum(event["late"] > 0 for event in events(daemon, "reminder.told"))


def _count(texts: Iterable[str]) -> Counter[str]:
    return Counter(token for text in texts for token in _NUMBERED.findall(text))


def _book(token: str, count: int, result: Result) -> None:
    if count == 0:
        result.missed.append(token)
    elif count > 1:
        result.doubled.append(token)


def main() -> int:
    """Run it and print the summary. If the books do not balance, return 1 and keep the folder with state and log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # the emulators' answers to dead processes
    folder = Path(tempfile.mkdtemp(prefix="personad-chaos-"))
    result = run(folder, arguments.kills, arguments.seed)
    print(result)
    if result.good:
        shutil.rmtree(folder)
        return 0
    print(f"missed {result.missed[:20]}, doubled {result.doubled[:20]}, unanswered {result.unanswered[:20]}")
    print(f"state and log: {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
