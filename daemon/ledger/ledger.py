"""The ledger's interface for the daemon: awaitable operations on the writer and reader threads."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from daemon.ledger import answers, archive, channels, delivery, feeds, inbox, outbox, paging, pairing, schema, set_aside
from daemon.ledger import conversation as lines
from daemon.ledger.archive import ArchivedLine, Page
from daemon.ledger.call_operations import CallOperations
from daemon.ledger.channel_operations import ChannelOperations
from daemon.ledger.channels import Committed, StoredChannel
from daemon.ledger.damage import Damage
from daemon.ledger.delivery import DeadLetter, OutgoingRow, Sending
from daemon.ledger.erasure_operations import ErasureOperations
from daemon.ledger.feeds import FedConversation
from daemon.ledger.inbox import Waiting
from daemon.ledger.mark import Mark
from daemon.ledger.memory_operations import MemoryOperations
from daemon.ledger.outbox import StoredFrame
from daemon.ledger.paging import LATEST, StoredLine, Wanted
from daemon.ledger.pairing import PendingPairing
from daemon.ledger.recall_operations import RecallOperations
from daemon.ledger.reminder_operations import ReminderOperations
from daemon.ledger.request_operations import RequestOperations
from daemon.ledger.set_aside import Notice, SetAside
from daemon.ledger.threads import Reader
from daemon.ledger.writer import Writer
from proto.gateways import Inbound
from proto.messages import Conversation, Line, Outgoing
from proto.perception import PerceptionKind


class Depth(msgspec.Struct):
    """The number of a persona's open rows in the inbox and the outbox, by state."""

    pending: int = 0
    poison: int = 0
    outbox_pending: int = 0
    outbox_dead: int = 0


