"""Tasks that came due: a routine of hers, and no words of the person now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from proto.messages import Perception
from proto.perception import DUE
from worker.prompting.told_times import in_words

SILENCE: Final = "(silence)"
"""What her mind answers when a task leaves nothing to say."""

_SILENT: Final = re.compile(r"(?i)\A[\s\"'`*]*\(?silence\)?[\s.\"'`*]*\Z")
_LATE: Final = re.compile(r"(?m)^\(This was due [^\n]*\)\Z")
_FRAME: Final = """\
(Nobody wrote this. A task came due that was arranged with you{when}.{late} Do it now, and tell the person the result \
in your own words. If it leaves nothing to tell them, answer with {silence} and nothing else. The task:)
{body}"""
_PAST: Final = "(A task of yours came due{when}:)\n{body}"


def is_due(content: str) -> bool:
    """Return whether a text is a task that came due."""
    return content.startswith(DUE)


def are_due(perceptions: Sequence[Perception]) -> bool:
    """Return whether nothing but tasks is perceived: only then may she stay silent."""
    return bool(perceptions) and all(is_due(one.content) for one in perceptions)


def is_silent(answer: str) -> bool:
    """Return whether an answer says that there is nothing to say."""
    return _SILENT.match(answer) is not None


def body_of(content: str) -> str:
    """Return what a task says, without the lines around it."""
    return _LATE.sub("", content.partition("\n")[2].rstrip()).strip()


def framed(content: str, now: datetime) -> str:
    """Return a task as her mind reads it when it came due."""
    late = _LATE.search(content.rstrip())
    told = f" {late[0].strip('()')}" if late else ""
    return _FRAME.format(when=_when(content, now), late=told, silence=SILENCE, body=body_of(content))


def past(content: str, now: datetime) -> str:
    """Return a task as her mind reads it later, in the conversation so far."""
    return _PAST.format(when=_when(content, now), body=body_of(content))


def _when(content: str, now: datetime) -> str:
    """Return when it was meant, in the zone of ``now``; "" when the line does not say it."""
    head = content.partition("\n")[0].removeprefix(DUE).removesuffix(":)")
    try:
        return f", for {in_words(datetime.fromisoformat(head).astimezone(now.tzinfo))}"
    except (ValueError, OverflowError):
        return ""
