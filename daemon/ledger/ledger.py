"""The ledger as the daemon uses it: awaitable operations over the writer and the reader thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from daemon.ledger import answers, archive, channels, delivery, feeds, inbox, outbox, pairing, schema
from daemon.ledger import conversation as lines
from daemon.ledger.archive import ArchivedLine, Page
from daemon.ledger.channel_operations import ChannelOperations
from daemon.ledger.channels import Committed, StoredChannel
from daemon.ledger.conversation import StoredLine
from daemon.ledger.delivery import DeadLetter, OutgoingRow
from daemon.ledger.feeds import Digest, FedConversation
from daemon.ledger.inbox import Waiting
from daemon.ledger.outbox import StoredFrame
from daemon.ledger.pairing import PendingPairing
from daemon.ledger.threads import Reader
from daemon.ledger.writer import Writer
from proto.gateways import Inbound
from proto.messages import Conversation, Line, Outgoing
from proto.perception import PerceptionKind


class Depth(msgspec.Struct):
    """How many rows a persona has: inbox rows by state, outbox rows by state, conversation lines."""

    pending: int = 0
    poison: int = 0
    outbox_pending: int = 0
    outbox_dead: int = 0
    lines: int = 0


class Ledger(ChannelOperations):
    """Every operation is committed to the disk when its call returns, and has changed nothing when it raises.

    Times are epoch nanoseconds. Every operation raises LedgerFull when the disk does not take it, LedgerBusy when too
    many wait, and LedgerError after ``close``. A cancelled call may still be committed.
    """

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    @classmethod
    async def open(cls, path: Path) -> Ledger:
        """Open or make the file (mode 0600), migrated to this version.

        Raise LedgerError for a file that is no ledger or of a newer version, LedgerFull for a disk that cannot be
        written. The calls must come from the event loop that opened it.
        """
        writing = await asyncio.to_thread(schema.open_writer, path)
        reading = await asyncio.to_thread(schema.open_reader, path)
        return cls(Writer(path, writing), Reader("ledger-reader", path, reading))

    async def close(self) -> None:
        """Finish what was asked, fold the write-ahead log into the database and close it."""
        # The last connection to close does the checkpoint: it must be the one that can write.
        await self._reader.close()
        await self._writer.close()

    @property
    def commits(self) -> int:
        """Transactions committed since it was opened."""
        return self._writer.commits

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
        """Keep a perception and return its id; None when this conversation has one with this key already."""
        return await self._writer.submit(inbox.accept, persona_id, conversation, kind, content, media, at, key, title)

    async def waiting(self, persona_id: str) -> list[Waiting]:
        """Her pending perceptions, oldest first."""
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
    ) -> bool:
        """Close these perceptions and keep her messages, ``seqs[i]`` for ``messages[i]``, in one transaction.

        ``perceived`` holds what she made of their files. False, and nothing changed, unless all perceptions are
        pending and hers. Ends the conversation's outage.
        """
        return await self._writer.submit(
            answers.answer, persona_id, perceptions, conversation, messages, seqs, at, perceived
        )

    async def tell(self, persona_id: str, conversation: Conversation, content: str, seq: int, at: int) -> bool:
        """Keep a notice to the person, once in an outage of this conversation; False when there was one."""
        return await self._writer.submit(answers.tell, persona_id, conversation, content, seq, at)

    async def say(self, persona_id: str, conversation: Conversation, content: str, seq: int, at: int) -> None:
        """Keep words in her name that her mind never sees: what the daemon says on a channel."""
        await self._writer.submit(answers.say, persona_id, conversation, content, seq, at)

    async def died(self, perceptions: list[int], limit: int) -> list[int]:
        """Count one more death for each that is pending; those that reach ``limit`` become poison and are returned."""
        return await self._writer.submit(inbox.died, perceptions, limit)

    async def history(self, persona_id: str, conversation: Conversation, limit: int) -> list[Line]:
        """What her mind sees: the last lines of a conversation in the order of insertion, without notices."""
        return await self._reader.submit(lines.history, persona_id, conversation, limit)

    async def conversation(self, persona_id: str, limit: int | None = None) -> list[StoredLine]:
        """What a person sees: the last lines of all conversations by time, unanswered perceptions among them."""
        return await self._reader.submit(lines.lines, persona_id, limit)

    async def mentions(self, persona_id: str, media: str) -> bool:
        """Whether any of her perceptions or lines refers to this file."""
        return await self._reader.submit(lines.mentions, persona_id, media)

    async def titles(self, persona_id: str, limit: int) -> dict[str, str]:
        """What the files that came last were called by who sent them, by their names here; none of open channels."""
        return await self._reader.submit(lines.titles, persona_id, limit)

    async def frames(self, persona_id: str, after: int, limit: int) -> list[StoredFrame]:
        """Her web frames with a seq larger than ``after``, in order."""
        return await self._reader.submit(outbox.frames, persona_id, after, limit)

    async def unconsolidated(self, persona_id: str, limit: int) -> tuple[int, list[Line]]:
        """The oldest lines not consolidated yet, without notices, and the id of the last (0 when there are none)."""
        return await self._reader.submit(lines.unconsolidated, persona_id, limit)

    async def consolidated(self, persona_id: str, up_to: int) -> None:
        """Remember that her lines up to the id ``up_to`` are consolidated."""
        await self._writer.submit(lines.consolidated, persona_id, up_to)

    async def is_fed(self, persona_id: str, key: str) -> bool:
        """Whether the imported conversation with this key was fed to her before."""
        return await self._reader.submit(feeds.is_known, persona_id, key)

    async def digested(self, digest: Digest, source: str, at: int) -> None:
        """Keep what an imported conversation makes of her memory files, before they are written."""
        await self._writer.submit(feeds.digested, digest, source, at)

    async def applied(self, persona_id: str, key: str) -> None:
        """The memory files of this digest are written."""
        await self._writer.submit(feeds.applied, persona_id, key)

    async def undigested(self, persona_id: str, key: str) -> None:
        """The memory files of this digest were not written, and its conversation may be fed again."""
        await self._writer.submit(feeds.undo, persona_id, key)

    async def unapplied(self) -> list[Digest]:
        """The digests of all personas whose files are perhaps not written, oldest first."""
        return await self._reader.submit(feeds.unapplied)

    async def fed(self, persona_id: str) -> list[FedConversation]:
        """The imported conversations that her memory holds, oldest first."""
        return await self._reader.submit(feeds.known, persona_id)

    async def put_back_fed(self, persona_id: str, fed: list[FedConversation]) -> None:
        """Take over what an export says was fed to her."""
        await self._writer.submit(feeds.put_back, persona_id, fed)

    async def archive(self, persona_id: str, after: int, limit: int, up_to: int | None) -> Page:
        """A page of her conversation for an export: see ``daemon/ledger/archive.py``."""
        return await self._reader.submit(archive.page, persona_id, after, limit, up_to)

    async def put_back(self, persona_id: str, lines: list[ArchivedLine]) -> int:
        """Add lines of an export to the end of her conversation; returns the id of the last one."""
        return await self._writer.submit(archive.put_back, persona_id, lines)

    async def add_channel(self, persona_id: str, channel: str, type_: str, bot_id: str, bot_name: str, at: int) -> None:
        """Add her channel, or keep its bot's identity anew.

        Raise ChannelTaken when this channel, or another one of this bot, is in the ledger already.
        """
        await self._writer.submit(channels.add, persona_id, channel, type_, bot_id, bot_name, at)

    async def remove_channel(self, persona_id: str, channel: str) -> None:
        """Delete a channel with its codes and held words.

        What is not delivered there is dead, and what is not answered there is done; the conversation keeps its lines.
        """
        await self._writer.submit(answers.remove_channel, persona_id, channel)

    async def channels(self, persona_id: str) -> list[StoredChannel]:
        """Her channels, oldest first."""
        return await self._reader.submit(channels.stored, persona_id)

    async def take(
        self, persona_id: str, channel: str, conversation: Conversation, items: list[Inbound], at: int
    ) -> Committed:
        """Keep what the paired person wrote: words wait for her, a command is only remembered, as given.

        Keys that this conversation had before are skipped. ``at`` stands in for an item without a time. Raise
        ChannelUnknown when the channel is gone, and keep nothing.
        """
        return await self._writer.submit(channels.take, persona_id, channel, conversation, items, at)

    async def strangers(self, persona_id: str, channel: str, keys: list[str]) -> None:
        """Count messages of others. Keys are not remembered: one that is delivered again counts again."""
        await self._writer.submit(channels.strangers, persona_id, channel, keys)

    async def hold(self, persona_id: str, channel: str, items: list[Inbound], at: int) -> int:
        """Keep words of accounts that are not paired, once per key and within pairing's limits; return how many.

        Raise ChannelUnknown when the channel is gone.
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
        """Keep an account's code in place of its last one; False when three others have one for this channel.

        Raise ChannelUnknown when the channel is gone, LedgerError when the code is another account's.
        """
        return await self._writer.submit(
            pairing.add_code, persona_id, channel, account, account_name, chat, code_hash, expires_at, now
        )

    async def find_code(self, persona_id: str, code_hash: str, now: int) -> PendingPairing | None:
        """Who was shown this code of hers; None when it has expired or never was."""
        return await self._reader.submit(pairing.find_code, persona_id, code_hash, now)

    async def drop_code(self, code_hash: str) -> None:
        """Delete a code."""
        await self._writer.submit(pairing.drop_code, code_hash)

    async def bind(self, persona_id: str, channel: str, account: str, account_name: str, chat: str) -> None:
        """Bind her channel to an account and its chat. Raise ChannelUnknown when it is not in the ledger."""
        await self._writer.submit(pairing.bind, persona_id, channel, account, account_name, chat)

    async def release(self, persona_id: str, channel: str, conversation: Conversation) -> list[Waiting]:
        """Let the bound account's held words wait for her; others' words and all codes of the channel are deleted.

        Returns what waits now that did not before: nothing the second time, or while nobody is bound.
        """
        return await self._writer.submit(pairing.release, persona_id, channel, conversation)

    async def outgoing(self, persona_id: str) -> list[OutgoingRow]:
        """Her messages for gateways that are neither sent nor dead, in order."""
        return await self._reader.submit(delivery.outgoing, persona_id)

    async def pending_by_channel(self, persona_id: str) -> dict[str, int]:
        """How many messages of hers are neither sent nor dead, by channel id."""
        return await self._reader.submit(delivery.pending_by_channel, persona_id)

    async def sending(self, seq: int) -> bool:
        """Mark a message before it goes to the provider; False when it must not, being sent or dead already."""
        return await self._writer.submit(delivery.sending, seq)

    async def part_sent(self, seq: int, parts: int) -> None:
        """So many parts are with the provider, and the next one is known not to be."""
        await self._writer.submit(delivery.part_sent, seq, parts)

    async def sent(self, seq: int, at: int, provider_id: str = "") -> None:
        """All of a message is with the provider, which may call it ``provider_id`` in a later receipt.

        Of a message that is sent or dead this and what follows is ignored.
        """
        await self._writer.submit(delivery.sent, seq, at, provider_id)

    async def retry_later(self, seq: int, not_before: int, reason: str, ambiguous: bool) -> None:
        """Count a try that failed, to be repeated not before then."""
        await self._writer.submit(delivery.retry_later, seq, not_before, reason, ambiguous)

    async def dead(self, seq: int, reason: str) -> None:
        """Give a message up."""
        await self._writer.submit(delivery.dead, seq, reason)

    async def blocked(self, persona_id: str, channel: str, chat: str, reason: str, at: int = 0) -> list[int]:
        """Give up all that is open for this chat, whose conversation shows why; return the seqs, in order."""
        return await self._writer.submit(delivery.blocked, persona_id, channel, chat, reason, at)

    async def dead_letters(self, persona_id: str, limit: int) -> list[DeadLetter]:
        """Her last messages that were given up, newest first."""
        return await self._reader.submit(delivery.dead_letters, persona_id, limit)

    async def reopen_sending(self) -> int:
        """At boot: what was being sent is ambiguous; returns how many messages are."""
        return await self._writer.submit(delivery.reopen_sending)

    async def last_seq(self) -> int:
        """The largest seq ever stored, also of a persona since forgotten; 0 when there was none."""
        return await self._reader.submit(outbox.last_seq)

    async def depths(self) -> dict[str, Depth]:
        """How many rows each persona has; none for a persona without rows."""
        return await self._reader.submit(_depths)

    async def prune(self, before: int) -> None:
        """Delete what only serves repeated keys, replays and pairing, and dead letters, older than ``before``."""
        await self._writer.submit(answers.prune, before)

    async def forget(self, persona_id: str) -> None:
        """Remove everything of a persona."""
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
    for persona, count in lines.counts(connection):
        depths[persona].lines = count
    return dict(depths)
