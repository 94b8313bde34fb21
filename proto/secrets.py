"""Secrets as a type: a token or key that cannot be printed by accident."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

_PATTERNS: Final = (
    # A Telegram bot token, which also stands in the URL of every request.
    re.compile(r"\b\d{6,12}:[A-Za-z0-9_-]{30,}"),
    # A Discord bot token: three base64url parts.
    re.compile(r"\b[A-Za-z0-9_-]{23,28}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,}"),
    # Model providers' and Slack's keys by their documented prefixes.
    re.compile(r"\b(?:sk|xai|rk|pk)-[A-Za-z0-9_-]{8,}"),
    re.compile(r"\bAIza[A-Za-z0-9_-]{30,}"),
    re.compile(r"\bxox[abeprs]-[A-Za-z0-9-]{8,}|\bxapp-[A-Za-z0-9-]{8,}"),
    # The daemon's own tokens.
    re.compile(r"\bpersonad_[A-Za-z0-9_-]{16,}"),
    # Whatever is called a secret by its neighbour.
    re.compile(r"(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)(?<=bearer\.)[A-Za-z0-9_-]{8,}"),
    re.compile(r"""(?i)(?<=api_key["']:\s["'])[^"']+|(?<=api_key["']:["'])[^"']+|(?<=api_key=)[^\s&"']+"""),
    re.compile(r"""(?i)(?<=token["']:\s["'])[^"']+|(?<=token["']:["'])[^"']+|(?<=token=)[^\s&"']+"""),
)


class Secret:
    """A secret text whose ``repr`` and ``str`` are masked; ``reveal`` is the only way to the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself, for the provider's request or for a response that a seed leaves unmasked."""
        return self._text

    def __repr__(self) -> str:
        return MASK if self._text else "''"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)


def redact(text: str) -> str:
    """Replace everything in ``text`` that looks like a credential by ``***``."""
    for pattern in _PATTERNS:
        text = pattern.sub(MASK, text)
    return text
