"""The log: one harmless line per event, no secrets, no waiting, and the tail."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.logging.log import LibraryHandler, Log, Sink, worker_line
from daemon.logging.tail import MAX_WAITING, Tail
from daemon.settings.settings import Logs
from tests.daemon_process import wait_for
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]
TELEGRAM = "123456789:AAHfiqksKZ8WmR2zMmGCnVxgcbDeFgHiJkL"
OPENAI = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log that writes JSON to ``tmp_path/log``."""
    with (tmp_path / "log").open("wb") as stream:
        yield Log(Sink(Logs(), stream.fileno(), terminal=False))


def written(log: Log, tmp_path: Path) -> list[dict[str, object]]:
    assert log.flush(PATIENCE)
    return [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]


def test_an_event_is_one_json_line_with_time_level_and_fields(log: Log, tmp_path: Path) -> None:
    """journald and jq get each event as an object with its bound and its own fields."""
    log.bind(persona="p1", generation=2).info("worker.exited", code=70, reason="a fault")

    [event] = written(log, tmp_path)
    assert str(event.pop("time")).endswith("Z")
    assert event == {
        "level": "info",
        "event": "worker.exited",
        "persona": "p1",
        "generation": 2,
        "code": 70,
        "reason": "a fault",
    }


def test_events_under_the_level_are_not_logged(log: Log, tmp_path: Path) -> None:
    """With the level info, debug events are not logged."""
    log.debug("link.frame")
    log.info("daemon.ready")

    assert [event["event"] for event in written(log, tmp_path)] == ["daemon.ready"]


def test_secrets_leave_every_field_and_every_nested_text(log: Log, tmp_path: Path) -> None:
    """The file holds no credential, even if one is logged by mistake."""
    log.error("probe.failed", url=f"https://api.telegram.org/bot{TELEGRAM}/getMe", token="short", seen=[OPENAI])
    log.error("probe.failed", error=ValueError(f"refused {OPENAI}"))
    log.flush(PATIENCE)

    text = (tmp_path / "log").read_text()
    for secret in (TELEGRAM, OPENAI, "short"):
        assert secret not in text
    assert text.count("***") == 4


