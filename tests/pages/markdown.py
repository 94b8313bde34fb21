"""The content of the Markdown pages of the tree: commands, links, paths."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

_SKIPPED: Final = {"build"}
_FENCE: Final = re.compile(r"^ *```(\w*)$\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    """Return every Markdown page of the checkout except those in environments and caches."""
    found = []
    for page in sorted(ROOT.rglob("*.md")):
        parts = page.relative_to(ROOT).parts
        if not any(part.startswith(".") or part in _SKIPPED or part.endswith(".egg-info") for part in parts):
            found.append(page)
    return found


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text)


def commands(text: str) -> list[str]:
    """Return every command of a page's ``sh`` blocks in order, with continuation lines joined."""
    return [command for language, block in _FENCE.findall(text) if language == "sh" for command in _split(block)]


def _split(block: str) -> Iterator[str]:
    """Join lines until their quotes are closed; leave out comments and empty lines."""
    held = ""
    for line in block.splitlines():
        held = f"{held}\n{line}" if held else line.strip()
        try:
            words = shlex.split(held, comments=True)
        except ValueError:
            continue
        if held.endswith("\\"):
            continue
        if words:
            yield held
        held = ""
    assert not held, f"a quote is never closed: {held}"
