"""Channel change: a persona with a Telegram channel is restarted, until her new process polls."""

from __future__ import annotations

import time
from typing import Final

from tests.bench.client import Connection, post
from tests.bench.figures import median, percentile, spread
from tests.bench.rows.restart import GOAL_RATIO, GOAL_SECONDS, forks
from tests.bench.stand import create, reboot, running_daemon
from tests.bench.table import Line
from tests.daemon_process import DaemonProcess, wait_for
from tests.providers import Telegram

ROUNDS: Final = 20
WARMING: Final = 3
"""Rounds before the measured ones, because each program's first requests are its slowest."""


def measure() -> list[Line]:
    """Restart her like every change of her channels does, against a fork; and add and remove a channel as a client."""
    bare = forks("telegram")
    with Telegram() as telegram, running_daemon({telegram.setting: telegram.url}) as daemon:
        (persona_id,) = create(daemon, 1)
        token = telegram.add_bot("bench_bot")
        _add(daemon, persona_id, token)
        reboot(daemon)
        taken, gaps = changes(daemon, persona_id, telegram, token)
        adds, removals = clients(daemon, persona_id, telegram)
    ratio = median(gaps) / median(bare)
    return [
        Line(
            "channel change: old process told to stop (its poll ends) to the new one's first Telegram poll"
            " (baseline: bare fork + hello)",
            spread(bare),
            spread(gaps),
            ratio,
            "p50 <= 60 ms and <= 2.5 times",
            median(gaps) <= GOAL_SECONDS and ratio <= GOAL_RATIO,
            {"bare_p50": median(bare), "p50": median(gaps), "p95": percentile(gaps, 95)},
        ),
        Line(
            "the whole of it: restart asked for over HTTP to the first Telegram poll (baseline: bare fork + hello)",
            spread(bare),
            spread(taken),
            median(taken) / median(bare),
            figures={"p50": median(taken), "p95": percentile(taken, 95)},
        ),
        Line(
            "add a channel over HTTP, token checked and she is ready; remove it",
            "",
            f"{spread(adds)}; {spread(removals)}",
            figures={"add_p50": median(adds), "remove_p50": median(removals)},
        ),
    ]


def changes(daemon: DaemonProcess, persona_id: str, telegram: Telegram, token: str) -> tuple[list[float], list[float]]:
    """Return, for each restart, the seconds from its request to the new process's first poll, and those without a poll.

    The old process ends its poll as soon as it is asked to stop, and Telegram sees that.
    """
    taken, gaps = [], []
    request = post(f"/api/persona/{persona_id}/restart", daemon.port)
    with Connection(daemon.port) as connection:
        for number in range(WARMING + ROUNDS):
            _wait_until_polling(telegram, token)
            before = len(telegram.emulator.calls("getUpdates", token))
            begun = time.time()
            connection.request(request)
            calls = telegram.emulator.wait_for_calls("getUpdates", before + 1, token=token)
            ended = calls[before - 1].answered_at
            assert ended, "two polls at once"
            if number >= WARMING:
                taken.append(calls[before].at - begun)
                gaps.append(calls[before].at - ended)
    return taken, gaps


def clients(daemon: DaemonProcess, persona_id: str, telegram: Telegram) -> tuple[list[float], list[float]]:
    """Return the seconds of adding a second channel and of removing it."""
    adds, removals = [], []
    for number in range(ROUNDS):
        token = telegram.add_bot(f"second{number}")
        begun = time.perf_counter()
        _add(daemon, persona_id, token)
        added = time.perf_counter()
        answer = daemon.http.delete(f"/api/persona/{persona_id}/channels/second{number}")
        assert answer.status_code == 200, answer.text
        adds.append(added - begun)
        removals.append(time.perf_counter() - added)
    return adds, removals


def _add(daemon: DaemonProcess, persona_id: str, token: str) -> None:
    body = {"kind": "telegram", "credentials": {"token": token}}
    answer = daemon.http.post(f"/api/persona/{persona_id}/channels", json=body)
    assert answer.status_code == 200, answer.text


def _wait_until_polling(telegram: Telegram, token: str) -> None:
    """Wait until her process only waits in a long poll."""
    wait_for(lambda: _polls(telegram, token), "a long poll")


def _polls(telegram: Telegram, token: str) -> bool:
    last = telegram.emulator.calls("getUpdates", token)[-1]
    return last.status is None and last.params.get("timeout") not in (None, "0")
