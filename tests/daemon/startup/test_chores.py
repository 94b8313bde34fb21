"""The accounts are followed: what is said in the log, and that a change is not lost to a busy ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from daemon.ledger import LedgerBusy
from daemon.logging.log import Log, Sink
from daemon.settings.accounts import Accounts
from daemon.settings.settings import Logs, load
from daemon.startup.chores import LOOK_EVERY, follow_accounts
from tests.daemon.fakes.clock import JumpingLoop, LoopClock

TEXT = '[accounts.robot]\ntype = "telegram"\nbot_token_file = "{}"\n'


def test_a_change_is_told_until_it_is_followed(tmp_path: Path) -> None:
    """A ledger that is busy gets it again; a faulty file is logged once, and so is its correction."""
    secret = tmp_path / "secret"
    secret.write_text("t0ken")
    secret.chmod(0o600)
    file = tmp_path / "personad.toml"
    file.write_text(TEXT.format(secret))
    told: list[set[str]] = []

    async def changed(names: Collection[str]) -> None:
        told.append(set(names))
        if len(told) == 1:
            raise LedgerBusy("locked")

    async def run(log: Log) -> None:
        clock = LoopClock()
        accounts = Accounts(load(file, {"HOME": str(tmp_path)}), {"HOME": str(tmp_path)})
        following = asyncio.create_task(follow_accounts(accounts, changed, clock, log))
        await clock.sleep(4 * LOOK_EVERY)
        for text in ("t0ken2", "tw0 tokens", "t0ken2"):
            secret.write_text(text)
            await clock.sleep(4 * LOOK_EVERY)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following

    with (tmp_path / "log").open("wb") as stream:
        log = Log(Sink(Logs(level="debug"), stream.fileno(), terminal=False))
        loop = JumpingLoop()
        try:
            loop.run_until_complete(run(log))
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
    logged = [json.loads(line) for line in log.tail.last(100)]
    assert told == [{"robot"}, {"robot"}]
    assert [(one["event"], one.get("changed")) for one in logged] == [
        ("accounts.read", "robot"),
        ("accounts.not_followed", None),
        ("accounts.unusable", None),
        ("accounts.read", ""),
    ]
    assert "without spaces" in logged[2]["reason"]
