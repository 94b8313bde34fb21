"""What the sender of a message is told when it is set aside."""

from __future__ import annotations

from typing import Final

from daemon.ledger import Waiting
from proto.messages import Refusal

QUOTED_CHARS: Final = 60

_OWNER: Final[dict[Refusal, str]] = {
    "declined": "I cannot answer {what}: the provider of my mind refuses it. Try other words. ({reason})",
    "too_long": "I cannot answer {what}: it is too long for my mind. Send it in parts, or give me a mind with a larger "
    "context. ({reason})",
    "empty": "I have no answer to {what}: my mind gave an empty one each time. ({reason})",
    "faulty": "I cannot answer {what}: my mind fails with it, although it answers others. ({reason})",
    "broken": "I cannot answer {what}: my mind breaks off in the middle of each answer. ({reason})",
}
_VISITOR: Final[dict[Refusal, str]] = {
    "declined": "I cannot answer {what}. Please say it in other words.",
    "too_long": "I cannot answer {what}: it is too long for me. Please write less at once.",
    "empty": "I have no answer to {what}. Please say it in other words.",
    "faulty": "I cannot answer {what}. Please say it in other words.",
    "broken": "I cannot answer {what} at the moment. Please ask me again later.",
}
_KEPT: Final = " I have set it aside; `personad status` shows it, and `personad retry` takes it up again."
_FAILED: Final = "I could not answer {what}: my process ended each time it tried."
_FAILED_VISITOR: Final = "I am sorry: I could not answer your message."


def refused(kind: Refusal, item: Waiting, reason: str, *, visitor: bool) -> str:
    """Return the text about a message that her mind refused. A visitor learns nothing about the mind's provider."""
    what = _quoted(item)
    return _VISITOR[kind].format(what=what) if visitor else _OWNER[kind].format(what=what, reason=reason) + _KEPT


def failed(item: Waiting, *, visitor: bool) -> str:
    """Return the text about a message with which her process died too often.

    It does not quote the message: its words may be what her process died of.
    """
    what = "your message" if item.perception.kind == "text" else "your file"
    return _FAILED_VISITOR if visitor else _FAILED.format(what=what) + _KEPT


def _quoted(item: Waiting) -> str:
    words = " ".join((item.perception.content or item.perception.title).split())
    if not words:
        return "your message" if item.perception.kind == "text" else "your file"
    return f'"{words if len(words) <= QUOTED_CHARS else words[:QUOTED_CHARS].rstrip() + "…"}"'
