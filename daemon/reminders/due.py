"""Tells what is due, exactly once, when it is due or as soon as that is possible.

One timer waits for the next row of all personas. It looks at the clock every few seconds, since the machine's clock may
be set at any moment, and the ledger decides: a row is told in the transaction that gives it its next time.

A persona who was stopped keeps her reminders, and is told of them when she runs again. While she should run, a plain
text needs no process of hers: the web has it at once, and a channel gets it as soon as her gateway is there.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Final
from zoneinfo import ZoneInfo

from daemon.conversations.agenda import Agenda
from daemon.conversations.inbox import Inbox, InboxFull
from daemon.conversations.publisher import Publisher
from daemon.conversations.worker import Worker
from daemon.ledger import Ledger, LedgerError, OpenTelling, Reminder
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.reminders import places, rules
from daemon.runtime.clock import within
from daemon.runtime.kept_clock import KeptClock
from daemon.runtime.tasks import PersonaTasks
from proto.messages import Conversation, Outgoing
from proto.perception import DUE
from proto.records import Persona
from proto.zones import UTC_NAME, UnknownZone, zone_of

LOOK_EVERY: Final = 15.0
"""Seconds between two looks at the clock, and at what became of messages that were told."""

BATCH: Final = 64
RETRY_MAX: Final = 60.0
"""Seconds at most between two tries while the ledger fails."""

ROOM_AGAIN: Final = 60 * rules.SECOND
"""Nanoseconds until a task is offered again to an inbox that was full."""

FAULT_AGAIN: Final = 3600 * rules.SECOND
"""Nanoseconds until a row is tried again over which the daemon failed unexpectedly."""

RECEIPTS: Final = 600 * rules.SECOND
"""Nanoseconds in which a provider may still report that a message it took did not arrive."""


class Due:
    """The timer. It is a client of her processes: when one comes up she may just have been started."""

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        inbox: Inbox,
        publisher: Publisher,
        agenda: Agenda,
        tasks: PersonaTasks,
        clock: KeptClock,
        log: Log,
    ) -> None:
        self.told = 0
        self._ledger = ledger
        self._personas = personas
        self._inbox = inbox
        self._publisher = publisher
        self._agenda = agenda
        self._tasks = tasks
        self._clock = clock
        self._log = log
        self._again = asyncio.Event()
        self._is_open = True
        """Whether something that was told may have to go another way."""

    def look(self) -> None:
        """Something may be due earlier than before."""
        self._again.set()

    def attach(self, persona_id: str, worker: Worker) -> None:  # noqa: ARG002 (every client gets them)
        """Her process runs."""
        self.look()

    async def detach(self, persona_id: str, *, crashed: bool) -> None:
        """Her process is gone. Nothing here depends on it."""

    async def run(self) -> None:
        """Tell what is due until cancelled."""
        failed = 0
        while True:
            self._again.clear()
            try:
                wake = await self._tell_all()
                if self._is_open:
                    await self._follow()
                failed = 0
            except LedgerError as error:
                self._log.error("reminder.not_told", reason=str(error))
                failed += 1
                delay = min(RETRY_MAX, 2.0 ** min(failed, 10))
                await self._clock.sleep(random.uniform(delay / 2, delay))
                continue
            await self._wait(wake)

    async def _wait(self, wake: int | None) -> None:
        """Return when ``wake`` is there by whatever the clock says then, or when there is something to look at."""
        while not self._again.is_set():
            left = LOOK_EVERY if wake is None else (wake - self._clock.present_ns()) / rules.SECOND
            if left <= 0:
                return
            with suppress(TimeoutError):
                await within(self._clock, min(left, LOOK_EVERY), self._again.wait())
            if self._is_open:
                return

    async def _tell_all(self) -> int | None:
        """Tell what is due, and return when the next row is to be looked at."""
        while True:
            active = [persona.id for persona in self._personas.all() if persona.status == "active"]
            rows = await self._ledger.next_reminders(active, BATCH) if active else []
            due = [row for row in rows if row.wake <= self._clock.present_ns()]
            if not due:
                return rows[0].wake if rows else None
            # Their next times may come before those of the other rows, so all are read again.
            for row in due:
                try:
                    await self._take(row)
                except LedgerError:
                    raise
                except Exception as error:  # noqa: BLE001 (a fault over one row is its persona's, not the daemon's)
                    self._tasks.of(row.persona).failed(error)
                    await self._ledger.postpone_reminder(row, self._clock.present_ns() + FAULT_AGAIN)
                await self._agenda.refresh(row.persona)

    async def _take(self, row: Reminder) -> None:
        persona, now = self._personas.get(row.persona), self._clock.present_ns()
        if persona is None:
            return
        if row.quiet and (end := rules.quiet_until(persona.quiet_hours, _zone(persona.zone), now)):
            await self._ledger.postpone_reminder(row, end)
            return
        zone, following, times = _zone(row.zone), None, 1
        if row.cron:
            following = rules.next_after(row.cron, zone, max(now, row.due))
            times = rules.missed(row.cron, zone, row.due, now)
        late = rules.lateness(row.due, now, zone, times)
        known = await places.known(self._ledger, persona)
        if row.conversation and row.conversation not in known:
            # A topic of a paired chat, or a chat that may lead nowhere any more: the ledger decides.
            known.append(row.conversation)
        if row.task:
            meant = rules.local(row.due, zone).isoformat(timespec="seconds")
            await self._hand_over(persona, row, following, known, f"{DUE}{meant}:)\n{row.body}\n{late}".rstrip())
        else:
            await self._tell(persona, row, following, known, f"Reminder: {row.body}\n{late}".rstrip())

    async def _tell(
        self, persona: Persona, row: Reminder, following: int | None, known: list[Conversation], content: str
    ) -> None:
        (slot,) = self._publisher.reserve(persona.id, 1)
        at = self._clock.time_ns()
        try:
            told = await self._ledger.tell_reminder(row, following, known, content, slot.seq, at)
            if told:
                self._publisher.publish(persona.id, told, [Outgoing(content)], [slot], title="Reminded")
        finally:
            slot.drop()
        if told:
            self._inbox.stepped(persona.id, told)
            self._is_open = True
            self._note(row, told, at)

    async def _hand_over(
        self, persona: Persona, row: Reminder, following: int | None, known: list[Conversation], content: str
    ) -> None:
        try:
            self._inbox.require_room(persona.id, 1)
        except InboxFull:
            await self._ledger.postpone_reminder(row, self._clock.present_ns() + ROOM_AGAIN)
            return
        at = self._clock.time_ns()
        waiting = await self._ledger.hand_over_reminder(row, following, known, content, at)
        if waiting:
            self._inbox.admit(persona.id, [waiting])
            self._note(row, waiting.conversation, at)

    def _note(self, row: Reminder, conversation: Conversation, at: int) -> None:
        self.told += 1
        late = max(0, at - row.due) // rules.SECOND
        self._log.info(
            "reminder.told",
            persona=row.persona,
            reminder=row.id,
            channel=conversation.type,
            task=row.task,
            late=late,
        )

    async def _follow(self) -> None:
        """Tell once more, on another channel, what could not be delivered."""
        tellings, now = await self._ledger.open_tellings(), self._clock.time_ns()
        arrived = [one.id for one in tellings if not one.state or (one.state == "sent" and now - one.at > RECEIPTS)]
        if arrived:
            await self._ledger.settle_tellings(arrived)
        self._is_open = len(tellings) > len(arrived)
        for telling in tellings:
            persona = self._personas.get(telling.persona)
            if telling.state == "dead" and persona and persona.status == "active":
                await self._fall_over(persona, telling)

    async def _fall_over(self, persona: Persona, telling: OpenTelling) -> None:
        known = await places.known(self._ledger, persona)
        content = f"{telling.content}\n(It could not be delivered on {telling.type}.)"
        (slot,) = self._publisher.reserve(persona.id, 1)
        at = self._clock.time_ns()
        try:
            told = await self._ledger.fall_over(telling, known, content, slot.seq, at)
            if told:
                self._publisher.publish(persona.id, told, [Outgoing(content)], [slot], title="Reminded")
        finally:
            slot.drop()
        if told:
            self._inbox.stepped(persona.id, told)
            self._log.warning("reminder.moved", persona=persona.id, channel=telling.type, now=told.type)


def _zone(name: str) -> ZoneInfo:
    """Return a zone that was there when it was named; UTC if the machine's list of zones has lost it."""
    try:
        return zone_of(name)
    except UnknownZone:
        return zone_of(UTC_NAME)
