"""Exports made for a test, and what is read from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proto.feeds import Source
from worker.history.imported import Imported
from worker.history.reading import History

# Any in this module: JSON of exports, made for one test.


def read(path: Path, source: Source) -> tuple[list[Imported], int]:
    """The conversations, and how many records were skipped."""
    history = History(path, source)
    return [found.talk for found in history.talks()], history.skipped


def shown(talk: Imported) -> tuple[str, str, list[str]]:
    """Title, beginning and lines in a readable form; a line with a different time shows it."""
    lines = [f"{line.role}: {line.content}" for line in talk.lines]
    return talk.title, moment(talk.at), lines


def moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat(timespec="seconds")[:-6] if at else ""


def export(folder: Path, content: Any) -> Path:
    path = folder / "export"
    path.write_text(json.dumps(content))
    return path
