"""How Telegram reads formatted text: HTML and MarkdownV2 to plain text and entities, counted in UTF-16 units."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any, Final

Entity = dict[str, Any]
"""Any: a JSON object of the Bot API (type, offset, length and what the type needs)."""

_TAGS: Final = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "pre": "pre",
    "a": "text_link",
    "tg-emoji": "custom_emoji",
    "blockquote": "blockquote",
}
_NAMES: Final = {
    "bold": "Bold",
    "italic": "Italic",
    "underline": "Underline",
    "strikethrough": "Strikethrough",
    "spoiler": "Spoiler",
    "code": "Code",
    "pre": "Pre",
    "text_link": "TextUrl",
    "custom_emoji": "CustomEmoji",
}
_MARKS: Final = (("__", "underline"), ("||", "spoiler"), ("*", "bold"), ("_", "italic"), ("~", "strikethrough"))
_RESERVED: Final = "_*[]()~`>#+-=|{}.!"
_DETECTED: Final = (
    ("bot_command", re.compile(r"(?<![\w/])/[A-Za-z0-9_]{1,64}(@[A-Za-z0-9_]{3,32})?")),
    ("url", re.compile(r"https?://[^\s<>]+[^\s<>.,!?:;)\]]")),
    ("mention", re.compile(r"(?<![\w@])@[A-Za-z][A-Za-z0-9_]{3,31}")),
)


class EntityError(ValueError):
    """The text cannot be parsed; the message is what Telegram says behind "can't parse entities: "."""


def units(text: str) -> int:
    """The length of a text as Telegram counts it."""
    return len(text.encode("utf-16-le")) // 2


def parse(text: str, mode: str) -> tuple[str, list[Entity]]:
    """The plain text and its entities; ``mode`` is HTML or MarkdownV2 in any case. Raises EntityError."""
    reader: _Reader = _Html(text) if mode.lower() == "html" else _Markdown(text)
    reader.read()
    return "".join(reader.out), sorted(reader.entities, key=lambda entity: (entity["offset"], -entity["length"]))


def trim(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Cut white space off both ends, as the server does, and move the entities along."""
    cut = units(text) - units(text.lstrip())
    text = text.strip()
    kept = []
    for entity in entities:
        start = max(entity["offset"] - cut, 0)
        end = min(entity["offset"] + entity["length"] - cut, units(text))
        if end > start:
            kept.append({**entity, "offset": start, "length": end - start})
    return text, kept


def detect(text: str, entities: list[Entity]) -> list[Entity]:
    """Add the commands, links and mentions that the server finds by itself."""
    found = list(entities)
    for kind, pattern in _DETECTED:
        for match in pattern.finditer(text):
            start, length = units(text[: match.start()]), units(match.group())
            if not any(start < e["offset"] + e["length"] and e["offset"] < start + length for e in found):
                found.append({"type": kind, "offset": start, "length": length})
    return sorted(found, key=lambda entity: (entity["offset"], -entity["length"]))


def render(text: str, entities: list[Entity]) -> str:
    """The text with its entities visible, for a terminal: <bold>words</bold>."""
    encoded = text.encode("utf-16-le")
    marks: list[tuple[int, int, int, str]] = []
    for entity in entities:
        start, end, kind = entity["offset"], entity["offset"] + entity["length"], entity["type"]
        note = next((f" {entity[key]}" for key in ("url", "language", "custom_emoji_id") if key in entity), "")
        marks += [(start, 1, -end, f"<{kind}{note}>"), (end, 0, -start, f"</{kind}>")]
    shown, at = "", 0
    for place, _, _, mark in sorted(marks):
        shown += encoded[at * 2 : place * 2].decode("utf-16-le", "replace") + mark
        at = place
    return shown + encoded[at * 2 :].decode("utf-16-le", "replace")


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[str] = []
        self.length = 0
        self.entities: list[Entity] = []

    def read(self) -> None:
        raise NotImplementedError

    def put(self, text: str) -> None:
        self.out.append(text)
        self.length += units(text)

    def byte(self, at: int) -> int:
        return len(self.text[:at].encode())

    def add(self, kind: str, start: int, **more: object) -> None:
        if self.length > start:
            self.entities.append({"type": kind, "offset": start, "length": self.length - start, **more})


