"""The kill matrix: SIGKILL workers, zygote and daemon at random points under load, then check the books."""

from __future__ import annotations

import random
import re
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.chaos.load import Browser, Writer
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import all_gone, events, family, lines, status
from tests.patience import PATIENCE

PERSONAS: Final = 3
ORPHAN_TIMEOUT: Final = 2.0
LONGEST_PAUSE: Final = 0.8
"""Seconds between two kills: enough to hit a starting daemon, a busy one, and everything between."""
VICTIMS: Final = (*("worker",) * 5, *("zygote",) * 2, *("daemon",) * 3)

SETTINGS: Final = {
    "PERSONAD_SUPERVISOR_BACKOFF_MIN": "0.02",
    "PERSONAD_SUPERVISOR_BACKOFF_MAX": "0.2",
    "PERSONAD_SUPERVISOR_FAILURES": "1000",
    "PERSONAD_SUPERVISOR_FAILURE_WINDOW": "1",
    "PERSONAD_SUPERVISOR_POISON_DEATHS": "100",
    "PERSONAD_MIND_BURST_WINDOW": "0.1",
    "PERSONAD_MIND_RETRIES": "0",
}

_TOKEN: Final = re.compile(r"<[a-z]+-\d+>")


@dataclass
class Result:
    """The audit's result. Everything but the counts of what happened must be empty or zero."""

    kills: Counter[str] = field(default_factory=Counter)
    received: int = 0
    unsure: int = 0
    lost: list[str] = field(default_factory=list)
    """Received, but without an answer or a frame."""
    twice: list[str] = field(default_factory=list)
    """Heard, answered or delivered more than once."""
    invented: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    strays: int = 0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Return whether nothing was lost, doubled or invented."""
        return not (self.lost or self.twice or self.invented or self.unexpected or self.strays)

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {victim}" for victim, count in sorted(self.kills.items()))
        return (
            f"{sum(self.kills.values())} kills ({kills}) in {self.seconds:.0f} s: {self.received} received,"
            f" {self.unsure} unsure, {len(self.lost)} lost, {len(self.twice)} twice, {len(self.invented)} invented,"
            f" {len(self.unexpected)} unexpected answers, {self.strays} strays"
        )


def run(folder: Path, kills: int, seed: int) -> Result:
    """Kill this often and check the books."""
    draw, result, begun = random.Random(seed), Result(), time.monotonic()
    daemon, over = DaemonProcess(folder / "state", SETTINGS), threading.Event()
    with ScriptedMind() as mind:
        try:
            daemon.start_warm()
            ids = {f"chaos{'abcdefgh'[number]}": "" for number in range(PERSONAS)}
            for name in ids:
                ids[name] = daemon.create(
                    name, thinking_model="m", thinking_provider="openai", thinking_api_key="k", thinking_url=mind.url
                )
            writers = [Writer(daemon, persona_id, name, over) for name, persona_id in ids.items()]
            browsers = [Browser(daemon, persona_id, over) for persona_id in ids.values()]
            for thread in [*writers, *browsers]:
                thread.start()
            for _ in range(kills):
                time.sleep(draw.uniform(0.0, LONGEST_PAUSE))
                _strike(daemon, draw, list(ids), result)
            _settle(daemon, list(ids.values()), writers, over)
            for writer, browser, persona_id in zip(writers, browsers, ids.values(), strict=True):
                _audit(daemon, persona_id, writer, browser, result)
            everyone = family(daemon)
            assert daemon.stop() == 0
            all_gone(everyone, ORPHAN_TIMEOUT)
            result.strays = len(events(daemon, "spawner.strays_ended"))
        finally:
            over.set()
            daemon.close()
    result.seconds = time.monotonic() - begun
    return result


def _strike(daemon: DaemonProcess, draw: random.Random, names: list[str], result: Result) -> None:
    """Kill one process. A killed daemon must leave nothing behind and is started again."""
    victim = draw.choice(VICTIMS)
    if victim == "daemon":
        everyone = family(daemon)
        daemon.kill()
        all_gone(everyone, ORPHAN_TIMEOUT)
        daemon.start()
    else:
        wanted = draw.choice(names) if victim == "worker" else "python"
        found = wait_for(lambda: [process for process in family(daemon) if _is(process, wanted)], wanted)
        with suppress(psutil.NoSuchProcess):
            draw.choice(found).send_signal(signal.SIGKILL)
    result.kills[victim] += 1


def _is(process: psutil.Process, name: str) -> bool:
    try:
        return process.name().startswith(name) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _settle(daemon: DaemonProcess, ids: list[str], writers: list[Writer], over: threading.Event) -> None:
    """Write a last time to a running daemon, then wait until everything is answered."""
    for persona_id, writer in zip(ids, writers, strict=True):
        count = len(writer.received)
        wait_for(lambda n=count, w=writer: len(w.received) > n + 3, "her to accept again")  # type: ignore[misc]
        writer.stop()
        wait_for(lambda p=persona_id: status(daemon, p)["inbox"] == 0, "an empty inbox")  # type: ignore[misc]
    over.wait(1.0)
    over.set()


def _audit(daemon: DaemonProcess, persona_id: str, writer: Writer, browser: Browser, result: Result) -> None:
    """Compare what was received with the conversation, with a whole replay, and with what the browser got."""
    conversation = lines(daemon, persona_id)
    heard = Counter(token for role, text in conversation if role == "person" for token in _TOKEN.findall(text))
    answered = Counter(token for role, text in conversation if role == "assistant" for token in _TOKEN.findall(text))
    with Listener(daemon, persona_id, after=0) as listener:
        last = writer.received[-1]
        listener.hears(last)
        replayed = Counter(token for text in listener.words for token in _TOKEN.findall(text))
    browser.join(PATIENCE)
    delivered = Counter(token for text in browser.said for token in _TOKEN.findall(text))
    for book in (heard, answered, replayed, delivered):
        result.lost += [token for token in writer.received if book[token] == 0]
        result.twice += [token for token, count in book.items() if count > 1]
        result.invented += [token for token in book if token not in {*writer.received, *writer.unsure}]
    result.lost += [token for token in heard if not answered[token]]
    result.twice += [str(seq) for seq, count in browser.seqs.items() if count > 1]
    result.received += len(writer.received)
    result.unsure += len(writer.unsure)
    result.unexpected += writer.unexpected
