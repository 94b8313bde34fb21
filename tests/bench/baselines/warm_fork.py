"""The least that a respawn can cost: a warm process forks, and the child says hello.

Run as ``python -m tests.bench.baselines.warm_fork ENDPOINT KIND``; prints a line when it is warm, and forks once for
each line that it reads.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

import worker.process.main  # noqa: F401  (what every worker imports)
from tests.bench.baselines.greeting import greet
from worker.process.zygote import preload


def main(endpoint: str, kind: str) -> None:
    """Warm up like the zygote, and fork until standard input ends."""
    preload([kind])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    print("warm", flush=True)
    while os.read(0, 1):
        if not os.fork():
            greet(endpoint)
            os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
