"""The naive way to start a persona's process: start Python, import what a worker imports, say hello.

Run as ``python -m tests.bench.baselines.naive ENDPOINT``.
"""

from __future__ import annotations

import sys

import openai  # noqa: F401  (what a worker with an OpenAI mind imports)

import worker.process.main  # noqa: F401  (what every worker imports)
from tests.bench.baselines.greeting import greet

if __name__ == "__main__":
    greet(sys.argv[1])
