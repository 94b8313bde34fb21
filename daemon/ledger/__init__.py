"""The ledger: inbox, conversation and outbox in one SQLite file, behind one writer thread with group commit."""

from __future__ import annotations

from daemon.ledger.conversation import StoredLine
from daemon.ledger.errors import LedgerBusy, LedgerError, LedgerFull
from daemon.ledger.inbox import Waiting
from daemon.ledger.ledger import Depth, Ledger
from daemon.ledger.outbox import StoredFrame

__all__ = ["Depth", "Ledger", "LedgerBusy", "LedgerError", "LedgerFull", "StoredFrame", "StoredLine", "Waiting"]
