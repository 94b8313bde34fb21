"""The ledger: inbox, conversation, outbox and channels in one SQLite file, written by one thread with group commit."""

from __future__ import annotations

from daemon.ledger.archive import ArchivedLine, Page
from daemon.ledger.calls import KEPT_DAYS, Call, Crossed, Room, UsageRow
from daemon.ledger.channels import Committed, StoredChannel
from daemon.ledger.delivery import DeadLetter, OutgoingRow
from daemon.ledger.errors import (
    ChannelTaken,
    ChannelUnknown,
    LedgerBusy,
    LedgerDamaged,
    LedgerEnded,
    LedgerError,
    LedgerFull,
    LedgerLost,
)
from daemon.ledger.feeds import Digest, FedConversation
from daemon.ledger.hushed import marked
from daemon.ledger.idempotency import Idempotent
from daemon.ledger.inbox import Waiting
from daemon.ledger.ledger import Depth, Ledger
from daemon.ledger.mirror import Holder, Mirrored, ReadBack
from daemon.ledger.open_channels import (
    ChannelConversation,
    ChannelFields,
    ChannelMessage,
    ChannelStatus,
    OpenChannel,
)
from daemon.ledger.opt_outs import OPTED_OUT
from daemon.ledger.outbox import StoredFrame
from daemon.ledger.paging import PAGE_LINES, StoredLine, Wanted
from daemon.ledger.pairing import PendingPairing
from daemon.ledger.recall import Asked
from daemon.ledger.requests import New, Piece, Standing
from daemon.ledger.set_aside import DIED, Notice, SetAside
from daemon.ledger.visitors import Said, SenderLimits, Visited
from daemon.ledger.webhooks import OpenWebhook

__all__ = [
    "DIED",
    "KEPT_DAYS",
    "OPTED_OUT",
    "PAGE_LINES",
    "ArchivedLine",
    "Asked",
    "Call",
    "ChannelConversation",
    "ChannelFields",
    "ChannelMessage",
    "ChannelStatus",
    "ChannelTaken",
    "ChannelUnknown",
    "Committed",
    "Crossed",
    "DeadLetter",
    "Depth",
    "Digest",
    "FedConversation",
    "Holder",
    "Idempotent",
    "Ledger",
    "LedgerBusy",
    "LedgerDamaged",
    "LedgerEnded",
    "LedgerError",
    "LedgerFull",
    "LedgerLost",
    "Mirrored",
    "New",
    "Notice",
    "OpenChannel",
    "OpenWebhook",
    "OutgoingRow",
    "Page",
    "PendingPairing",
    "Piece",
    "ReadBack",
    "Room",
    "Said",
    "SenderLimits",
    "SetAside",
    "Standing",
    "StoredChannel",
    "StoredFrame",
    "StoredLine",
    "UsageRow",
    "Visited",
    "Waiting",
    "Wanted",
    "marked",
]
