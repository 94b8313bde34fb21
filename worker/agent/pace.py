"""How long her turns wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Pace:
    """Her waits, in seconds: before and between typing signs, and between attempts at an organ that is down."""

    at_once: float = 0.05
    typing: float = 4.0
    shortest: float = 0.5
    longest: float = 60.0
    permanent: float = 60.0
    """The wait after an error that lasts until somebody changes something."""
    organ: float = 2.0
    """The upper bound of the first pause before an organ other than the mind is retried."""
    speaking: float = 30.0
    """How long a finished text answer waits for its recording."""


PACE: Final = Pace()