class Ledger(
    ChannelOperations,
    ErasureOperations,
    CallOperations,
    ReminderOperations,
    RequestOperations,
    RecallOperations,
    MemoryOperations,
):
    """An operation is on the disk when its call returns, and has changed nothing when it raises.

    Times are in epoch nanoseconds. Every operation raises LedgerFull when the disk fails or is full, LedgerBusy when
    too many operations are waiting, and LedgerEnded after ``close``. A cancelled call may still be committed.
    """

    def __init__(self, writer: Writer, reader: Reader, damage: Damage) -> None:
        self._damage = damage
        self._writer = writer
        self._reader = reader

    @classmethod
    async def open(
        cls, path: Path, mark: Mark | None = None, unreadable: Callable[[str], object] = lambda _place: None
    ) -> Ledger:
        """Open the file, or create it with mode 0600, and migrate it to this version.

        ``mark`` is kept beside it unless it is given. ``unreadable`` is called with each row, such as
        "conversation 177", that holds bytes which are no text: on the ledger's threads, once for each.

        Raise LedgerError for a file that is not a ledger or has a newer version, LedgerFull when the disk cannot be
        written. Every later call must come from the event loop that opened the ledger.
        """
        writing = await asyncio.to_thread(schema.open_writer, path)
        reading = await asyncio.to_thread(schema.open_reader, path)
        kept, damage = mark or Mark(path.with_suffix(".mark")), Damage(unreadable)
        return cls(Writer(path, writing, damage, kept), Reader("ledger-reader", path, reading, damage), damage)

    async def close(self) -> None:
        """Finish the queued operations, fold the write-ahead log into the database and close it."""
        # The last connection to close runs the checkpoint (https://www.sqlite.org/wal.html), so it must be the one
        # that can write.
        await self._reader.close()
        await self._writer.close()

    @property
    def commits(self) -> int:
        """The number of transactions committed since the ledger was opened."""
        return self._writer.commits

    @property
    def broken(self) -> str:
        """What SQLite said when a page could not be read since the ledger was opened, or an empty string."""
        return self._damage.broken

    async def accept(
        self,
        persona_id: str,
        conversation: Conversation,
        kind: PerceptionKind,
        content: str,
        media: str | None,
        at: int,
        key: str | None,
        title: str = "",
    ) -> int | None:
        """Keep a perception and return its id, or None when this conversation already has one with this key."""
        return await self._writer.submit(inbox.accept, persona_id, conversation, kind, content, media, at, key, title)

    async def waiting(self, persona_id: str) -> list[Waiting]:
        """Return her pending perceptions, oldest first."""
        return await self._reader.submit(inbox.waiting, persona_id)

    async def answer(
        self,
        persona_id: str,
        perceptions: list[int],
        conversation: Conversation,
        messages: list[Outgoing],
        seqs: list[int],
        at: int,
        perceived: Mapping[int, str] = MappingProxyType({}),
        *,
        hushed: bool = False,
    ) -> bool:
        """Close these perceptions and keep her messages, ``seqs[i]`` for ``messages[i]``, in one transaction.

        ``perceived`` holds what she made of their files; ``hushed``: she was told to stop there. Change nothing and
        return False unless all perceptions are pending and belong to her. This ends the conversation's outage.
        """
        return await self._writer.submit(
            answers.answer, persona_id, perceptions, conversation, messages, seqs, at, perceived, hushed
        )

    async def tell(self, persona_id: str, conversation: Conversation, content: str, seq: int, at: int) -> bool:
        """Keep a notice to the person, at most one per outage of this conversation; False when there is one already."""
        return await self._writer.submit(answers.tell, persona_id, conversation, content, seq, at)

    async def say(self, persona_id: str, conversation: Conversation, content: str, seq: int, at: int) -> None:
        """Keep a message that the daemon writes in her name and that her mind never sees."""
        await self._writer.submit(answers.say, persona_id, conversation, content, seq, at)

    async def refuse(self, persona_id: str, perceptions: list[int], reason: str, notice: Notice, at: int) -> bool:
        """Set these perceptions aside and tell their sender so, in one transaction.

        Change nothing and return False unless all perceptions are pending and belong to her.
        """
        return await self._writer.submit(set_aside.refuse, persona_id, perceptions, reason, notice, at)

    async def died(self, persona_id: str, notices: list[Notice], limit: int, at: int) -> list[int]:
        """Count a death for each pending perception. Those that reach ``limit`` are set aside, told and returned."""
        return await self._writer.submit(set_aside.died, persona_id, notices, limit, at)

    async def set_aside(self, persona_id: str, limit: int) -> list[SetAside]:
        """Return her messages that are set aside, oldest first."""
        return await self._reader.submit(set_aside.of, persona_id, limit)

    async def take_up(self, persona_id: str, perception: int | None) -> list[Waiting]:
        """Let her messages that are set aside wait again, one or all; return them, oldest first."""
        return await self._writer.submit(set_aside.take_up, persona_id, perception)

    async def drop_set_aside(self, persona_id: str, perception: int | None) -> list[int]:
        """Close her messages that are set aside, one or all, without an answer; return their ids."""
        return await self._writer.submit(set_aside.drop, persona_id, perception)

    async def history(self, persona_id: str, conversation: Conversation, limit: int) -> list[Line]:
        """Return what her mind sees: a conversation's last lines in the order of insertion, without notices."""
        return await self._reader.submit(lines.history, persona_id, conversation, limit)

    async def conversation(self, persona_id: str, wanted: Wanted = LATEST) -> list[StoredLine]:
        """Return a page of what her owner sees, oldest first: all conversations, with unanswered messages."""
        return await self._reader.submit(paging.page, persona_id, wanted)

    async def mentions(self, persona_id: str, media: str) -> bool:
        """Return whether one of her perceptions, lines or held messages refers to this file."""
        return await self._reader.submit(lines.mentions, persona_id, media)

    async def titles(self, persona_id: str, limit: int) -> dict[str, str]:
        """Map the stored names of the latest files to the names their senders gave them. Open channels are left out."""
        return await self._reader.submit(lines.titles, persona_id, limit)

    async def frames(self, persona_id: str, after: int, limit: int) -> list[StoredFrame]:
        """Return her web frames with a seq larger than ``after``, in order."""
        return await self._reader.submit(outbox.frames, persona_id, after, limit)

    async def unconsolidated(self, persona_id: str, limit: int) -> tuple[int, list[Line]]:
        """Return the last id (0: none) and the oldest lines not yet consolidated, without notices and open channels."""
        return await self._reader.submit(lines.unconsolidated, persona_id, limit)

    async def consolidated(self, persona_id: str, up_to: int) -> None:
        """Record that her lines up to the id ``up_to`` are consolidated."""
        await self._writer.submit(lines.consolidated, persona_id, up_to)

    async def is_fed(self, persona_id: str, key: str) -> bool:
        """Return whether the imported conversation with this key was fed to her before."""
        return await self._reader.submit(feeds.is_known, persona_id, key)

    async def fed(self, persona_id: str) -> list[FedConversation]:
        """Return the imported conversations that are in her memory, oldest first."""
        return await self._reader.submit(feeds.known, persona_id)

    async def put_back_fed(self, persona_id: str, fed: list[FedConversation]) -> None:
        """Restore the fed conversations from an export."""
        await self._writer.submit(feeds.put_back, persona_id, fed)

    async def archive(self, persona_id: str, after: int, limit: int, up_to: int | None) -> Page:
        """Return a page of her conversation for an export: see ``daemon/ledger/archive.py``."""
        page = await self._reader.submit(archive.page, persona_id, after, limit, up_to)
        for line in page.left_out:
            self._damage.found(f"conversation {line}")
        return page

    async def put_back(self, persona_id: str, lines: list[ArchivedLine]) -> int:
        """Add lines of an export at the end of her conversation and return the id of the last one."""
        return await self._writer.submit(archive.put_back, persona_id, lines)

    async def add_channel(
        self, persona_id: str, channel: str, type_: str, bot_id: str, bot_name: str, at: int, claim: str = ""
    ) -> None:
        """Add her channel, or update its bot's identity. ``claim`` identifies its token, "" if it is the channel's id.

        Raise ChannelTaken when the ledger has this channel for another persona, or another channel with this bot.
        """
        await self._writer.submit(channels.add, persona_id, channel, type_, bot_id, bot_name, at, claim)

    async def remove_channel(self, persona_id: str, channel: str) -> None:
        """Delete a channel with its codes and held messages.

        Its undelivered messages become dead and its unanswered ones done. The conversation keeps its lines, but what
        visitors said on an open channel is erased.
        """
        await self._writer.submit(answers.remove_channel, persona_id, channel)

    async def channels(self, persona_id: str) -> list[StoredChannel]:
        """Return her channels, oldest first."""
        return await self._reader.submit(channels.stored, persona_id)

    async def take(
        self, persona_id: str, channel: str, conversation: Conversation, items: list[Inbound], at: int
    ) -> Committed:
        """Keep what the paired person wrote: messages wait for her, a command is only recorded.

        Keys that this conversation has seen are skipped. ``at`` is the time of an item that has none. Raise
        ChannelUnknown, and keep nothing, when the channel is gone.
        """
        return await self._writer.submit(channels.take, persona_id, channel, conversation, items, at)

    async def strangers(self, persona_id: str, channel: str, keys: list[str]) -> None:
        """Count messages from other accounts. Keys are not kept, so a message that is delivered again counts again."""
        await self._writer.submit(channels.strangers, persona_id, channel, keys)

    async def hold(self, persona_id: str, channel: str, items: list[Inbound], at: int) -> int:
        """Keep messages from accounts that are not paired, once per key and within pairing's limits.

        Return how many are new. Raise ChannelUnknown when the channel is gone.
        """
        return await self._writer.submit(pairing.hold, persona_id, channel, items, at)

    async def add_code(
        self,
        persona_id: str,
        channel: str,
        account: str,
        account_name: str,
        chat: str,
        code_hash: str,
        expires_at: int,
        now: int,
    ) -> bool:
        """Keep an account's code in place of its last one; False when three other accounts have one for this channel.

        Raise ChannelUnknown when the channel is gone, LedgerError when another account has the same code.
        """
        return await self._writer.submit(
            pairing.add_code, persona_id, channel, account, account_name, chat, code_hash, expires_at, now
        )

    async def find_code(self, persona_id: str, code_hash: str, now: int) -> PendingPairing | None:
        """Return the account that was shown this code; None when the code is unknown or expired."""
        return await self._reader.submit(pairing.find_code, persona_id, code_hash, now)

    async def drop_code(self, code_hash: str) -> None:
        """Delete a code."""
        await self._writer.submit(pairing.drop_code, code_hash)

    async def bind(self, persona_id: str, channel: str, account: str, account_name: str, chat: str) -> None:
        """Bind her channel to an account and its chat. Raise ChannelUnknown when it is not in the ledger."""
        await self._writer.submit(pairing.bind, persona_id, channel, account, account_name, chat)

    async def release(self, persona_id: str, channel: str, conversation: Conversation) -> list[Waiting]:
        """Move the bound account's held messages to her inbox. Delete others' held messages and the channel's codes.

        Return the messages moved: none the second time, or while no account is bound.
        """
        return await self._writer.submit(pairing.release, persona_id, channel, conversation)

    async def outgoing(self, persona_id: str) -> list[OutgoingRow]:
        """Return her messages for gateways that are neither sent nor dead, in order."""
        return await self._reader.submit(delivery.outgoing, persona_id)

    async def pending_by_channel(self, persona_id: str) -> dict[str, int]:
        """Count her messages that are neither sent nor dead, by channel id."""
        return await self._reader.submit(delivery.pending_by_channel, persona_id)

    async def sending(self, seq: int) -> Sending:
        """Mark a message before it goes to the provider, unless it is no longer open or its person opted out."""
        return await self._writer.submit(delivery.sending, seq)

    async def part_sent(self, seq: int, parts: int) -> None:
        """Record that the provider has this many parts, and certainly not the next one."""
        await self._writer.submit(delivery.part_sent, seq, parts)

    async def sent(self, seq: int, at: int, provider_id: str = "") -> None:
        """Record that the provider has the whole message. A later receipt may name it by ``provider_id``.

        For a message that is already sent or dead, this method and the two below do nothing.
        """
        await self._writer.submit(delivery.sent, seq, at, provider_id)

    async def retry_later(self, seq: int, not_before: int, reason: str, ambiguous: bool) -> None:
        """Count a failed attempt. The next one comes no earlier than ``not_before``."""
        await self._writer.submit(delivery.retry_later, seq, not_before, reason, ambiguous)

    async def dead(self, seq: int, reason: str, at: int = 0) -> None:
        """Give up a message, and mark its conversation with the reason."""
        await self._writer.submit(delivery.dead, seq, reason, at)

    async def blocked(self, persona_id: str, channel: str, chat: str, reason: str, at: int = 0) -> list[int]:
        """Give up all open messages of this chat, mark its conversation with the reason, return the seqs in order."""
        return await self._writer.submit(delivery.blocked, persona_id, channel, chat, reason, at)

    async def dead_letters(self, persona_id: str, limit: int) -> list[DeadLetter]:
        """Return the last of her messages that were given up, newest first."""
        return await self._reader.submit(delivery.dead_letters, persona_id, limit)

    async def reopen_sending(self) -> int:
        """At boot, mark messages that were being sent as ambiguous and return their number."""
        return await self._writer.submit(delivery.reopen_sending)

    async def last_seq(self) -> int:
        """Return the largest seq ever stored, even for a persona since deleted; 0 when there was none."""
        return await self._reader.submit(outbox.last_seq)

    async def last_moment(self) -> int:
        """Return the latest time of the last rows, 0 when there are none: the machine's clock was there once."""
        return await self._reader.submit(_last_moment)

    async def depths(self) -> dict[str, Depth]:
        """Return the number of open rows of each persona that has any, from the indexes of what is open.

        Lines of the conversation are not counted: a monitor that asks often would read a whole index each time.
        """
        return await self._reader.submit(_depths)

    async def prune(self, before: int) -> None:
        """Delete rows older than ``before`` that only serve repeated keys, replays and pairing, and dead letters."""
        await self._writer.submit(answers.prune, before)

    async def forget(self, persona_id: str) -> None:
        """Delete everything that belongs to the persona."""
        await self._writer.submit(answers.forget, persona_id)


def _depths(connection: sqlite3.Connection) -> dict[str, Depth]:
    depths: defaultdict[str, Depth] = defaultdict(Depth)
    for persona, state, count in inbox.counts(connection):
        if state == "pending":
            depths[persona].pending = count
        else:
            depths[persona].poison = count
    for persona, state, count in outbox.counts(connection):
        if state == "dead":
            depths[persona].outbox_dead = count
        else:
            depths[persona].outbox_pending += count
    return dict(depths)


def _last_moment(connection: sqlite3.Connection) -> int:
    latest = 0
    for table, at, key in (("inbox", "at", "id"), ("conversation", "at", "id"), ("outbox", "created_at", "seq")):
        rows = connection.execute(f"SELECT {at} FROM {table} ORDER BY {key} DESC LIMIT 100")  # noqa: S608 (constants)
        latest = max(latest, *(moment for (moment,) in rows), 0)
    return latest
