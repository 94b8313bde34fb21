"""What the daemon does beside serving: it forgets what is too old."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import Final

from daemon.channels.erasure import Erasure
from daemon.ledger import KEPT_DAYS, Ledger, LedgerError
from daemon.logging.log import Log
from daemon.runtime.clock import Clock
from daemon.runtime.kept_clock import KeptClock
from daemon.settings.accounts import Accounts

LOOK_EVERY: Final = 2.0
"""Seconds between two looks at the accounts' files. A few ``stat`` calls cost less than a watch of whole folders."""
IMPLAUSIBLE: Final = 24 * 3600.0
"""Seconds that an unsynchronized clock may be ahead of the ledger before that is logged. A quiet day is normal."""
PRUNE_EVERY: Final = 24 * 3600.0
DAY: Final = 24 * 3600 * 1_000_000_000
"""In nanoseconds, as the ledger counts."""

USAGE_DAYS: Final = 3660
"""Days for which usage is kept: ten years."""


async def follow_accounts(
    accounts: Accounts, changed: Callable[[Collection[str]], Awaitable[None]], clock: Clock, log: Log
) -> None:
    """Read accounts again when their files change, and have ``changed`` told; files in disorder change nothing."""
    pending: set[str] = set()
    while True:
        await clock.sleep(LOOK_EVERY)
        before = accounts.fault
        found = await accounts.refresh()
        if accounts.fault and accounts.fault != before:
            log.error("accounts.unusable", reason=accounts.fault)
        if found or (before and not accounts.fault):
            log.info("accounts.read", changed=", ".join(sorted(found)))
        pending |= found
        try:
            if pending:
                await changed(pending)
                pending = set()
        except LedgerError as error:
            log.error("accounts.not_followed", accounts=", ".join(sorted(pending)), reason=str(error))


async def forget_visitors(erasure: Erasure, retention_days: int, clock: KeptClock, log: Log) -> None:
    """Once a day, erase what visitors said too long ago, and the files of erased words that a kill left."""
    while True:
        try:
            await erasure.delete_files()
            if retention_days:
                await erasure.expire(clock.aged_ns() - retention_days * DAY)
        except (LedgerError, OSError) as error:
            log.error("visitor.not_erased", reason=str(error))
        await clock.sleep(PRUNE_EVERY)


async def prune(ledger: Ledger, replay_days: int, clock: KeptClock, log: Log) -> None:
    """Once a day, remove what was kept for repetitions and replays, by time that certainly passed."""
    while True:
        if (ahead := clock.ahead()) > IMPLAUSIBLE:
            log.warning("clock.implausible", ahead=round(ahead))
        try:
            await ledger.prune(clock.aged_ns() - replay_days * DAY)
            await ledger.prune_channels(clock.aged_ns())
            await ledger.roll_up_calls(
                _day(clock.aged_ns() - KEPT_DAYS * DAY), _day(clock.aged_ns() - USAGE_DAYS * DAY)
            )
        except LedgerError as error:
            log.error("ledger.prune_failed", reason=str(error))
        await clock.sleep(PRUNE_EVERY)


def _day(moment: int) -> str:
    return datetime.fromtimestamp(max(0, moment) / 1e9, UTC).date().isoformat()
