"""Pairing codes: shown on the channel, claimed by the owner, worthless to anybody else."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import deque
from typing import Final

from daemon.runtime.clock import Clock

ALPHABET: Final = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""No look-alikes: no I, L, O, 0, 1."""

LENGTH: Final = 6
LIFETIME: Final = 600.0
"""Seconds that a code is valid; the API documents 10 minutes."""

GUESSES: Final = 5
"""Wrong codes per persona within a code's lifetime; further codes are not even checked."""

GUESSES_OVERALL: Final = 20

ROUNDS: Final = 200_000
"""PBKDF2 rounds, about 60 ms per code: a stolen hash would take years to crack, and a code lives for minutes.
scrypt is not used because its memory would stay with the daemon."""


def new_code() -> str:
    """A code of 30 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


async def code_hash(persona_id: str, code: str) -> str:
    """The hash that is stored of a code. The API documents that letter case does not matter."""
    return await asyncio.to_thread(_hash, persona_id, code.strip().upper())


def _hash(persona_id: str, code: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", code.encode(), persona_id.encode(), ROUNDS).hex()


class Throttle:
    """Limits wrong codes, per persona and overall."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._overall: deque[float] = deque(maxlen=GUESSES_OVERALL)
        self._by_persona: dict[str, deque[float]] = {}

    def closed(self, persona_id: str) -> bool:
        """Whether no further code may be checked now."""
        mine = self._by_persona.get(persona_id)
        return self._full(self._overall) or (mine is not None and self._full(mine))

    def wrong(self, persona_id: str) -> None:
        """Count a wrong code."""
        now = self._clock.monotonic()
        self._overall.append(now)
        self._by_persona.setdefault(persona_id, deque(maxlen=GUESSES)).append(now)

    def forget(self, persona_id: str) -> None:
        """Forget the wrong codes of a persona that was paired or deleted."""
        self._by_persona.pop(persona_id, None)

    def _full(self, guesses: deque[float]) -> bool:
        return len(guesses) == guesses.maxlen and self._clock.monotonic() - guesses[0] < LIFETIME
