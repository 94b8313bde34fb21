"""No question that the daemon asks reads a whole table that grows, or sorts more than it returns."""

from __future__ import annotations

import inspect
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from daemon.ledger import (
    Asked,
    Call,
    ChannelFields,
    FedConversation,
    Ledger,
    New,
    Notice,
    OpenTelling,
    Piece,
    Reminder,
    ReminderAsked,
    Room,
    SenderLimits,
    Wanted,
    Why,
)
from daemon.ledger.channel_operations import ChannelOperations
from daemon.ledger.meaning import Batch
from proto.costs import Used
from proto.gateways import Inbound
from proto.host import VECTOR
from proto.messages import Conversation, Outgoing
from tests.daemon.ledger.older_ledgers import ADA, BOB, NOW, OPEN, TELEGRAM, rebuild

WEB: Final = Conversation("web", ADA)
CHAT: Final = Conversation("telegram", "@ada_owner", TELEGRAM, "4200042")
GROWING: Final = (
    "conversation",
    "inbox",
    "outbox",
    "webhook",
    "channel_conversation",
    "held",
    "feed",
    "sender",
    "revision",
    "fed_line",
    "meaning",
    "meaning_block",
    "telling",
    "reminder_request",
    "request",
    "call",
    "memory_version",
    "memory_change",
)
"""Tables whose rows no setting bounds."""

ITEM: Final = Inbound("901", "31", "@carl", "31", private=True, kind="text", content="hi", at=NOW)
FIELDS: Final = ChannelFields(name="Desk")
PILLS: Final = Reminder(1, ADA, "pills", "", "UTC", NOW, NOW, CHAT, task=False, quiet=False, created_at=NOW)
ASKED: Final = ReminderAsked("cancel 1", [1, 2], NOW)
TELLING: Final = OpenTelling(1, ADA, "pills", NOW, NOW, 1, [], "dead", TELEGRAM, "telegram")
"""What the operations below are called with."""

CALLS: Final[dict[str, tuple[Any, ...]]] = {
    "waiting": (ADA,),
    "history": (ADA, WEB, 50),
    "titles": (ADA, 50),
    "frames": (ADA, 0, 50),
    "unconsolidated": (ADA, 50),
    "is_fed": (ADA, "k"),
    "fed": (ADA,),
    "archive": (ADA, 5, 50, None),
    "channels": (ADA,),
    "outgoing": (ADA,),
    "pending_by_channel": (ADA,),
    "dead_letters": (ADA, 10),
    "last_seq": (),
    "depths": (),
    "holder": (TELEGRAM, "telegram", "900100"),
    "channel_owners": (),
    "open_channel": (OPEN, NOW),
    "open_channels": (NOW,),
    "channels_of": (ADA, NOW),
    "channel_conversations": (OPEN,),
    "channel_messages": (OPEN, "31"),
    "open_webhooks": (ADA,),
    "is_former_channel": (OPEN,),
    "find_code": (ADA, "01" * 32, NOW),
    "accept": (ADA, WEB, "text", "hello", None, NOW, "key"),
    "answer": (ADA, [1], WEB, [Outgoing("re")], [99_999], NOW),
    "tell": (ADA, WEB, "down", 99_998, NOW),
    "say": (ADA, WEB, "welcome", 99_997, NOW),
    "died": (ADA, [Notice(1, WEB, "it did not go", 99_996)], 3, NOW),
    "refuse": (ADA, [1], "a filter", Notice(1, WEB, "I cannot", 99_995), NOW),
    "set_aside": (ADA, 50),
    "take_up": (ADA, None),
    "drop_set_aside": (ADA, None),
    "consolidated": (ADA, 5),
    "take": (ADA, TELEGRAM, CHAT, [ITEM], NOW),
    "hold": (ADA, TELEGRAM, [ITEM], NOW),
    "visit": (BOB, OPEN, [ITEM], [], SenderLimits(9, 99), [1, 2], NOW),
    "webhook": (OPEN, "k", "text/plain", b"", NOW),
    "close_webhooks": (ADA, [2]),
    "keep_unread": (ADA, OPEN, [], NOW, "1"),
    "webhooks_died": ([2], 3),
    "sending": (1,),
    "part_sent": (1, 1),
    "sent": (1, NOW, "wamid"),
    "retry_later": (1, NOW, "later", False),
    "dead": (1, "gone"),
    "blocked": (ADA, TELEGRAM, "4200042", "blocked", NOW),
    "receipt": (ADA, OPEN, "wamid", "30003", NOW),
    "channel_error": (ADA, TELEGRAM, "bad", NOW),
    "channel_recovered": (ADA, TELEGRAM),
    "update_open_channel": (OPEN, FIELDS, NOW),
    "pause_channel": (OPEN, True, NOW),
    "idempotency_begin": ("k", "f", NOW),
    "idempotency_done": ("k", 200, b""),
    "strangers": (ADA, TELEGRAM, ["1"]),
    "recall": (ADA, Asked("ticket", WEB, NOW, since=1, until=NOW, seen=3, vector=bytes(VECTOR))),
    "recall_visited": (ADA, Asked("ticket", Conversation("telegram", "carl", OPEN, "31"), NOW, seen=1)),
    "index_step": (ADA,),
    "has_lines": (ADA, 41),
    "meaning_wanted": (ADA, "m"),
    "put_meaning": (ADA, "m", [(3, bytes(VECTOR))], Batch([], 3, 0)),
    "has_meaning": (ADA,),
    "fed_lines": (ADA, FedConversation("k" * 64, "chatgpt", NOW)),
    "add_reminder": (PILLS, 500),
    "change_reminder": (PILLS, PILLS),
    "add_reminder_once": (PILLS, 500, ASKED),
    "remove_reminder_once": (ADA, 1, ASKED),
    "reminder_asked": (ADA, ASKED),
    "reminders_removed": (ADA, [1, 2]),
    "remove_reminder": (ADA, 1),
    "reminder": (ADA, 1),
    "reminders": (ADA,),
    "next_reminders": ([ADA, BOB], 64),
    "postpone_reminder": (PILLS, NOW),
    "tell_reminder": (PILLS, None, [WEB, CHAT], "pills", 99_994, NOW),
    "hand_over_reminder": (PILLS, None, [WEB, CHAT], "pills", NOW),
    "open_tellings": (),
    "fall_over": (TELLING, [WEB, CHAT], "pills", 99_993, NOW),
    "settle_tellings": ([1],),
    "tellings": (ADA, 0, NOW, 50),
    "said_between": (ADA, 0, NOW, 50),
    "waiting_reminders": (),
    "take_request": (ADA, [New("k", [Piece("text", "hi")])], [], "", NOW, 0),
    "request_instructions": (ADA, "k"),
    "request_taken": (ADA, "k"),
    "reserve_call": (
        Call(ADA, "2026-11-02", "answer", "thinking", "openai", "m", Used(1), None, ""),
        [Room("2026-11-02", 99), Room("2026-11-01", 99, "USD")],
    ),
    "book_call": (1, Used(1), "reported", None),
    "release_call": (1,),
    "settle_calls": ([1],),
    "usage": (ADA, "2026-11-01", "2026-11-30"),
    "begin_change": (ADA, Why("talk", last=5), {}, {"person": "- a"}, NOW),
    "finish_change": (1,),
    "give_up_change": (1, []),
    "open_changes": (ADA,),
    "memory_digests": (ADA,),
    "note_memory": (ADA, {"person": "- a"}, Why("hand"), NOW),
    "memory_files": (ADA,),
    "memory_versions": (ADA, "person"),
    "memory_version": (ADA, "person", 1),
}
"""What is asked while people talk. Operations that run once a day, at the start or at a deletion are not here."""

