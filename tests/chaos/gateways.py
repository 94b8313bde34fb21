"""SIGKILL workers and lose answers while people write over Telegram and Discord, then check the books.

``python -m tests.chaos.gateways --messages 1000 --kills 100 --seed 7``
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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.chaos.matrix import SETTINGS
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.observed import all_gone, events, family, lines, status
from tests.providers import Chat, Discord, Provider, Telegram

KINDS: Final = ("telegram", "discord")
RATE: Final = 8.0
"""Messages per second over all chats."""

THOUGHT: Final = 0.35
"""Seconds before each of the four pieces of an answer. Messages that arrive meanwhile are answered together, so that
answers keep the providers' pace of one per second, and a kill often hits a thinking mind."""

LOSS: Final = 0.04
"""How often, per message, the answer to a send is lost on its way back, so that nobody knows whether it arrived."""

SETTLING: Final = 120.0
MARK: Final = "(perhaps repeated)"

_NUMBERED: Final = re.compile(r"<[a-z]+-\d+>")


@dataclass
class Books:
    """One provider's results. Everything below ``doubled`` must be empty, and ``peak`` 1."""

    written: list[str] = field(default_factory=list)
    doubled: int = 0
    """Answers that were delivered again; on Telegram each of them is marked."""
    unanswered: list[str] = field(default_factory=list)
    answered_twice: list[str] = field(default_factory=list)
    undelivered: list[str] = field(default_factory=list)
    unmarked: list[str] = field(default_factory=list)
    """Delivered twice, and nothing told the person."""
    peak: int = 0

    @property
    def faults(self) -> list[str]:
        """Return what must not have happened."""
        found = [f"unanswered {one}" for one in self.unanswered]
        found += [f"answered twice {one}" for one in self.answered_twice]
        found += [f"undelivered {one}" for one in self.undelivered]
        found += [f"twice without a mark {one}" for one in self.unmarked]
        return found + [f"{self.peak} pollers at once"] * (self.peak > 1)


@dataclass
class Result:
    """Both providers' results, and what was done to them."""

    kills: int = 0
    losses: int = 0
    generations: int = 0
    strays: int = 0
    seconds: float = 0.0
    books: dict[str, Books] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """Return what must not have happened; empty when the books balance."""
        found = [f"{kind}: {fault}" for kind, books in self.books.items() for fault in books.faults]
        return found + [f"{self.strays} strays"] * (self.strays > 0)

    def __str__(self) -> str:
        sides = "; ".join(
            f"{kind}: {len(books.written)} written, {len(books.unanswered)} unanswered,"
            f" {len(books.answered_twice)} answered twice, {len(books.undelivered)} undelivered,"
            f" {books.doubled} delivered again ({len(books.unmarked)} unmarked), {books.peak} poller at most"
            for kind, books in self.books.items()
        )
        done = f"{self.kills} kills, {self.losses} lost answers, {self.generations} generations in {self.seconds:.0f} s"
        return f"{done}. {sides}"


@dataclass
class Line:
    """A persona with one channel, and the person who writes to her."""

    name: str
    provider: Provider
    persona_id: str
    token: str
    chat: Chat
    books: Books
    """The books of her provider."""
    written: list[str] = field(default_factory=list)


def run(folder: Path, messages: int, kills: int, seed: int, kinds: Sequence[str] = KINDS, personas: int = 1) -> Result:
    """Write and kill this often, with this many personas on each provider, and check the books."""
    result, begun, mind = Result(), time.monotonic(), ScriptedMind()
    with Telegram() as telegram, Discord() as discord, mind:
        providers: list[Provider] = [one for one in (telegram, discord) if one.kind in kinds]
        urls = {one.setting: one.url for one in providers}
        daemon = DaemonProcess(folder / "state", {**SETTINGS, **urls})
        try:
            daemon.start_warm(*kinds)
            mind.default = Step(pause=THOUGHT)
            chats = [_connect(daemon, mind, one, number, result) for number in range(personas) for one in providers]
            _torment(daemon, chats, messages, kills, random.Random(seed), result)
            for one in chats:
                _audit(daemon, one)
                result.generations += status(daemon, one.persona_id)["generation"]
            everyone = family(daemon)
            assert daemon.stop() == 0
            all_gone(everyone)
            result.strays = len(events(daemon, "spawner.strays_ended"))
        finally:
            daemon.close()
    result.seconds = time.monotonic() - begun
    return result


