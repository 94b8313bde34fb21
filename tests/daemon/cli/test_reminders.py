"""``personad remind``, ``reminders`` and ``hours``."""

from __future__ import annotations

import json
import re

import pytest

from tests.daemon.cli.command_line import personad
from tests.daemon_process import DaemonProcess


def test_reminders_are_added_listed_and_cancelled(shared_daemon: DaemonProcess, eve: str) -> None:
    """Once, after a while, and by a rule; the list names the number that cancels."""
    once = personad(shared_daemon, "remind", "Eve", "fern", "--at", "2096-12-01T08:00", "--zone", "Europe/Oslo")
    assert once.returncode == 0, once.stderr
    found = re.fullmatch(r"Eve: reminder (\d+), due at 2096-12-01T08:00:00\+01:00 \(Europe/Oslo\)\n", once.stdout)
    assert found
    assert personad(shared_daemon, "remind", "Eve", "tea", "--in", "1d2h3m").returncode == 0
    routine = personad(shared_daemon, "remind", "Eve", "work", "--cron", "0 8 * * 1-5", "--task", "--json")
    assert json.loads(routine.stdout)["task"] is True
    listed = personad(shared_daemon, "reminders", "Eve").stdout.splitlines()
    assert len(listed) == 4
    assert any(re.search(r"0 8 \* \* 1-5 .* task: work$", line) for line in listed)
    assert re.search(r"^Eve: 3 reminders, the next one at ", personad(shared_daemon, "status").stdout, re.MULTILINE)
    cancelled = personad(shared_daemon, "reminders", "Eve", "--cancel", found[1])
    assert cancelled.stdout == f"Eve: reminder {found[1]} removed\n"
    again = personad(shared_daemon, "reminders", "Eve", "--cancel", found[1])
    assert (again.returncode, "There is no such reminder" in again.stderr) == (1, True)
    assert len(json.loads(personad(shared_daemon, "reminders", "Eve", "--json").stdout)) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "one of the arguments --at --in --cron is required"),
        (["--in", "soon"], 2, "must be a time such as 20m, 1h30m or 2d"),
        (["--in", "0m"], 2, "must be a time such as 20m"),
        (["--in", "99999d"], 1, "more than a hundred years ahead"),
        (["--at", "2020-01-01"], 1, "at is in the past"),
        (["--cron", "0 0 30 2 *"], 1, "cron cannot be taken"),
    ],
)
def test_what_is_refused(shared_daemon: DaemonProcess, eve: str, arguments: list[str], code: int, words: str) -> None:
    """Wrong usage is 2, what the daemon refuses is 1; both say what to do."""
    refused = personad(shared_daemon, "remind", "Eve", "x", *arguments)
    assert refused.returncode == code
    assert words in refused.stderr


def test_hours(shared_daemon: DaemonProcess, eve: str) -> None:
    """They are shown and changed."""
    changed = personad(shared_daemon, "hours", "Eve", "--zone", "Asia/Tokyo", "--quiet", "22:00-07:00")
    assert changed.stdout == "Eve: time zone Asia/Tokyo, quiet hours 22:00-07:00\n", changed.stderr
    assert json.loads(personad(shared_daemon, "hours", "Eve", "--json").stdout)["quiet_hours"] == "22:00-07:00"
    refused = personad(shared_daemon, "hours", "Eve", "--zone", "Mars/One")
    assert (refused.returncode, "send an IANA name" in refused.stderr) == (1, True)
