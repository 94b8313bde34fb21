"""Recall by words alone: no model, and nobody who would make vectors."""

from __future__ import annotations

import asyncio
from pathlib import Path

from daemon.conversations.recaller import Recaller
from daemon.ledger import Ledger
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.recall.meaning import Meaning, Vectors
from daemon.recall.service import Recall
from daemon.runtime.clock import Clock


def by_words(ledger: Ledger, personas: Personas, clock: Clock, log: Log) -> Recaller:
    """Return what a daemon has whose settings want no meaning."""
    meaning = Meaning(ledger, _nobody, personas, clock, log, is_wanted=False)
    return Recaller(Recall(ledger, meaning, clock, log), personas)


def _nobody(_texts: list[str], _folder: Path) -> asyncio.Task[Vectors]:
    raise AssertionError("nobody makes vectors here")
