"""Structured log events: one per line on standard error, the latest ones in memory, secrets removed by the sink.

An event is a short dotted name with fields. On a terminal it is a readable line, anywhere else one JSON object
``{"time", "level", "event", ...}`` that journald takes as it is. By convention ``persona`` is a persona's id,
``generation`` the number of her process and ``channel`` a channel's type.

Logging never raises and never waits. A sink that fails or stalls loses lines and counts them (``log.dropped``).

The daemon's exit codes, which go with its last event: 0 asked to stop, 3 another daemon holds the state directory,
64 invalid settings, 65 a ledger that is damaged or lost, 69 the port is in use, 70 a fault, 75 a disk that cannot be
used for now.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO, TypeAlias

import msgspec

from daemon.logging.tail import Tail
from daemon.logging.terminal import one_line
from daemon.logging.writer import LogWriter
from daemon.settings.settings import Level, Logs
from proto.secrets import MASK, redact

__all__ = ["Log", "Sink", "Tail", "configure", "trace_of", "worker_line"]

Field: TypeAlias = str | int | float | bool | None

LEVELS: Final[dict[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
MAX_FIELD: Final = 4000
"""Characters kept of one field."""
SEEN: Final = 2
"""Redaction looks at this many times ``MAX_FIELD`` characters, so that the cut does not split a token."""
LONGEST_TOKEN: Final = 1024
MAX_FIELDS: Final = 32
FLUSH_SECONDS: Final = 1.0

SECRET_FIELDS: Final = frozenset({"api_key", "authorization", "cookie", "credentials", "password", "secret", "token"})
"""Fields that are masked whatever they hold."""

EVENT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")
FIELD_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
OWN_FIELDS: Final = frozenset({"time", "level", "event"})


class Sink:
    """Sends events to the writer's thread and into the tail."""

    def __init__(self, settings: Logs, descriptor: int, *, terminal: bool) -> None:
        self.tail = Tail(settings.tail)
        self.worker_line = settings.worker_line
        self._threshold = LEVELS[settings.level]
        self._terminal = terminal
        self._writer = LogWriter(descriptor, self._dropped_line)

    @property
    def dropped(self) -> int:
        """The number of lines that could not be written."""
        return self._writer.dropped

    def takes(self, level: Level) -> bool:
        """Return whether events of this level are logged."""
        return LEVELS[level] >= self._threshold

    def emit(self, level: Level, event: str, fields: Mapping[str, object]) -> None:
        """Redact, keep and write one event."""
        if not self.takes(level):
            return
        record = _record(level, event, fields)
        line = msgspec.json.encode(record) + b"\n"
        self.tail.add(str(record.get("persona", "")), line)
        self._writer.put(_readable(record) if self._terminal else line)

    def flush(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for everything logged to be written; return whether it was."""
        return self._writer.flush(timeout)

    def _dropped_line(self, count: int) -> bytes:
        record = _record("warning", "log.dropped", {"lines": count})
        return _readable(record) if self._terminal else msgspec.json.encode(record) + b"\n"


class Log:
    """A logger with bound fields."""

    def __init__(self, sink: Sink, bound: Mapping[str, object] | None = None) -> None:
        self.sink = sink
        self._bound = dict(bound or {})

    @property
    def tail(self) -> Tail:
        """The latest events, in memory."""
        return self.sink.tail

    def bind(self, **fields: str | int) -> Log:
        """Return the same log with these fields on every event."""
        return Log(self.sink, {**self._bound, **fields})

    def debug(self, event: str, **fields: object) -> None:
        self.sink.emit("debug", event, {**self._bound, **fields})

    def info(self, event: str, **fields: object) -> None:
        self.sink.emit("info", event, {**self._bound, **fields})

    def warning(self, event: str, **fields: object) -> None:
        self.sink.emit("warning", event, {**self._bound, **fields})

    def error(self, event: str, **fields: object) -> None:
        self.sink.emit("error", event, {**self._bound, **fields})

    def relay(self, level: Level, event: str, fields: Mapping[str, object]) -> None:
        """Log another process's event. Bound fields win, so that it cannot pose as somebody else."""
        self.sink.emit(level, event, self._bound | {name: fields[name] for name in fields if name not in self._bound})

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Wait up to ``timeout`` seconds for everything logged to be written; return whether it was."""
        return self.sink.flush(timeout)


def configure(settings: Logs, stream: TextIO) -> Log:
    """Create the process's log on ``stream`` and route libraries' messages, warnings and crashes into it."""
    log = Log(Sink(settings, stream.fileno(), terminal=stream.isatty()))
    atexit.register(log.flush)
    root = logging.getLogger()
    root.handlers[:] = [LibraryHandler(log)]
    root.setLevel(logging.INFO if settings.level == "debug" else logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda _kind, error, _trace_back: log.error("daemon.crashed", trace=trace_of(error))
    threading.excepthook = lambda args: log.error(
        "thread.crashed", thread=args.thread.name if args.thread else "", trace=trace_of(args.exc_value)
    )
    return log


class LibraryHandler(logging.Handler):
    """Logs libraries' messages: the event is the logger's name (``uvicorn.error``), the message is its ``text``."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "debug"
        for name, number in LEVELS.items():
            if record.levelno >= number:
                level = name
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            text = str(record.msg)
        fields: dict[str, object] = {"text": text}
        if record.exc_info and record.exc_info[1]:
            fields["trace"] = trace_of(record.exc_info[1])
        self._log.relay(level, record.name.lower(), fields)


def worker_line(log: Log, raw: bytes) -> None:
    """Log one line of a worker's standard error; ``log`` is bound to her persona and generation.

    A JSON event is logged as such, with the bound fields. Anything else is the ``text`` of ``worker.output``.
    """
    line = raw[: log.sink.worker_line].strip()
    if not line:
        return
    if line.startswith(b"{"):
        try:
            decoded = msgspec.json.decode(line, type=dict[str, Field])
        except (msgspec.DecodeError, UnicodeDecodeError):
            decoded = {}
        event, level = decoded.get("event"), _level(decoded.get("level"))
        if isinstance(event, str) and EVENT_NAME.fullmatch(event):
            fields = {name: value for name, value in decoded.items() if FIELD_NAME.fullmatch(name)}
            log.relay(level, event, {name: value for name, value in fields.items() if name not in OWN_FIELDS})
            return
    log.warning("worker.output", text=line.decode(errors="backslashreplace"))


def _level(name: object) -> Level:
    return next((level for level in LEVELS if level == name), "info")


def trace_of(error: BaseException | None) -> str:
    """Return the end of a traceback, which has its reason. It is redacted before the cut, which could split a token."""
    text = "".join(traceback.format_exception(error)) if error else ""
    return redact(text[-SEEN * MAX_FIELD :])[-MAX_FIELD:]


def _record(level: Level, event: str, fields: Mapping[str, object]) -> dict[str, Field]:
    time_text = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record: dict[str, Field] = {"time": time_text, "level": level, "event": _text(event)}
    for name in list(fields)[:MAX_FIELDS]:
        if name not in OWN_FIELDS:
            record[name] = MASK if name in SECRET_FIELDS else _field(fields[name])
    return record


def _field(value: object) -> Field:
    """Return a value that JSON can hold: numbers as they are, anything else as redacted text of bounded length."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    try:
        return _text(str(value))
    except Exception as error:  # noqa: BLE001 - an object's __str__ may raise anything, but logging must not
        return f"<unprintable {type(value).__name__}: {type(error).__name__}>"


def _text(text: str) -> str:
    """Redact, escape and shorten a text. Redaction sees more than is kept, so that the cut does not split a token."""
    seen = redact(text[: SEEN * MAX_FIELD])
    if len(text) > SEEN * MAX_FIELD:
        seen = seen[:-LONGEST_TOKEN]
    if len(text) > MAX_FIELD and len(seen) > MAX_FIELD:
        seen = seen[:MAX_FIELD] + "..."
    return one_line(seen)


def _readable(record: Mapping[str, Field]) -> bytes:
    """Return one readable line: local time, level, event, fields."""
    shown = " ".join(f"{name}={_quoted(value)}" for name, value in record.items() if name not in OWN_FIELDS)
    clock = time.strftime("%H:%M:%S")
    return f"{clock} {record['level']!s:<7} {record['event']}{' ' if shown else ''}{shown}\n".encode()


def _quoted(value: Field) -> str:
    text = "" if value is None else str(value)
    return text if text and not re.search(r'[\s"=]', text) else '"' + text.replace('"', '\\"') + '"'
