"""Renders the mind's Markdown as plain text with entities, in Telegram's form.

Entities are sent beside the text, so no markup that she writes can make a provider refuse it. What CommonMark does not
treat as markup stays as it was written, and so does what its writer cannot have meant as markup (``literal.py``).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from worker.gateways.common.literal import leave_literal
from worker.gateways.common.splitting import Entity, Rich

BULLET: Final = "• "
RULE: Final = "———"
INDENT: Final = "  "

RENDERED: Final = 32_768
"""Characters that are read as Markdown; a longer text stays as it was written. The parser's time grows with the square
of what a model repeats: 32,768 characters of ``![`` take half a second, and eight times as many half a minute."""

_INLINE: Final = {"strong": "bold", "em": "italic", "s": "strikethrough"}
_SCHEMES: Final = frozenset({"http", "https", "tg", "mailto"})


@functools.cache
def parser() -> MarkdownIt:
    """CommonMark with tables and strikethrough. HTML stays text, and underlining a line does not make it a heading."""
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("lheading")
    return leave_literal(made)


def render(markdown: str) -> Rich:
    """Return the text without markup, with its entities.

    A text that would show nothing, or is longer than ``RENDERED``, is returned unchanged.
    """
    if len(markdown) > RENDERED:
        return Rich(markdown.strip())
    page = _Page()
    page.blocks(parser().parse(markdown))
    rich = page.finish()
    return rich if rich.text.strip() else Rich(markdown.strip())


def plain(markdown: str) -> str:
    """Return Markdown as plain text without formatting; each link is followed by its address."""
    rich = render(markdown)
    text = rich.text
    for entity in sorted(rich.entities, key=lambda entity: entity.offset, reverse=True):
        end = entity.offset + entity.length
        if (
            entity.type == "text_link"
            and entity.url
            and text[entity.offset : end].rstrip("/") != entity.url.rstrip("/")
        ):
            text = f"{text[:end]} ({entity.url}){text[end:]}"
    return text


class _Page:
    """Writes a stream of Markdown tokens as text and entities."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._entities: list[Entity] = []
        self._starts: list[tuple[str, int, str | None]] = []
        self._lists: list[int | str] = []
        """For each open list the number of its next item, or its bullet."""
        self._marks: list[str] = []
        self._quotes = 0
        self._break = ""
        self._pending_mark = ""

    def blocks(self, tokens: Sequence[Token]) -> None:
        """Write block tokens."""
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.type == "table_open":
                end = next(i for i in range(at, len(tokens)) if tokens[i].type == "table_close")
                self._pre(_table(tokens[at:end]), None)
                at = end
            elif token.type == "bullet_list_open":
                self._lists.append(_bullet(tokens[at:]))
            else:
                self._block(token)
            at += 1

    def finish(self) -> Rich:
        """Return the text without trailing blanks, and its entities in order."""
        text = "".join(self._pieces).rstrip()
        fitting = (e._replace(length=min(e.length, len(text) - e.offset)) for e in self._entities)
        return Rich(text, tuple(sorted((e for e in fitting if e.length > 0), key=lambda e: (e.offset, -e.length))))

    def _block(self, token: Token) -> None:
        match token.type:
            case "inline":
                self._line_up()
                self._inline(token.children or [])
            case "paragraph_close":
                self._end_block("\n" if token.hidden else "\n\n")
            case "heading_open":
                self._line_up()
                self._start("bold")
            case "heading_close":
                self._end("bold")
                self._end_block("\n\n")
            case "fence" | "code_block":
                self._pre(token.content, token.info.split()[0] if token.info.strip() else None)
            case "hr":
                self._line_up()
                self._write(RULE)
                self._end_block("\n\n")
            case "blockquote_open":
                self._quote(1)
            case "blockquote_close":
                self._quote(-1)
            case _:
                self._list(token)

    def _list(self, token: Token) -> None:
        match token.type:
            case "ordered_list_open":
                self._lists.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
                self._end_block("\n" if self._lists else "\n\n")
            case "list_item_open":
                mark = self._lists[-1]
                if isinstance(mark, int):
                    self._lists[-1] = mark + 1
                    mark = f"{mark}{token.markup} "
                self._pending_mark = INDENT * (len(self._lists) - 1) + mark
            case "list_item_close":
                if self._pending_mark:
                    self._line_up()
                self._end_block("\n")

    def _quote(self, step: int) -> None:
        """Show only the outermost quotation: Telegram cannot nest them.

        https://core.telegram.org/bots/api#formatting-options
        """
        if step > 0 and self._quotes == 0:
            self._line_up()
            self._start("blockquote")
        self._quotes += step
        if step < 0 and self._quotes == 0:
            self._end("blockquote")
            self._end_block("\n\n")

    def _inline(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            kind = token.type
            if kind in ("text", "text_special"):
                self._write(token.content)
            elif kind in ("softbreak", "hardbreak"):
                self._write("\n" + INDENT * len(self._lists))
            elif kind == "code_inline":
                self._code(token.content)
            elif kind == "image":
                self._image(token)
            elif kind == "link_open":
                self._start("text_link", str(token.attrs.get("href", "")))
            elif kind == "link_close":
                self._end("text_link")
            elif kind.endswith("_open") and kind.removesuffix("_open") in _INLINE:
                self._start(_INLINE[kind.removesuffix("_open")])
            elif kind.endswith("_close") and kind.removesuffix("_close") in _INLINE:
                self._end(_INLINE[kind.removesuffix("_close")])
            else:
                self._write(token.content)

    def _code(self, content: str) -> None:
        """Write code outside any other inline entity, as Telegram requires; inside a link it becomes plain text.

        https://core.telegram.org/bots/api#formatting-options
        """
        if any(kind == "text_link" for kind, _, _ in self._starts):
            self._write(content)
            return
        around = [(kind, url) for kind, _, url in self._starts if kind != "blockquote"]
        for kind, _ in reversed(around):
            self._end(kind)
        self._start("code")
        self._write(content)
        self._end("code")
        for kind, url in around:
            self._start(kind, url)

    def _image(self, token: Token) -> None:
        url = str(token.attrs.get("src", ""))
        self._start("text_link", url)
        self._write(token.content or url)
        self._end("text_link")

    def _pre(self, content: str, language: str | None) -> None:
        self._line_up()
        content = content.rstrip("\n")
        if content.strip():
            self._entities.append(Entity("pre", self._length, len(content), language=language))
            self._write(content)
        self._end_block("\n\n")

    def _start(self, kind: str, url: str | None = None) -> None:
        self._starts.append((kind, self._length, url))

    def _end(self, kind: str) -> None:
        at = next(i for i in range(len(self._starts) - 1, -1, -1) if self._starts[i][0] == kind)
        _, offset, url = self._starts.pop(at)
        length = self._length - offset
        if kind != "text_link":
            if length:
                self._entities.append(Entity(kind, offset, length))
        elif url and _scheme(url) in _SCHEMES and length:
            self._entities.append(Entity(kind, offset, length, url=url))
        elif url and not "".join(self._pieces[-1:]).endswith(url):
            self._write(f" ({url})")

    def _line_up(self) -> None:
        """Write the line breaks that the previous block asked for, and the marker of a list item that begins here."""
        if self._length:
            self._write(self._break)
        self._break = ""
        mark, self._pending_mark = self._pending_mark, ""
        self._write(mark)

    def _end_block(self, space: str) -> None:
        """End a block: the next one follows on the next line within a list, else after ``space``."""
        self._break = max(self._break, "\n" if self._lists else space, key=len)

    def _write(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)


def _bullet(tokens: Sequence[Token]) -> str:
    """Return the bullet of the list that begins here. A lone "- 5 degrees" is a number with its sign, not a list."""
    kinds = [token.type for token in tokens[:7]]
    lone = kinds[5:] == ["list_item_close", "bullet_list_close"] and tokens[3].type == "inline"
    sign = tokens[1].markup
    return f"{sign} " if lone and sign in "+-" and tokens[3].content[:1].isdigit() else BULLET


def _scheme(url: str) -> str:
    """Return the scheme of a link, "" if it is not a URL."""
    try:
        return urlsplit(url).scheme.lower()
    except ValueError:
        return ""


def _table(tokens: Sequence[Token]) -> str:
    """Lay out a table in columns of equal width, for a code block."""
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append("".join(child.content for child in token.children or []))
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows), default=0))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])