ALLOWED: Final[dict[str, str]] = {
    "fed": "an export names all conversations that were fed to her",
}


async def bad(path: Path, name: str, *arguments: object) -> list[str]:
    """Call the operation, and return the steps of its statements whose work grows with the ledger."""
    statements: list[str] = []
    ledger = await Ledger.open(path)
    for thread in (ledger._reader, ledger._writer):
        thread._connection.set_trace_callback(statements.append)
    operation: Callable[..., Awaitable[object]] = getattr(ledger, name)
    await operation(*arguments)
    for thread in (ledger._reader, ledger._writer):
        thread._connection.set_trace_callback(None)
    await ledger.close()
    asked = [statement for statement in statements if re.match(r"SELECT|INSERT|UPDATE|DELETE|WITH", statement)]
    assert asked, "it runs at least one statement"
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("says", 4, lambda *_: True)
        plans = [(one, connection.execute(f"EXPLAIN QUERY PLAN {one}").fetchall()) for one in asked]
    return [f"{step}: {statement}" for statement, plan in plans for step in _growing(plan)]


def _growing(plan: list[tuple[int, int, int, str]]) -> Iterator[str]:
    """Yield the steps that read a whole table, and the searches whose rows are sorted.

    The rows that are still open are few, and so may be sorted: their indexes are named ``..._open``.
    """
    sorted_in = {parent for _, parent, _, step in plan if step == "USE TEMP B-TREE FOR ORDER BY"}
    tables = "|".join(GROWING)
    for _, parent, _, step in plan:
        whole = re.match(rf"SCAN ({tables})\b", step)
        search = re.match(rf"SEARCH ({tables})\b", step) if parent in sorted_in else None
        if (whole or search) and not re.search(r"INDEX \w+_open\b", step):
            yield step


@pytest.mark.parametrize("name", CALLS)
async def test_a_search_uses_an_index(name: str, path: Path) -> None:
    """Each operation reaches its rows by a key, in the order of an index."""
    rebuild(8, path)
    found = await bad(path, name, *CALLS[name])
    assert bool(found) == (name in ALLOWED), found


@pytest.mark.parametrize("wanted", [Wanted(9), Wanted(9, before=30), Wanted(9, after=3), Wanted(9, words='a "b c"')])
async def test_a_page_uses_an_index(wanted: Wanted, path: Path) -> None:
    """Pages of the conversation are read in the order of the index, in both directions."""
    rebuild(8, path)
    assert await bad(path, "conversation", ADA, wanted) == []


def test_nothing_is_forgotten() -> None:
    """Every operation that takes part in a conversation is looked at; the others are named here."""
    rare = {
        *("open", "close", "put_back", "put_back_fed", "add_channel", "remove_channel"),
        *("add_code", "drop_code", "bind", "release", "reopen_sending", "prune", "prune_channels", "forget"),
        *("add_open_channel", "read_back", "mirrored", "identified", "idempotency_drop", "conversation"),
        *("mentions", "last_moment", "file_gone", "conversations_of", "erase_conversation", "forget_sender"),
        *("with_open_changes", "archived_versions", "put_back_versions", "put_back_reminders"),
        *("erase_old_lines", "idle_conversations", "unneeded_files", "roll_up_calls"),
    }
    known = {name for one in (Ledger, ChannelOperations) for name, _ in inspect.getmembers(one, inspect.isfunction)}
    assert {name for name in known if not name.startswith("_")} - rare == CALLS.keys()
