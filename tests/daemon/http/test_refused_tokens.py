"""Refused tokens are seen in the log, and cannot fill it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from daemon.http.refused_tokens import EVERY, RefusedTokens
from daemon.logging.log import Log, Sink
from daemon.runtime.tasks import daemon_tasks
from daemon.settings.sections import Logs
from tests.daemon.fakes.clock import JumpingLoop, LoopClock


def test_one_event_a_minute(tmp_path: Path) -> None:
    """The first is told at once, the next thousand together, and none is lost when they stop."""
    file = tmp_path / "log"

    async def test(log: Log) -> None:
        refused = RefusedTokens(daemon_tasks(LoopClock(), log), log)
        for _ in range(1001):
            refused.count({"type": "http", "client": ("192.0.2.7", 5000)})
        await asyncio.sleep(3 * EVERY)
        refused.count({"type": "websocket", "client": None})
        await asyncio.sleep(3 * EVERY)
        log.flush()

    with file.open("wb") as stream, asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(test(Log(Sink(Logs(), stream.fileno(), terminal=False))))
    events: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(one["event"], one["level"], one["count"], one["address"]) for one in events] == [
        ("tokens.refused", "warning", 1, "192.0.2.7"),
        ("tokens.refused", "warning", 1000, "192.0.2.7"),
        ("tokens.refused", "warning", 1, ""),
    ]
