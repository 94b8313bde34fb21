"""Requests that the embedded mind passes to other organs, recognized by patterns because its model has no tools."""

from __future__ import annotations

import re
from typing import Final

from worker.base.organ_errors import OrganUnreachable
from worker.prompting.tools import ASK_TEACHER, IMAGINE, Tools

_POLITE: Final = r"(?:(?:please|can you|could you|would you|will you|hey|now|then|and)\b[, ]*)*"
_NO_PICTURE: Final = r"(?!(?:you|that|if|being|having|how|what|why|me|a conclusion|conclusions|attention|near)\b)"
_PAINT: Final = re.compile(
    rf"{_POLITE}(?:draw|paint|sketch|imagine|make me a picture of|draw me a picture of)(?: me| us)? {_NO_PICTURE}"
    r"(?P<what>\S.*?)[?.! ]*\Z",
    re.IGNORECASE | re.DOTALL,
)
_ASK: Final = re.compile(
    rf"{_POLITE}ask (?:your|the) teacher[,:]?(?: (?:about|to tell us|to explain))? (?P<what>\S.*)\Z",
    re.IGNORECASE | re.DOTALL,
)


async def use_tool(words: str, tools: Tools) -> str | None:
    """Carry out a request to her imagination or teacher and return the answer; None if ``words`` make no request."""
    line = words.strip()
    offered = {tool.name for tool in tools.offered}
    if match := _ASK.match(line):
        return await _taught(match["what"], tools, ASK_TEACHER.name in offered)
    if match := _PAINT.match(line):
        return await _painted(match["what"], tools, IMAGINE.name in offered)
    return None


async def _painted(what: str, tools: Tools, is_offered: bool) -> str:
    if not is_offered:
        return "I have nothing to draw with: I need an imagination for that."
    try:
        await tools.imagine(what)
    except OrganUnreachable as error:
        return f"I tried to draw that, and it did not work: {error.reason}"
    return "Here it is."


async def _taught(what: str, tools: Tools, is_offered: bool) -> str:
    if not is_offered:
        return "I have no teacher to ask."
    try:
        return f"My teacher says: {await tools.ask_teacher(what.strip())}"
    except OrganUnreachable as error:
        return f"I asked my teacher, and got no answer: {error.reason}"
