"""Writes formatted text in Slack's own markup, mrkdwn.

https://api.slack.com/reference/surfaces/formatting
"""

from __future__ import annotations

from typing import Final

from worker.gateways.common.splitting import Entity, Rich

_MARKS: Final = {
    "bold": ("*", "*"),
    "italic": ("_", "_"),
    "strikethrough": ("~", "~"),
    "code": ("`", "`"),
    "pre": ("```\n", "\n```"),
}


def mrkdwn(rich: Rich) -> str:
    """Write a text with its entities, with Slack's control characters escaped.

    Slack treats ``*`` and the like as markup only at the edges of words, so spaces at the edges of an entity move out
    of it.
    """
    opens: dict[int, list[str]] = {}
    closes: dict[int, list[str]] = {}
    for entity in sorted(rich.entities, key=lambda entity: (entity.offset, -entity.length)):
        start, end = _trimmed(rich.text, entity)
        marks = _marks(entity)
        if marks and start < end:
            opens.setdefault(start, []).append(marks[0])
            closes.setdefault(end, []).insert(0, marks[1])
    pieces = []
    for at in range(len(rich.text) + 1):
        pieces += closes.get(at, [])
        pieces += opens.get(at, [])
        pieces.append(escape(rich.text[at : at + 1]))
    return "".join(pieces)


def escape(text: str) -> str:
    """Escape Slack's three control characters (https://api.slack.com/reference/surfaces/formatting#escaping)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _trimmed(text: str, entity: Entity) -> tuple[int, int]:
    start, end = entity.offset, entity.offset + entity.length
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _marks(entity: Entity) -> tuple[str, str] | None:
    if entity.type == "text_link" and entity.url:
        return f"<{escape(entity.url).replace('|', '%7C')}|", ">"
    return _MARKS.get(entity.type)