def _connect(daemon: DaemonProcess, mind: ScriptedMind, provider: Provider, number: int, result: Result) -> Line:
    """Create a persona with a paired channel."""
    name = f"{provider.kind}{'abcdefgh'[number]}"
    persona_id = daemon.create(
        name, thinking_model="m", thinking_provider="openai", thinking_api_key="k", thinking_url=mind.url
    )
    token = provider.add_bot(f"{name}_bot")
    body = {"kind": provider.kind, "credentials": {"token": token}}
    answer = daemon.http.post(f"/api/persona/{persona_id}/channels", json=body)
    assert answer.status_code == 200, answer.text
    wait_for(lambda: _is_connected(daemon, persona_id), "the channel")
    chat = provider.chat(token, f"person_{name}")
    paired = daemon.http.post(f"/api/persona/{persona_id}/pair", json={"code": chat.ask_for_code()})
    assert paired.status_code == 200, paired.text
    chat.hears("hello")
    books = result.books.setdefault(provider.kind, Books())
    return Line(name, provider, persona_id, token, chat, books)


def _torment(
    daemon: DaemonProcess, chats: list[Line], messages: int, kills: int, draw: random.Random, result: Result
) -> None:
    """Write at an even rate, kill at random moments meanwhile, and wait until all is delivered."""
    over, losing = threading.Event(), random.Random(draw.random())
    length = messages / RATE
    killer = threading.Thread(target=_kill, args=(daemon, chats, kills, length, draw, over, result), daemon=True)
    killer.start()
    begun = time.monotonic()
    for number in range(messages):
        over.wait(max(0.0, begun + number / RATE - time.monotonic()))
        one = chats[number % len(chats)]
        one.written.append(f"<{one.name}-{number}>")
        one.chat.write(one.written[-1])
        if losing.random() < LOSS:
            one.provider.lose_answer()
            result.losses += 1
    killer.join(length + SETTLING)
    over.set()
    for one in chats:
        wait_for(lambda t=one: _is_settled(daemon, t), f"{one.name}'s deliveries", SETTLING)  # type: ignore[misc]


def _kill(
    daemon: DaemonProcess,
    chats: list[Line],
    kills: int,
    length: float,
    draw: random.Random,
    over: threading.Event,
    result: Result,
) -> None:
    """SIGKILL one worker after another, at random moments."""
    begun = time.monotonic()
    for moment in sorted(draw.uniform(0.0, length) for _ in range(kills)):
        if over.wait(max(0.0, begun + moment - time.monotonic())):
            return
        name = draw.choice(chats).name
        victims = wait_for(lambda n=name: [one for one in family(daemon) if _is(one, n)], f"{name}'s process")  # type: ignore[misc]
        try:
            draw.choice(victims).send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
        result.kills += 1


def _is(process: psutil.Process, name: str) -> bool:
    try:
        return process.name() == name[:15] and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_connected(daemon: DaemonProcess, persona_id: str) -> bool:
    return [one["state"] for one in status(daemon, persona_id)["channels"]] == ["connected"]


def _is_settled(daemon: DaemonProcess, one: Line) -> bool:
    """Return whether every message is answered, and every answer delivered or given up."""
    view = status(daemon, one.persona_id)
    if view["inbox"] or view["channels"][0]["pending"]:
        return False
    heard = {text for role, content in lines(daemon, one.persona_id) if role == "person" for text in _found(content)}
    return heard >= set(one.written)


def _audit(daemon: DaemonProcess, one: Line) -> None:
    """Compare what was written with the conversation, and with what arrived at the provider."""
    books = one.books
    conversation = [_found(content) for role, content in lines(daemon, one.persona_id) if role == "assistant"]
    answers = Counter(text for found in conversation for text in found)
    arrived: Counter[str] = Counter()
    openly: Counter[str] = Counter()
    for message in one.chat.texts():
        arrived.update(_found(message))
        openly.update(() if message.startswith(MARK) else _found(message))
    books.written += one.written
    books.unanswered += [text for text in one.written if not answers[text]]
    books.answered_twice += [text for text in one.written if answers[text] > 1]
    books.undelivered += [text for text in one.written if not arrived[text]]
    books.unmarked += [text for text in one.written if openly[text] > 1]
    books.doubled += sum(count - 1 for count in arrived.values() if count > 1)
    books.peak = max(books.peak, one.provider.peak(one.token))


def _found(content: str) -> list[str]:
    return _NUMBERED.findall(content)


def main() -> int:
    """Run it and print the summary. If the books do not balance, return 1 and keep the folder with state and log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--personas", type=int, default=3, help="on each provider, eight at most")
    parser.add_argument("--provider", choices=[*KINDS, "both"], default="both")
    arguments = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # the emulators' answers to dead processes
    kinds = KINDS if arguments.provider == "both" else [arguments.provider]
    folder = Path(tempfile.mkdtemp(prefix="personad-chaos-"))
    result = run(folder, arguments.messages, arguments.kills, arguments.seed, kinds, arguments.personas)
    print(result)
    if not result.faults:
        shutil.rmtree(folder)
        return 0
    print("\n".join(result.faults[:40]), f"state and log: {folder}", sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
