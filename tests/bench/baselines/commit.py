"""One durable commit after another, each awaited in an event loop.

Run as ``python -m tests.bench.baselines.commit LEDGER COUNT``; prints the seconds of each as JSON.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
import uvloop

from daemon.ledger import Ledger
from proto.messages import Conversation


async def commit(file: Path, count: int) -> list[float]:
    """Accept this many perceptions, one at a time."""
    ledger = await Ledger.open(file)
    conversation = Conversation("web", "persona")
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        await ledger.accept("persona", conversation, "text", "What is your name?", None, time.time_ns(), None)
        taken.append(time.perf_counter() - begun)
    await ledger.close()
    return taken


if __name__ == "__main__":
    print(msgspec.json.encode(uvloop.run(commit(Path(sys.argv[1]), int(sys.argv[2])))).decode())
