"""Gateways' memory: the cost of a persona with Telegram, or with Telegram and Discord."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.bench import processes
from tests.bench.figures import median, megabytes
from tests.bench.stand import QUESTION, create, greetings, pids, program, reboot, running_daemon
from tests.bench.table import Line
from tests.daemon_process import DaemonProcess, wait_for
from tests.providers import Chat, Discord, Provider, Telegram

PERSONAS: Final = 10
GOAL_UNIQUE: Final = 13_000_000
GOAL_TOGETHER: Final = 400_000_000


def measure() -> list[Line]:
    """Ten personas, each after a question and an answer on every channel, against Python with the same imports."""
    with greetings() as listening, program("tests.bench.baselines.naive_gateways", listening.endpoint):
        naive = processes.memory(listening.wait()[1])
    lines = []
    with Telegram() as telegram, Discord() as discord:
        urls = {one.setting: one.url for one in (telegram, discord)}
        for providers in ((telegram,), (telegram, discord)):
            with running_daemon(urls) as daemon:
                lines += _lines(daemon, providers, naive.uss)
    return lines


def _lines(daemon: DaemonProcess, providers: Sequence[Provider], naive: int) -> list[Line]:
    chats = [_connect(daemon, one, provider) for one in create(daemon, PERSONAS) for provider in providers]
    reboot(daemon)
    wait_for(lambda: _all_connected(daemon), "all channels")
    for chat in chats:
        before = len(chat.texts())
        chat.write(QUESTION)
        wait_for(lambda c=chat, n=before: len(c.texts()) > n, "an answer")  # type: ignore[misc]
    unique = [processes.memory(pid).uss for pid in pids(daemon).values()]
    together = processes.pss(daemon.pid)
    on = " and ".join(provider.kind.title() for provider in providers)
    return [
        Line(
            f"USS of a persona on {on}, after an answer (baseline: python with both gateways' imports)",
            megabytes(naive),
            megabytes(median(unique)),
            median(unique) / naive,
            "<= 13 MB",
            median(unique) <= GOAL_UNIQUE,
            {"naive": naive, "answered": median(unique)},
        ),
        Line(
            f"PSS of {PERSONAS} personas on {on}, daemon and zygote (baseline: {PERSONAS} times the above)",
            megabytes(PERSONAS * naive),
            megabytes(together),
            together / (PERSONAS * naive),
            "< 400 MB",
            together < GOAL_TOGETHER,
            {"pss": together},
        ),
    ]


def _connect(daemon: DaemonProcess, persona_id: str, provider: Provider) -> Chat:
    """Give her a paired channel."""
    token = provider.add_bot(f"bot_{persona_id[:8]}")
    body = {"kind": provider.kind, "credentials": {"token": token}}
    answer = daemon.http.post(f"/api/persona/{persona_id}/channels", json=body)
    assert answer.status_code == 200, answer.text
    wait_for(lambda: _all_connected(daemon), "the channel")
    chat = provider.chat(token, f"person_{persona_id[:8]}")
    answer = daemon.http.post(f"/api/persona/{persona_id}/pair", json={"code": chat.ask_for_code(QUESTION)})
    assert answer.status_code == 200, answer.text
    return chat


def _all_connected(daemon: DaemonProcess) -> bool:
    personas = daemon.http.get("/api/status").json()["personas"]
    return all(channel["state"] == "connected" for persona in personas for channel in persona["channels"])
