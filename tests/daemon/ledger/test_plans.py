"""No question that the daemon asks reads a whole table that grows, or sorts more than it returns."""

from __future__ import annotations

import inspect
import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from daemon.ledger import ChannelFields, Ledger, SenderLimits, Wanted
from daemon.ledger.channel_operations import ChannelOperations
from proto.gateways import Inbound
from proto.messages import Conversation, Outgoing
from tests.daemon.ledger.older_ledgers import ADA, BOB, NOW, OPEN, TELEGRAM, rebuild

WEB: Final = Conversation("web", ADA)
CHAT: Final = Conversation("telegram", "@ada_owner", TELEGRAM, "4200042")
GROWING: Final = ("conversation", "inbox", "outbox", "webhook", "channel_conversation", "held", "fed", "feed", "sender")
"""Tables whose rows no setting bounds."""

ITEM: Final = Inbound("901", "31", "@carl", "31", private=True, kind="text", content="hi", at=NOW)
FIELDS: Final = ChannelFields(name="Desk")
"""What the operations below are called with."""

CALLS: Final[dict[str, tuple[Any, ...]]] = {
    "waiting": (ADA,),
    "history": (ADA, WEB, 50),
    "mentions": (ADA, "0a1b.jpg"),
    "titles": (ADA, 50),
    "frames": (ADA, 0, 50),
    "unconsolidated": (ADA, 50),
    "is_fed": (ADA, "k"),
    "unapplied": (),
    "fed": (ADA,),
    "archive": (ADA, 5, 50, None),
    "channels": (ADA,),
    "outgoing": (ADA,),
    "pending_by_channel": (ADA,),
    "dead_letters": (ADA, 10),
    "last_seq": (),
    "last_moment": (),
    "depths": (),
    "holder": (TELEGRAM, "telegram", "900100"),
    "channel_owners": (),
    "open_channel": (OPEN, NOW),
    "open_channels": (NOW,),
    "channels_of": (ADA, NOW),
    "channel_conversations": (OPEN,),
    "channel_messages": (OPEN, "31"),
    "open_webhooks": (ADA,),
    "find_code": (ADA, "01" * 32, NOW),
    "accept": (ADA, WEB, "text", "hello", None, NOW, "key"),
    "answer": (ADA, [1], WEB, [Outgoing("re")], [99_999], NOW),
    "tell": (ADA, WEB, "down", 99_998, NOW),
    "say": (ADA, WEB, "welcome", 99_997, NOW),
    "died": ([1], 3),
    "consolidated": (ADA, 5),
    "applied": (ADA, "k"),
    "take": (ADA, TELEGRAM, CHAT, [ITEM], NOW),
    "hold": (ADA, TELEGRAM, [ITEM], NOW),
    "visit": (BOB, OPEN, [ITEM], [], SenderLimits(9, 99), [1, 2], NOW),
    "webhook": (OPEN, "k", "text/plain", b"", NOW),
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
}
"""What is asked while people talk. Operations that run once a day, at the start or at a deletion are not here."""

ALLOWED: Final[dict[str, str]] = {
    "depths": "counts all rows of each persona by an index; asked by monitors only",
}


async def plans(path: Path, name: str, *arguments: object) -> list[str]:
    """Call the operation and return the plans of all statements that it ran, one line for each step."""
    statements: list[str] = []
    ledger = await Ledger.open(path)
    for thread in (ledger._reader, ledger._writer):
        thread._connection.set_trace_callback(statements.append)
    operation: Callable[..., Awaitable[object]] = getattr(ledger, name)
    await operation(*arguments)
    for thread in (ledger._reader, ledger._writer):
        thread._connection.set_trace_callback(None)
    await ledger.close()
    found = []
    with closing(sqlite3.connect(path)) as connection:
        connection.create_function("says", 4, lambda *_: True)
        for statement in statements:
            if re.match(r"SELECT|INSERT|UPDATE|DELETE|WITH", statement):
                steps = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                found += [f"{step[3]} | {statement}" for step in steps]
    return found


def bad(steps: list[str]) -> list[str]:
    """Return the steps that grow with the ledger."""
    scan = re.compile(rf"SCAN ({'|'.join(GROWING)})\b(?! USING (COVERING )?INDEX \w+_open)")
    return [step for step in steps if scan.match(step) or step.startswith("USE TEMP B-TREE FOR ORDER BY")]


@pytest.mark.parametrize("name", CALLS)
async def test_a_search_uses_an_index(name: str, path: Path) -> None:
    """Each operation reaches its rows by a key, in the order of an index."""
    rebuild(8, path)
    arguments = [
        ("5c1f0c1e-6a5b-4c55-9d8e-0000000000b2" if one is None and name == "visit" else one) for one in CALLS[name]
    ]
    steps = await plans(path, name, *arguments)
    assert steps, "it runs at least one statement"
    if name not in ALLOWED:
        assert bad(steps) == []


@pytest.mark.parametrize("wanted", [Wanted(9), Wanted(9, before=30), Wanted(9, after=3), Wanted(9, words="a")])
async def test_a_page_uses_an_index(wanted: Wanted, path: Path) -> None:
    """Pages of the conversation are read in the order of the index, in both directions."""
    rebuild(8, path)
    assert bad(await plans(path, "conversation", ADA, wanted)) == []


def test_nothing_is_forgotten() -> None:
    """Every operation that takes part in a conversation is looked at; the others are named here."""
    rare = {
        *("open", "close", "digested", "undigested", "put_back", "put_back_fed", "add_channel", "remove_channel"),
        *("add_code", "drop_code", "bind", "release", "reopen_sending", "prune", "prune_channels", "forget"),
        *("add_open_channel", "read_back", "mirrored", "identified", "idempotency_drop", "conversation"),
    }
    known = {name for one in (Ledger, ChannelOperations) for name, _ in inspect.getmembers(one, inspect.isfunction)}
    assert {name for name in known if not name.startswith("_")} - rare == CALLS.keys()
