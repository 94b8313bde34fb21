"""Recall: what a mind that can only repeat its prompt answers about years of talk, and what finding it costs."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

from starlette.requests import Request
from starlette.responses import Response

from daemon.ledger import Asked, Ledger, recall_index
from daemon.ledger.known import LEDGER_NAME, mark_of
from daemon.ledger.meaning import BLOCK, Batch
from proto.host import VECTOR
from proto.messages import Conversation, Outgoing
from tests.bench.figures import median, milliseconds, percentile
from tests.bench.repeater import is_right, repeated
from tests.bench.stand import fresh_daemon
from tests.bench.table import Line
from tests.bench.talks import KINDS, Question, Years, archived, years
from tests.daemon_process import DaemonProcess
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from tests.patience import PATIENCE

TALKS: Final = 500
QUESTIONS: Final = 30
"""Of each kind."""
SEED: Final = 10
YEAR: Final = 365 * 24 * 3600 * 1_000_000_000
MANY: Final = 100_000
EXCHANGES: Final = 2_000
EVE: Final = "00000000-0000-4000-8000-0000000000e5"

GOAL_FOUND: Final = 0.95
GOAL_LOOKUP: Final = 0.050
MOST_PROMPT: Final = 12_000
"""Tokens at four characters each: history, passages and who she is."""


class Repeater(OpenAIEmulator):
    """A mind that repeats what its prompt holds about the question, and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.questions: dict[str, Question] = {}
        self.longest = 0

    async def play(self, request: Request, text: str) -> Response:
        """Answer from the system prompt of this request."""
        messages = self.journal[-1].body["messages"]
        self.longest = max(self.longest, sum(len(str(message["content"])) for message in messages) // 4)
        if question := self.questions.get(text):
            self.script(Step(repeated(messages[0]["content"], question)))
        return await super().play(request, text)


def measure() -> list[Line]:
    """Ask everything over HTTP, then time the search and the writing of lines in this process."""
    return [*_answers(), *asyncio.run(_costs())]


def _answers() -> list[Line]:
    right: Counter[str] = Counter()
    with Repeater() as mind, fresh_daemon({"PERSONAD_ORGANS_MEANING": "false"}) as daemon:
        daemon.start().ready()
        organs = {"thinking_provider": "openai", "thinking_url": mind.url, "thinking_api_key": "k"}
        persona_id = daemon.create("Eve", thinking_model="m", **organs)
        daemon.stop()
        told = years(TALKS, QUESTIONS, SEED, time.time_ns() - 3 * YEAR)
        asyncio.run(_fill(daemon.state_dir / LEDGER_NAME, persona_id, told))
        daemon.start().ready()
        mind.questions = {question.words: question for question in told.questions}
        for question in told.questions:
            right[question.kind] += is_right(_asked(daemon, persona_id, question.words), question)
    kinds = [kind for kind in KINDS if kind != "never said"]
    found, never = sum(right[kind] for kind in kinds), right["never said"]
    share = found / (QUESTIONS * len(kinds))
    by_kind = ", ".join(f"{kind} {right[kind]}" for kind in kinds)
    return [
        Line(
            f"recall, {TALKS} talks in three years: its evidence is in the prompt ({by_kind}, each of {QUESTIONS})",
            personad=f"{share:.1%}",
            goal=">= 95 %",
            met=share >= GOAL_FOUND,
            figures={"share": share},
        ),
        Line(
            "the same: never said, and answered as such",
            personad=f"{never / QUESTIONS:.0%}",
            goal="100 %",
            met=never == QUESTIONS,
            figures={"never_said": never / QUESTIONS},
        ),
        Line(
            "the same: the longest prompt, in tokens",
            personad=f"{mind.longest:,}",
            goal=f"<= {MOST_PROMPT:,}",
            met=mind.longest <= MOST_PROMPT,
            figures={"prompt_tokens": mind.longest},
        ),
    ]


def _asked(daemon: DaemonProcess, persona_id: str, words: str) -> str:
    with daemon.socket(f"/ws/{persona_id}") as socket:
        assert daemon.read(persona_id, words).status_code == 200
        while True:
            frame = json.loads(socket.recv(timeout=PATIENCE))
            if frame["type"] == "chat_message":
                return str(frame["content"])


async def _fill(path: Path, persona_id: str, told: Years) -> None:
    ledger = await Ledger.open(path, mark_of(path.parent))
    lines = archived(told.lines, persona_id)
    for start in range(0, len(lines), 500):
        await ledger.put_back(persona_id, lines[start : start + 500])
    await ledger.close()


async def _costs() -> list[Line]:
    with tempfile.TemporaryDirectory(prefix="personad-bench-") as folder:
        path = Path(folder) / LEDGER_NAME
        told = years(MANY // 17, QUESTIONS, SEED, 1)
        begun = time.perf_counter()
        await _fill(path, EVE, told)
        filled = (time.perf_counter() - begun) / len(told.lines)
        ledger = await Ledger.open(path)
        by_words = await _lookups(ledger, told, vectors=False)
        await _mean(ledger, len(told.lines))
        by_both = await _lookups(ledger, told, vectors=True)
        await ledger.close()
    without, with_index = await _ingest(indexed=False), await _ingest(indexed=True)
    return [
        _lookup_line(f"recall by words among {len(told.lines):,} lines", by_words),
        _lookup_line("the same by words and meaning", by_both),
        Line(
            "an exchange of two lines, accepted, answered and searchable (baseline: without the index)",
            milliseconds(without),
            milliseconds(with_index),
            with_index / without,
            figures={"without": without, "with": with_index, "restored_line": filled},
        ),
    ]


def _lookup_line(what: str, times: list[float]) -> Line:
    p95 = percentile(times, 95)
    shown = f"p50 {milliseconds(median(times))}, p95 {milliseconds(p95)}"
    figures = {"p50": median(times), "p95": p95}
    return Line(what, personad=shown, goal="p95 < 50 ms", met=p95 < GOAL_LOOKUP, figures=figures)


async def _lookups(ledger: Ledger, told: Years, *, vectors: bool) -> list[float]:
    dice = random.Random(SEED)
    times = []
    for question in told.questions:
        vector = dice.randbytes(VECTOR) if vectors else b""
        asked = Asked(question.words, Conversation("web", EVE), time.time_ns(), seen=40, vector=vector)
        begun = time.perf_counter()
        await ledger.recall(EVE, asked)
        times.append(time.perf_counter() - begun)
    return times


async def _mean(ledger: Ledger, lines: int) -> None:
    """Give each line a vector. The search reads as much whatever they mean."""
    dice = random.Random(SEED)
    for start in range(1, lines, BLOCK):
        entries = [(line, dice.randbytes(VECTOR)) for line in range(start, min(start + BLOCK, lines + 1))]
        await ledger.put_meaning(EVE, "m", entries, Batch([], entries[-1][0], 0))


async def _ingest(*, indexed: bool) -> float:
    """Return the seconds of one exchange, each in transactions of its own."""
    with tempfile.TemporaryDirectory(prefix="personad-bench-") as folder, _without_index(not indexed):
        ledger = await Ledger.open(Path(folder) / LEDGER_NAME)
        web = Conversation("web", EVE)
        words = [line.words for line in years(EXCHANGES // 8, 1, SEED, 1).lines]
        begun = time.perf_counter()
        for number in range(1, EXCHANGES + 1):
            told = words[number % len(words)]
            perception = await ledger.accept(EVE, web, "text", told, None, number, None)
            assert perception is not None
            await ledger.answer(EVE, [perception], web, [Outgoing(told)], [number], number)
        taken = time.perf_counter() - begun
        await ledger.close()
    return taken / EXCHANGES


@contextmanager
def _without_index(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with patch.object(recall_index, "said", lambda *_: None):
        yield
