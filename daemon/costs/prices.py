"""What calls are worth, by the prices in the settings, in whole nano-units of their currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from daemon.settings.amounts import nano
from daemon.settings.settings import Price
from proto.costs import Used

MILLION: Final = 1_000_000
MINUTE: Final = 60

MOST: Final = 2**53
"""Nano-units of one call: nine million of a currency. Sums of what a worker claims stay within a ledger's numbers."""

FREE: Final = frozenset(("local",))
"""Providers that take no money, unless a price says something else."""


class _Nano(NamedTuple):
    """A price in nano-units: for a million tokens, of each unit, and how many of these units that is for."""

    input: int
    output: int
    cached: int
    units: dict[str, tuple[int, int]]


class Prices:
    """The prices by provider and model; all are in one ``currency``, "" if there are none."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self.currency = next((price.currency for price in prices.values()), "")
        self._prices = {name: _in_nano(price) for name, price in prices.items()}

    def cost(self, provider: str, model: str, used: Used) -> int | None:
        """Return what a call costs, rounded up; None when its model has no price, and 0 for one on this machine."""
        price = self._prices.get(f"{provider}/{model}")
        if price is None:
            return 0 if provider in FREE else None
        cached = min(used.cached, used.input)
        tokens = (used.input - cached) * price.input + cached * price.cached + used.output * price.output
        each, count = price.units.get(used.unit, (0, 1))
        return min(MOST, -(-tokens // MILLION) + -(-used.units * each // count))


def _in_nano(price: Price) -> _Nano:
    cached = price.input if price.cached_input < 0 else price.cached_input
    units = {
        "characters": (nano(price.characters), MILLION),
        "images": (nano(price.image), 1),
        "seconds": (nano(price.minute), MINUTE),
    }
    return _Nano(nano(price.input), nano(price.output), nano(cached), units)
