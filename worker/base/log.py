"""A worker's log: one JSON event per line on standard error, a pipe that the daemon reads and redacts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from proto.secrets import redact
from proto.unicode_text import valid_text

Level = Literal["debug", "info", "warning", "error"]
Field: TypeAlias = str | int | float | bool | None

MAX_FIELD = 4000


class WorkerLog:
    """Writes events. A broken or full pipe is ignored: its reader is the daemon, and there is nothing else to tell."""

    def __init__(self, descriptor: int = 2, **bound: Field) -> None:
        self._descriptor = descriptor
        self._bound = bound

    def bind(self, **fields: Field) -> WorkerLog:
        """Return the same log with these fields on every event."""
        return WorkerLog(self._descriptor, **{**self._bound, **fields})

    def debug(self, event: str, **fields: Field) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Field) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Field) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Field) -> None:
        self._write("error", event, fields)

    def _write(self, level: Level, event: str, fields: Mapping[str, Field]) -> None:
        record = {"level": level, "event": event, **self._bound, **fields}
        clean = {
            key: redact(valid_text(value))[:MAX_FIELD] if isinstance(value, str) else value
            for key, value in record.items()
        }
        try:
            os.write(self._descriptor, msgspec.json.encode(clean) + b"\n")
        except (BrokenPipeError, BlockingIOError):
            return
