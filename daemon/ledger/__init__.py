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
from daemon.ledger.feeds import FedConversation
from daemon.ledger.hushed import marked
from daemon.ledger.idempotency import Idempotent
from daemon.ledger.inbox import Waiting
from daemon.ledger.ledger import Depth, Ledger
from daemon.ledger.memory_history import ArchivedVersion, Cause, Change, Version, Why
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
from daemon.ledger.reminder_requests import CANCEL, ReminderAsked
from daemon.ledger.reminders import OpenTelling, Reminder, Telling
from daemon.ledger.requests import New, Piece, Standing
from daemon.ledger.set_aside import DIED, Notice, SetAside
from daemon.ledger.visitors import Said, SenderLimits, Visited
from daemon.ledger.webhooks import OpenWebhook

__all__ = [
    "CANCEL",
    "DIED",
    "KEPT_DAYS",
    "OPTED_OUT",
    "PAGE_LINES",
    "ArchivedLine",
    "ArchivedVersion",
    "Asked",
    "Call",
    "Cause",
    "Change",
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
    "OpenTelling",
    "OpenWebhook",
    "OutgoingRow",
    "Page",
    "PendingPairing",
    "Piece",
    "ReadBack",
    "Reminder",
    "ReminderAsked",
    "Room",
    "Said",
    "SenderLimits",
    "SetAside",
    "Standing",
    "StoredChannel",
    "StoredFrame",
    "StoredLine",
    "Telling",
    "UsageRow",
    "Version",
    "Visited",
    "Waiting",
    "Wanted",
    "Why",
    "marked",
]