@pytest.mark.parametrize("limit", [4000, 8000])
def test_a_token_at_the_cut_of_a_long_field_is_removed_whole(log: Log, tmp_path: Path, limit: int) -> None:
    """A field is redacted before it is cut, so a token across the limit is still recognized."""
    for filler in ("y ", f"{OPENAI} "):
        padding = filler * (limit // len(filler) + 1)
        for start in range(limit - 50, limit, 5):
            log.info("x", text=padding[:start] + f" {TELEGRAM} {TELEGRAM}")
            log.info("x", text=padding[:start] + f" {TELEGRAM}" + " y" * limit)
    log.flush(PATIENCE)

    assert TELEGRAM[:12] not in (tmp_path / "log").read_text()


def test_a_token_at_the_cut_of_a_trace_is_removed_whole(log: Log, tmp_path: Path) -> None:
    """The end of a long trace is kept, and a token across its beginning is removed whole."""
    handler = LibraryHandler(log)
    for padding in range(3900, 4000, 7):
        error = ValueError(f"{TELEGRAM} " + "y" * padding)
        handler.handle(logging.LogRecord("x", logging.ERROR, "", 0, "failed", None, (ValueError, error, None)))
    log.flush(PATIENCE)

    assert TELEGRAM[-8:] not in (tmp_path / "log").read_text()


def test_control_characters_cannot_forge_a_line_or_drive_a_terminal(log: Log, tmp_path: Path) -> None:
    """Line breaks, escapes, separators and lone surrogates are shown as text."""
    log.info("x", text='a\r\n{"event":"forged"}\x1b[2J\x9b\u2028\u202e\ud800\x00')

    [event] = written(log, tmp_path)
    assert event["text"] == r'a\r\n{"event":"forged"}\x1b[2J\x9b\u2028\u202e\ud800\x00'


def test_long_fields_and_many_fields_are_cut(log: Log, tmp_path: Path) -> None:
    """One event cannot fill the log."""
    log.info("x", text="y" * 1_000_000)
    log.bind(persona="p1").relay("info", "x", {f"f{n}": n for n in range(1000)})

    long, many = written(log, tmp_path)
    assert len(str(long["text"])) < 5000
    assert len(many) < 50
    assert many["persona"] == "p1"


def test_whatever_is_logged_does_not_raise(log: Log, tmp_path: Path) -> None:
    """Objects that cannot be shown, huge numbers and not-a-number are still logged."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    log.info("x", broken=Broken(), huge=2**200, nan=float("nan"), nothing=None, path=Path("/x"), raw=b"\xff")

    [event] = written(log, tmp_path)
    assert event["broken"] == "<unprintable Broken: RuntimeError>"
    assert event["huge"] == str(2**200)


def test_a_workers_event_is_logged_under_her_name(log: Log, tmp_path: Path) -> None:
    """A worker's JSON line keeps its event, level and fields, and cannot pose as another persona."""
    line = b'{"level":"error","event":"mind.failed","persona":"other","generation":9,"time":"x","reason":"refused"}\n'
    worker_line(log.bind(persona="p1", generation=2), line)

    [event] = written(log, tmp_path)
    assert (event["level"], event["event"], event["reason"]) == ("error", "mind.failed", "refused")
    assert (event["persona"], event["generation"]) == ("p1", 2)
    assert event["time"] != "x"


@pytest.mark.parametrize(
    "line",
    [
        b"Traceback (most recent call last):",
        b'{"event": "unfinished',
        b'{"event": "Not A Name!", "level": "info"}',
        b'{"event": {"nested": 1}}',
        b"[1, 2]",
        b"\xff\xfe half a character",
        b"{" * 100_000,
    ],
)
def test_anything_else_a_worker_writes_is_output(log: Log, tmp_path: Path, line: bytes) -> None:
    """Text, broken JSON and bytes become worker.output with the text, shortened and harmless."""
    worker_line(log.bind(persona="p1"), line + f" bot{TELEGRAM}".encode())

    [event] = written(log, tmp_path)
    assert (event["level"], event["event"], event["persona"]) == ("warning", "worker.output", "p1")
    assert str(event["text"])[:5] == line.decode(errors="backslashreplace")[:5]
    assert TELEGRAM not in str(event)


def test_an_empty_line_of_a_worker_is_not_an_event(log: Log, tmp_path: Path) -> None:
    """Blank lines of a traceback are not events."""
    worker_line(log, b"  \n")

    assert written(log, tmp_path) == []


def test_a_library_logs_into_the_same_sink(log: Log, tmp_path: Path) -> None:
    """A message from uvicorn or asyncio becomes an event with its trace, redacted; a wrong format does not raise."""
    library = logging.getLogger("tests.daemon.logging.test_log.library")
    handler = LibraryHandler(log)
    library.propagate = False
    library.addHandler(handler)
    try:
        int(OPENAI)
    except ValueError:
        library.exception("request to bot%s failed", TELEGRAM)
    library.warning("%d", "no number")
    library.removeHandler(handler)

    failed, odd = written(log, tmp_path)
    assert (failed["event"], failed["level"]) == (library.name, "error")
    assert "ValueError: invalid literal" in str(failed["trace"])
    assert OPENAI not in str(failed)
    assert TELEGRAM not in str(failed)
    assert odd["text"] == "%d"


def test_a_pipe_without_a_reader_costs_lines_never_time() -> None:
    """With a full pipe, logging goes on. Lost lines are counted and reported when the reader is back."""
    read_end, write_end = os.pipe()
    log = Log(Sink(Logs(), write_end, terminal=False))
    # If a write waited for the reader, it would wait forever: there is none.
    for number in range(20_000):
        log.info("x", number=number, text="y" * 200)

    assert log.sink.dropped > 0
    assert not log.flush(0.05)
    log.info("last")
    seen = b""
    while b'"log.dropped"' not in seen:
        seen += os.read(read_end, 65_536)
    drain = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(read_end, 65_536), b"")])
    drain.start()
    assert log.flush(PATIENCE)
    os.close(write_end)
    drain.join(PATIENCE)
    os.close(read_end)


def test_a_broken_pipe_drops_and_counts() -> None:
    """The daemon survives when the reader of its log ends."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    log = Log(Sink(Logs(), write_end, terminal=False))
    log.info("x")
    log.info("y")
    log.flush(PATIENCE)

    wait_for(lambda: log.sink.dropped == 2, "both lines to be counted")
    assert len(log.tail.last(10)) == 2
    os.close(write_end)


def test_a_non_blocking_descriptor_gets_every_line() -> None:
    """A descriptor that another process made non-blocking loses nothing when it is briefly full."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    log = Log(Sink(Logs(), write_end, terminal=False))
    for number in range(2000):
        log.info("x", number=number, text="y" * 100)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(read_end, 4096), b"")))
    reader.start()
    assert log.flush(PATIENCE)
    os.close(write_end)
    reader.join(PATIENCE)
    os.close(read_end)

    numbers = [json.loads(line)["number"] for line in b"".join(received).splitlines()]
    assert numbers == list(range(2000))


