"""The naive way to connect a persona: start Python, import a worker and both providers' libraries, say hello.

Run as ``python -m tests.bench.baselines.naive_gateways ENDPOINT``.
"""

from __future__ import annotations

import sys

import worker.gateways.discord.gateway
import worker.gateways.telegram.gateway
import worker.process.main  # noqa: F401  (what every worker imports)
from tests.bench.baselines.greeting import greet

if __name__ == "__main__":
    greet(sys.argv[1])
