"""The migrations of the ledger's tables. A file runs, in order, the steps that it has not run yet.

A released step never changes, because ledgers on other machines have run it. A new step gets its own module, and a
ledger of the version before it in ``tests/fixtures/ledgers``.
"""

from __future__ import annotations

from typing import Final

from daemon.ledger.migrations import (
    step_1,
    step_2,
    step_3,
    step_4,
    step_5,
    step_6,
    step_7,
    step_8,
    step_9,
    step_10,
    step_11,
    step_12,
    step_13,
    step_14,
    step_15,
    step_16,
    step_17,
    step_18,
    step_19,
    step_20,
)

MIGRATIONS: Final = (
    step_1.SQL,
    step_2.SQL,
    step_3.SQL,
    step_4.SQL,
    step_5.SQL,
    step_6.SQL,
    step_7.SQL,
    step_8.SQL,
    step_9.SQL,
    step_10.SQL,
    step_11.SQL,
    step_12.SQL,
    step_13.SQL,
    step_14.SQL,
    step_15.SQL,
    step_16.SQL,
    step_17.SQL,
    step_18.SQL,
    step_19.SQL,
    step_20.SQL,
)
