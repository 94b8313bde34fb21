"""What the ledger does for reminders and routines."""

from __future__ import annotations

from daemon.ledger import conversation as lines
from daemon.ledger import reminder_requests, reminders
from daemon.ledger.inbox import Waiting
from daemon.ledger.reminder_requests import ReminderAsked
from daemon.ledger.reminders import OpenTelling, Reminder, Telling
from daemon.ledger.threads import Reader
from daemon.ledger.writer import Writer
from proto.messages import Conversation, Line


class ReminderOperations:
    """A part of ``Ledger``, with the same promises."""

    _writer: Writer
    _reader: Reader

    async def add_reminder(self, new: Reminder, limit: int) -> Reminder | None:
        """Keep a reminder and return it with its id; None when she has ``limit`` already."""
        return await self._writer.submit(reminders.add, new, limit)

    async def add_reminder_once(self, new: Reminder, limit: int, asked: ReminderAsked) -> Reminder | None:
        """Keep a reminder that a turn asks for, unless an earlier run of the turn did; None if she has ``limit``."""
        return await self._writer.submit(reminder_requests.add, new, limit, asked)

    async def remove_reminder_once(self, persona_id: str, reminder: int, asked: ReminderAsked) -> Reminder | None:
        """Delete a reminder for a turn, and return it also to a later run of the turn; None if there is none."""
        return await self._writer.submit(reminder_requests.remove, persona_id, reminder, asked)

    async def reminder_asked(self, persona_id: str, asked: ReminderAsked) -> Reminder | None:
        """Return what an earlier run of a turn got for the same request, or None."""
        return await self._reader.submit(reminder_requests.answered, persona_id, asked)

    async def reminders_removed(self, persona_id: str, perceptions: list[int]) -> list[Reminder]:
        """Return what the turn of these perceptions has removed so far."""
        return await self._reader.submit(reminder_requests.removed, persona_id, perceptions)

    async def change_reminder(self, old: Reminder, new: Reminder) -> bool:
        """Replace a reminder; change nothing and return False unless it is still ``old``."""
        return await self._writer.submit(reminders.change, old, new)

    async def remove_reminder(self, persona_id: str, reminder: int) -> Reminder | None:
        """Delete a reminder and return it; None when she has no such one."""
        return await self._writer.submit(reminders.remove, persona_id, reminder)

    async def reminder(self, persona_id: str, reminder: int) -> Reminder | None:
        """Return her reminder, or None."""
        return await self._reader.submit(reminders.find, persona_id, reminder)

    async def reminders(self, persona_id: str) -> list[Reminder]:
        """Return her reminders, the next one that is due first."""
        return await self._reader.submit(reminders.of, persona_id)

    async def next_reminders(self, personas: list[str], limit: int) -> list[Reminder]:
        """Return the reminders of these personas that are to be looked at next, in that order."""
        return await self._reader.submit(reminders.next_to_wake, personas, limit)

    async def postpone_reminder(self, row: Reminder, wake: int) -> None:
        """Look at this reminder again at ``wake``, unless it has changed."""
        await self._writer.submit(reminders.postpone, row, wake)

    async def tell_reminder(
        self, row: Reminder, following: int | None, known: list[Conversation], content: str, seq: int, at: int
    ) -> Conversation | None:
        """Tell the person and move the reminder on, in one transaction; see ``daemon/ledger/reminders.py``."""
        return await self._writer.submit(reminders.tell, row, following, known, content, seq, at)

    async def hand_over_reminder(
        self, row: Reminder, following: int | None, known: list[Conversation], content: str, at: int
    ) -> Waiting | None:
        """Let a task wait for her mind and move the reminder on, in one transaction."""
        return await self._writer.submit(reminders.hand_over, row, following, known, content, at)

    async def open_tellings(self) -> list[OpenTelling]:
        """Return what was told and may still have to go another way, oldest first."""
        return await self._reader.submit(reminders.open_tellings)

    async def fall_over(
        self, telling: OpenTelling, known: list[Conversation], content: str, seq: int, at: int
    ) -> Conversation | None:
        """Tell it once more on another channel, and return where; None when that was done already."""
        return await self._writer.submit(reminders.fall_over, telling, known, content, seq, at)

    async def settle_tellings(self, tellings: list[int]) -> None:
        """Record that these have arrived, or can go no other way."""
        await self._writer.submit(reminders.settle, tellings)

    async def tellings(self, persona_id: str, start: int, end: int, limit: int) -> list[Telling]:
        """Return what was told of reminders that were due from ``start`` until before ``end``, oldest first."""
        return await self._reader.submit(reminders.tellings, persona_id, start, end, limit)

    async def said_between(self, persona_id: str, start: int, end: int, limit: int) -> list[Line]:
        """Return what was said with her owner from ``start`` until before ``end``, oldest first."""
        return await self._reader.submit(lines.said_between, persona_id, start, end, limit)

    async def waiting_reminders(self) -> dict[str, tuple[int, int]]:
        """Return how many reminders each persona has, and when the next one of them is due."""
        return await self._reader.submit(reminders.waiting)

    async def put_back_reminders(self, rows: list[Reminder]) -> None:
        """Restore the reminders of an export."""
        await self._writer.submit(reminders.put_back, rows)
