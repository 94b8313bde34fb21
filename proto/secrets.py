"""Secrets as a type: a token or key that cannot be printed by accident."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MASK: Final = "***"

_START: Final = r"(?<![A-Za-z0-9_-])"
_VALUE: Final = r"""[^\s"'\\&,;<>{}()\[\]]"""
"""A character of an unquoted value in a URL, a header or a keyword argument."""

_RULES: Final[tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]] = (
    # A Telegram bot token, which is also part of every request URL: .../bot<token>/getMe.
    ((":", "%3a"), re.compile(r"(?<![0-9])[0-9]{6,12}(?::|%3[Aa])[A-Za-z0-9_-]{30,}")),
    (("/bot",), re.compile(r"(?<=/bot)[A-Za-z0-9:%._-]{20,}")),
    # Discord bot tokens and JSON web tokens: three base64url parts.
    ((".",), re.compile(_START + r"[A-Za-z0-9_-]{23,30}\.[A-Za-z0-9_-]{5,8}\.[A-Za-z0-9_-]{27,}")),
    (("eyj",), re.compile(_START + r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)?")),
    # Keys of model providers, Slack and Meta, by their documented prefixes. Plain words such as sk-learn are not keys.
    (
        ("sk-", "xai-", "rk-", "pk-"),
        re.compile(
            r"(?<![A-Za-z0-9])(?:sk|xai|rk|pk)-(?:(?=[A-Za-z_-]{0,80}[0-9])[A-Za-z0-9_-]{8,}|[A-Za-z0-9_-]{24,})"
        ),
    ),
    (("aiza", "aq."), re.compile(r"(?:AIza|AQ\.)[A-Za-z0-9_-]{30,}")),
    (("xox", "xapp-"), re.compile(r"(?:xox[a-z](?:\.xox[a-z])?|xapp)-[A-Za-z0-9-]{8,}")),
    (("hooks.slack",), re.compile(r"(?<=hooks\.slack\.com/)[A-Za-z0-9/_-]{8,}")),
    (("eaa",), re.compile(r"(?<![A-Za-z0-9])EAA[A-Za-z0-9]{30,}")),
    # The daemon's own tokens.
    (("personad_",), re.compile(r"personad_[A-Za-z0-9_-]{16,}")),
    # A URL's user and password.
    (("@",), re.compile(r"""(?<=://)[^\s/@:"'\\<>{}]{1,256}:[^\s/@"'\\<>{}]{1,256}(?=@)""")),
    # Any value whose label or key says that it is a secret.
    (("bearer",), re.compile(r"(?i)(?<=\bbearer[ .])[A-Za-z0-9._~+/=-]{8,}")),
    (("basic ",), re.compile(r"(?i)(?<=\bbasic )[A-Za-z0-9+/=]{16,}")),
    (("key=",), re.compile(rf"(?i)(?<=[?&_-]key=){_VALUE}{{6,}}")),
    (("key",), re.compile(rf"(?i)(?<=api[_-]key: ){_VALUE}{{6,}}")),
    (
        ("key", "token", "password", "secret"),
        re.compile(r"""(?i)(?:key|token|password|secret)\\?["']\s{0,4}[:=,]\s{0,4}b?\\?["'](?P<value>[^"'\\]{6,})"""),
    ),
    (
        ("token=", "password=", "secret="),
        re.compile(rf"""(?i)(?<![A-Za-z])(?:[a-z]+_)?(?:token|password|secret)=b?\\?["']?(?P<value>{_VALUE}{{6,}})"""),
    ),
)
"""Needles and a pattern. The pattern is tried only when the lower-cased text contains one of the needles. It masks its
group ``value`` if it has one, otherwise the whole match."""


class Secret:
    """A secret string whose ``repr`` and ``str`` are masked. Only ``reveal`` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself, for a request to the provider or for a response that a seed leaves unmasked."""
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
    """Replace everything in ``text`` that looks like a credential with ``***``."""
    lowered = text.lower()
    for needles, pattern in _RULES:
        if any(needle in lowered for needle in needles):
            text = pattern.sub(_mask, text)
    return text


def without(secrets: Iterable[str], text: str) -> str:
    """Replace these secrets in ``text`` with ``***``, whatever form they have."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _mask(found: re.Match[str]) -> str:
    if "value" not in found.re.groupindex:
        return MASK
    start, end = (place - found.start() for place in found.span("value"))
    return found[0][:start] + MASK + found[0][end:]
