"""The steps that made the ledger's tables what they are: a file runs those that it has not seen, in order.

A step that was released is never changed, because ledgers on other machines have run it. A new one gets a module of its
own, and a ledger of the version before it in ``tests/fixtures/ledgers``.
"""

from __future__ import annotations

from typing import Final

from daemon.ledger.migrations import step_1, step_2, step_3, step_4, step_5, step_6, step_7, step_8

MIGRATIONS: Final = (step_1.SQL, step_2.SQL, step_3.SQL, step_4.SQL, step_5.SQL, step_6.SQL, step_7.SQL, step_8.SQL)
