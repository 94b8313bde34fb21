"""How many tokens a text is, estimated without the model's tokenizer."""

from __future__ import annotations

from typing import Final

CHARS_A_TOKEN: Final = 4
"""English text has about four characters a token (https://platform.openai.com/tokenizer)."""


def tokens(text: str) -> int:
    """Estimate the tokens of a text. A character outside ASCII counts as one, which is rather too many than too few."""
    plain = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return -(-plain // CHARS_A_TOKEN) + len(text) - plain


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text that is at most ``most`` estimated tokens long."""
    if tokens(text) <= most:
        return text
    low, high = 0, min(len(text), max(most, 0) * CHARS_A_TOKEN)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tokens(text[:middle]) <= most else (low, middle - 1)
    return text[:low]
