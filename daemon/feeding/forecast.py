"""What a feed would take of her mind, found out by reading the export without it."""

from __future__ import annotations

from typing import Final

import msgspec

from daemon.costs.prices import Prices
from daemon.settings.amounts import decimal
from proto.costs import Used
from proto.feeds import Offered
from proto.messages import Memory
from proto.records import EMBEDDED, Persona

CHARS_A_TOKEN: Final = 4
"""English text has about four characters a token (https://platform.openai.com/tokenizer)."""

LEARNED: Final = 300
"""Tokens of an answer beside the files that it repeats: a few bullets."""


class Forecast(msgspec.Struct):
    """About what a feed would take: conversations, those new to her, calls of her mind, and their tokens.

    ``cost`` is a decimal number of ``currency``, null if no price is known. What was read before costs nothing again.
    """

    conversations: int = 0
    new: int = 0
    calls: int = 0
    input: int = 0
    output: int = 0
    cost: str | None = None
    currency: str = ""
    memory: int = 0
    """Tokens of what she knows, which each call reads and partly writes again."""

    def begin(self, memory: Memory) -> None:
        """Start from the beginning of the export, for her with this memory."""
        self.conversations = self.new = self.calls = self.input = self.output = 0
        self.memory = sum(map(len, memory.values())) // CHARS_A_TOKEN

    def add(self, offered: Offered, *, is_fed: bool) -> None:
        """Count a conversation."""
        self.conversations += 1
        if is_fed:
            return
        self.new += 1
        self.calls += offered.calls
        self.input += offered.tokens + offered.calls * self.memory
        self.output += offered.calls * (LEARNED + self.memory // 2)


def priced(forecast: Forecast, persona: Persona | None, prices: Prices) -> Forecast:
    """Return the forecast with its price for her mind. The embedded one takes no tokens of anybody."""
    if persona is None:
        return forecast
    mind = persona.thinking
    if mind.provider == EMBEDDED:
        return msgspec.structs.replace(forecast, input=0, output=0, cost="0")
    cost = prices.cost(mind.provider or "local", mind.name, Used(forecast.input, forecast.output))
    if cost is None:
        return forecast
    return msgspec.structs.replace(forecast, cost=decimal(cost), currency=prices.currency)