PROGRAM = """
import logging, os, sys, threading
from daemon.logging.log import configure
from daemon.settings.settings import Logs
log = configure(Logs(), sys.stderr)
log.bind(persona="p1").info("daemon.ready", reason="all is well")
logging.getLogger("asyncio").warning("slow callback")
thread = threading.Thread(target=lambda: 1 / 0, name="ledger")
thread.start(); thread.join()
raise ValueError("sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z")
"""


def test_a_process_that_crashes_says_why_redacted_and_complete() -> None:
    """The last events before a crash are written before the process ends, and hold no secret."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, timeout=PATIENCE, check=False
    )

    events = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [event["event"] for event in events] == ["daemon.ready", "asyncio", "thread.crashed", "daemon.crashed"]
    assert events[2]["thread"] == "ledger"
    assert "ValueError: ***" in events[3]["trace"]
    assert ended.returncode == 1


def test_a_process_ends_although_its_log_has_no_reader() -> None:
    """A stalled reader does not keep the daemon from ending."""
    program = PROGRAM.replace("raise", "for _ in range(5000): log.info('x', text='y' * 200)\nraise")
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE) as process:
        assert process.wait(PATIENCE) == 1


def test_on_a_terminal_an_event_is_a_readable_line() -> None:
    """On a terminal an event is readable text, not JSON."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, stderr=terminal)
    os.close(terminal)
    seen = b""
    while b"daemon.crashed" not in seen:
        seen += os.read(controller, 65_536)
    process.wait(PATIENCE)
    os.close(controller)

    first = seen.decode().splitlines()[0]
    assert first[8:] == ' info    daemon.ready persona=p1 reason="all is well"'


def test_the_tail_keeps_the_last_events_of_each_persona() -> None:
    """The ring is bounded in number and in bytes, and filtered by persona."""
    tail = Tail(10)
    for number in range(100):
        tail.add("p1" if number % 2 else "", b"%d\n" % number)

    assert tail.last(3) == [b"97\n", b"98\n", b"99\n"]
    assert tail.last(2, "p1") == [b"97\n", b"99\n"]
    assert len(tail.last(1000)) == 10
    assert tail.last(0) == []
    tail.add("", b"x" * 4_000_000)
    tail.add("", b"x" * 4_000_000)
    assert len(tail.last(1000)) == 1


async def test_a_follower_gets_the_backlog_and_what_comes_from_any_thread() -> None:
    """No event is missing or repeated between the backlog and later ones, whichever thread logs them."""
    tail = Tail(10)
    tail.add("p1", b"1\n")
    with tail.subscribe(5, "p1") as following:
        threads = [threading.Thread(target=tail.add, args=(persona, b"2\n")) for persona in ("p1", "p2", "p1")]
        for thread in threads:
            thread.start()
        seen: list[bytes] = []
        while len(seen) < 3:
            seen += await asyncio.wait_for(following.read(), PATIENCE)
        for thread in threads:
            thread.join()
    assert seen == [b"1\n", b"2\n", b"2\n"]
    assert await following.read() == []


async def test_a_slow_follower_loses_the_oldest_and_knows_how_many() -> None:
    """A follower that does not read costs a bounded queue, not memory."""
    tail = Tail(10)
    with tail.subscribe(0) as following:
        for number in range(MAX_WAITING + 5):
            tail.add("", b"%d\n" % number)
        assert (await following.read())[0] == b"5\n"
        assert following.dropped == 5


async def test_a_closed_tail_ends_all_followings_behind_their_backlog() -> None:
    """A stopping daemon ends all followers, even one that subscribes at that moment; waiting events can be read."""
    tail = Tail(10)
    tail.add("", b"a\n")
    with tail.subscribe(0) as before:
        tail.close()
        with tail.subscribe(5) as after:
            assert await asyncio.wait_for(before.read(), 10) == []
            assert await asyncio.wait_for(after.read(), 10) == [b"a\n"]
            assert await asyncio.wait_for(after.read(), 10) == []
    tail.add("", b"b\n")
    assert tail.last(1) == [b"b\n"]


async def test_closing_a_following_ends_a_read_that_waits() -> None:
    """A stopping daemon does not wait for the followers of its log."""
    with Tail(10).subscribe(0) as following:
        reading = asyncio.create_task(following.read())
        await asyncio.sleep(0)
        following.close()
        assert await asyncio.wait_for(reading, PATIENCE) == []