class _Html(_Reader):
    _ENTITY = re.compile(r"&(#\d+|#[xX][0-9a-fA-F]+|lt|gt|amp|quot);")
    _ATTRIBUTE = re.compile(r"([a-zA-Z-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.open: list[tuple[str, dict[str, str], int]] = []

    def read(self) -> None:
        while self.at < len(self.text):
            if self.text[self.at] == "<":
                self._tag()
            elif match := self._ENTITY.match(self.text, self.at):
                self.put(html.unescape(match.group()))
                self.at = match.end()
            else:
                self.put(self.text[self.at])
                self.at += 1
        if self.open:
            raise EntityError(f'Can\'t find end tag corresponding to start tag "{self.open[-1][0]}"')

    def _tag(self) -> None:
        start, end = self.at, self.text.find(">", self.at)
        closing = self.text.startswith("</", start)
        if end < 0 and closing:
            raise EntityError(f"Unclosed end tag at byte offset {self.byte(start)}")
        body = self.text[start + 1 + closing : end if end >= 0 else len(self.text)]
        name = re.split(r"[\s>/]", body, maxsplit=1)[0].lower()
        if closing:
            self._close(body.strip().lower(), start)
        else:
            if name not in _TAGS:
                raise EntityError(f'Unsupported start tag "{name}" at byte offset {self.byte(start)}')
            if end < 0:
                raise EntityError(f"Unclosed start tag at byte offset {self.byte(start)}")
            attributes = {m[1].lower(): m[2] or m[3] or m[4] or "" for m in self._ATTRIBUTE.finditer(body[len(name) :])}
            if name == "span" and attributes.get("class") != "tg-spoiler":
                raise EntityError(f'Tag "span" must have class "tg-spoiler" at byte offset {self.byte(start)}')
            self.open.append((name, attributes, self.length))
        self.at = end + 1

    def _close(self, name: str, at: int) -> None:
        if not self.open:
            raise EntityError(f"Unexpected end tag at byte offset {self.byte(at)}")
        opened, attributes, start = self.open.pop()
        if name and name != opened:
            raise EntityError(
                f'Unmatched end tag at byte offset {self.byte(at)}, expected "</{opened}>", found "</{name}>"'
            )
        kind = _TAGS[opened]
        if kind == "text_link":
            self._link(start, attributes)
        elif kind == "custom_emoji":
            self.add(kind, start, custom_emoji_id=attributes.get("emoji-id", ""))
        elif kind == "blockquote" and "expandable" in attributes:
            self.add("expandable_blockquote", start)
        elif kind == "code" and self.open and self.open[-1][0] == "pre" and "class" in attributes:
            self.open[-1][1]["language"] = attributes["class"].removeprefix("language-")
        elif kind == "pre" and attributes.get("language"):
            self.add(kind, start, language=attributes["language"])
        elif not (kind == "code" and self.open and self.open[-1][0] == "pre"):
            self.add(kind, start)

    def _link(self, start: int, attributes: dict[str, str]) -> None:
        url = html.unescape(attributes.get("href", ""))
        if re.match(r"(?:[a-z][a-z0-9+.-]*:|[\w-]+\.)\S+", url, re.IGNORECASE):
            self.add("text_link", start, url=url)


class _Markdown(_Reader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.open: list[tuple[str, int, int]] = []
        self.quote: int | None = None
        self.folded = False

    def read(self) -> None:
        while self.at < len(self.text):
            if not self._escaped() and not self._quoted() and not self._code() and not self._marked():
                self._plain()
        if self.open:
            kind, _, at = self.open[-1]
            raise EntityError(f"Can't find end of {_NAMES[kind]} entity at byte offset {self.byte(at)}")
        self._end_quote()

    def _plain(self) -> None:
        character = self.text[self.at]
        if character in _RESERVED:
            raise EntityError(f"Character '{character}' is reserved and must be escaped with the preceding '\\'")
        self.put(character)
        self.at += 1

    def _escaped(self) -> bool:
        following = self.text[self.at + 1 : self.at + 2]
        if self.text[self.at] != "\\" or not following or ord(following) > 126:
            return False
        self.put(following)
        self.at += 2
        return True

    def _quoted(self) -> bool:
        """Quotations: lines that begin with ">"; "**>" begins a folded one, "||" at the end folds it too."""
        text, at = self.text, self.at
        if self.quote is None and (at == 0 or text[at - 1] == "\n"):
            skip = 3 if text.startswith("**>", at) else 1 if text[at] == ">" else 0
            self.quote, self.folded = (self.length, skip == 3) if skip else (None, False)
            self.at += skip
            return bool(skip)
        if self.quote is None:
            return False
        if text.startswith("||", at) and text[at + 2 : at + 3] in ("", "\n") and not self._is_open("spoiler"):
            self.folded = True
            self.at += 2
            return True
        if text[at] != "\n":
            return False
        if text.startswith("\n>", at):
            self.put("\n")
            self.at += 2
            return True
        self._end_quote()
        return False

    def _end_quote(self) -> None:
        if self.quote is not None:
            self.add("expandable_blockquote" if self.folded else "blockquote", self.quote)
        self.quote = None

    def _code(self) -> bool:
        if self.text[self.at] != "`":
            return False
        start, begin = self.length, self.at
        mark = "```" if self.text.startswith("```", self.at) else "`"
        self.at += len(mark)
        kind, language = ("pre", self._language()) if mark == "```" else ("code", "")
        while not self.text.startswith(mark, self.at):
            if self.at >= len(self.text):
                raise EntityError(f"Can't find end of {_NAMES[kind]} entity at byte offset {self.byte(begin)}")
            if not self._escaped():
                self.put(self.text[self.at])
                self.at += 1
        self.at += len(mark)
        self.add(kind, start, **({"language": language} if language else {}))
        return True

    def _language(self) -> str:
        match = re.compile(r"([^\s`]*)\n").match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match[1] if match else ""

    def _marked(self) -> bool:
        text = self.text
        if text.startswith("![", self.at):
            return self._begin("custom_emoji", 2)
        if text[self.at] == "[":
            return self._begin("text_link", 1)
        if text[self.at] == "]" and self.open and self.open[-1][0] in ("text_link", "custom_emoji"):
            return self._end_link()
        for mark, kind in _MARKS:
            if text.startswith(mark, self.at):
                if self.open and self.open[-1][0] == kind:
                    self.add(kind, self.open.pop()[1])
                    self.at += len(mark)
                    return True
                return not self._is_open(kind) and self._begin(kind, len(mark))
        return False

    def _begin(self, kind: str, skip: int) -> bool:
        self.open.append((kind, self.length, self.at))
        self.at += skip
        return True

    def _end_link(self) -> bool:
        kind, start, begin = self.open.pop()
        self.at += 1
        url = ""
        if self.text[self.at : self.at + 1] == "(":
            match = re.compile(r"\(((?:\\.|[^)\\])*)\)", re.DOTALL).match(self.text, self.at)
            if not match:
                raise EntityError(f"Can't find end of a URL at byte offset {self.byte(self.at)}")
            url = re.sub(r"\\(.)", r"\1", match[1])
            self.at = match.end()
        if kind == "custom_emoji":
            if not url.startswith("tg://emoji?id="):
                raise EntityError(f"Custom emoji URL must be tg://emoji?id= at byte offset {self.byte(begin)}")
            self.add(kind, start, custom_emoji_id=url.partition("=")[2])
        elif url:
            self.add(kind, start, url=url)
        return True

    def _is_open(self, kind: str) -> bool:
        return any(opened == kind for opened, _, _ in self.open)


def mode_of(parse_mode: str) -> Callable[[str], tuple[str, list[Entity]]] | None:
    """The parser of a ``parse_mode``, or None for one that the emulator does not know."""
    if parse_mode.lower() not in ("html", "markdownv2"):
        return None
    return lambda text: parse(text, parse_mode)
