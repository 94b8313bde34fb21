"""Delivery: a conversation's messages leave in order, exactly once where the provider allows it, else at least once.

The outbox in the ledger is the source of truth; a lane here mirrors the open messages of one conversation. The worker
has one message of a conversation at a time. The message is marked ``sending`` before it is handed over, so that after
a crash it is known to be ambiguous.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from daemon.conversations.hubs import Hubs
from daemon.conversations.worker import Worker
from daemon.ledger import OPTED_OUT, DeadLetter, Ledger, LedgerError, OutgoingRow
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.runtime.clock import Timer, within
from daemon.runtime.kept_clock import KeptClock
from daemon.runtime.tasks import PersonaTasks
from proto.gateways import Deliver, Delivered, PartSent, Receipt, Undelivered
from proto.messages import Address

SECOND: Final = 1_000_000_000
BACKOFF_MIN: Final = 1.0
BACKOFF_MAX: Final = 300.0
KEEP_RETRY_MAX: Final = 30.0
MAX_ATTEMPTS: Final = 40
"""Attempts per message on a connected gateway. While the provider is unreachable, only the message's age counts."""

MAX_AGE: Final = 24 * 3600
"""Seconds after which an undelivered message becomes a dead letter: by then the answer is out of date."""

REMEMBERED: Final = 256
"""Messages of a conversation that are remembered after delivery; far more than can be settled during one read."""

KEY_KNOWN: Final = {"discord": 240.0}
"""Seconds for which a provider recognises a repeated message by our key. Discord enforces a nonce for a few minutes
(https://discord.com/developers/docs/resources/message#create-message)."""

ANSWER_TIMEOUT: Final = 120.0
"""Seconds that a gateway may take for one message, including the waits for its rate budget."""


IN_FLIGHT: Final = 48
"""Messages that one worker is given at a time; it would accept a few more."""

RECEIPT_TRIES: Final = 4
RECEIPT_PAUSE: Final = 2.0
"""Seconds, doubled each time, before another look for the message of a receipt that came too early."""


@dataclass
class Lane:
    """The open messages of one conversation, oldest first. ``in_flight`` is the one that the worker has."""

    rows: deque[OutgoingRow] = field(default_factory=deque)
    in_flight: OutgoingRow | None = None
    timer: Timer | None = None
    taken: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """The last seqs in this lane, so that a row that was read while it was being settled is not taken twice."""
    busy: bool = False
    held_until: int = 0
    """Epoch nanoseconds before which the provider wants no further message."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is open."""
        return not self.rows and self.in_flight is None and not self.busy

    def cancel_timer(self) -> None:
        """Cancel the lane's timer."""
        if self.timer:
            self.timer.cancel()
            self.timer = None


class Delivery:
    """The lanes of all personas' conversations."""

    def __init__(
        self, ledger: Ledger, personas: Personas, hubs: Hubs, tasks: PersonaTasks, clock: KeptClock, log: Log
    ) -> None:
        self._ledger = ledger
        self._personas = personas
        self._hubs = hubs
        self._tasks = tasks
        self._clock = clock
        self._log = log
        self._running: dict[str, Worker] = {}
        self._lanes: dict[str, dict[Address, Lane]] = {}
        self._settled: dict[int, asyncio.Event] = {}
        self._reading: Counter[str] = Counter()
        self._in_hand: defaultdict[str, set[Address]] = defaultdict(set)
        """By persona, the conversations whose next message is with her worker or about to be."""

    def attach(self, persona_id: str, worker: Worker) -> None:
        """Deliver the open messages by this worker."""
        self._running[persona_id] = worker
        self.refresh(persona_id)

    async def detach(self, persona_id: str, *, crashed: bool) -> None:  # noqa: ARG002 (every attendant gets it)
        """Her process is gone: the messages it was sending may have been sent."""
        self._running.pop(persona_id, None)
        self._in_hand.pop(persona_id, None)
        for lane in self._lanes.pop(persona_id, {}).values():
            lane.cancel_timer()
            if lane.in_flight:
                await self._interrupted(persona_id, lane, lane.in_flight)

    def refresh(self, persona_id: str) -> None:
        """There may be new messages in the outbox."""
        if persona_id in self._running:
            self._tasks.of(persona_id).start(self._refresh(persona_id))

    def connected(self, persona_id: str, channel: str) -> None:
        """A gateway is connected, perhaps after an outage: send what waited for it now, as if it were new."""
        for address, lane in self._lanes.get(persona_id, {}).items():
            if lane.rows and address[0] == channel:
                lane.rows[0].attempts, lane.rows[0].not_before = 0, lane.held_until
                self._pump(persona_id, address, lane)

    def received(self, persona_id: str, message: PartSent | Delivered | Undelivered) -> None:
        """Take a gateway's report on a message that it was given."""
        for address, lane in self._lanes.get(persona_id, {}).items():
            if lane.in_flight and lane.in_flight.seq == message.seq:
                self._tasks.of(persona_id).start(self._settle(persona_id, address, lane, lane.in_flight, message))
                return

    def receipt(self, persona_id: str, message: Receipt) -> None:
        """Take a provider's later report on a message that it had accepted."""
        self._tasks.of(persona_id).start(self._receipt(persona_id, message))

    async def settled(self, seq: int, timeout: float) -> bool:
        """Wait until this message is delivered or dead; False after ``timeout`` seconds."""
        event = self._settled.setdefault(seq, asyncio.Event())
        try:
            await within(self._clock, timeout, event.wait())
        except TimeoutError:
            return False
        finally:
            self._settled.pop(seq, None)
        return True

    async def _refresh(self, persona_id: str) -> None:
        self._reading[persona_id] += 1
        try:
            rows = await self._ledger.outgoing(persona_id)
        except LedgerError as error:
            self._log.error("delivery.outbox_unread", persona=persona_id, reason=str(error))
            self._tasks.of(persona_id).call_later(BACKOFF_MIN, partial(self.refresh, persona_id))
            return
        finally:
            self._reading[persona_id] -= 1
        if persona_id not in self._running:
            return
        lanes = self._lanes.setdefault(persona_id, {})
        if not self._reading[persona_id]:
            self._forget_idle(persona_id, rows)
        for row in rows:
            lane = lanes.setdefault((row.channel, row.chat), Lane())
            if row.seq not in lane.taken:
                lane.taken.append(row.seq)
                lane.rows.append(row)
        self._pump_all(persona_id)

    def _forget_idle(self, persona_id: str, rows: list[OutgoingRow]) -> None:
        """Drop the lanes without open messages. No other read may be in progress: it would bring old rows back."""
        named = {(row.channel, row.chat) for row in rows}
        lanes = self._lanes[persona_id]
        for address in [address for address, lane in lanes.items() if lane.is_idle and address not in named]:
            lanes.pop(address).cancel_timer()

    def _pump_all(self, persona_id: str) -> None:
        for address, lane in list(self._lanes.get(persona_id, {}).items()):
            self._pump(persona_id, address, lane)

    def _pump(self, persona_id: str, address: Address, lane: Lane) -> None:
        """Send the conversation's next message, now or as soon as it is due."""
        if lane.busy or lane.in_flight or not lane.rows or self._running.get(persona_id) is None:
            return
        wait = lane.rows[0].not_before / SECOND - self._now()
        lane.cancel_timer()
        # Later than a day is no wait that a provider asked for: the clock was set back since.
        if 0 < wait <= MAX_AGE:
            lane.timer = self._tasks.of(persona_id).call_later(wait, partial(self._pump, persona_id, address, lane))
        elif len(self._in_hand[persona_id]) < IN_FLIGHT:
            lane.busy = True
            self._in_hand[persona_id].add(address)
            self._tasks.of(persona_id).start(self._send(persona_id, address, lane))

    async def _send(self, persona_id: str, address: Address, lane: Lane) -> None:
        row = lane.rows[0]
        try:
            state = await self._ledger.sending(row.seq)
        except LedgerError as error:
            self._log.error("delivery.not_marked", persona=persona_id, reason=str(error))
            self._in_hand[persona_id].discard(address)
            lane.timer = self._tasks.of(persona_id).call_later(
                BACKOFF_MIN, partial(self._pump, persona_id, address, lane)
            )
            return
        finally:
            lane.busy = False
        worker = self._running.get(persona_id)
        if worker is None or self._lanes.get(persona_id, {}).get(address) is not lane:
            return
        lane.rows.popleft()
        if state == "closed":
            self._in_hand[persona_id].discard(address)
            self._pump_all(persona_id)
            return
        lane.in_flight = row
        if state == "opted out":
            refused = Undelivered(row.seq, OPTED_OUT, permanent=True, blocked=True)
            await self._settle(persona_id, address, lane, row, refused)
            return
        worker.send(
            Deliver(
                seq=row.seq,
                channel=row.channel,
                chat=row.chat,
                key=row.key,
                kind=row.kind,
                content=row.content,
                media=row.media,
                parts_sent=row.parts_sent,
                ambiguous=row.ambiguous and not self._known_by_key(row),
            )
        )
        lane.timer = self._tasks.of(persona_id).call_later(
            ANSWER_TIMEOUT, partial(self._unanswered, persona_id, address, lane, row)
        )

    def _unanswered(self, persona_id: str, address: Address, lane: Lane, row: OutgoingRow) -> None:
        if lane.in_flight is row:
            silence = Undelivered(row.seq, "the gateway did not report what became of it", ambiguous=True)
            self._tasks.of(persona_id).start(self._settle(persona_id, address, lane, row, silence))

    async def _settle(
        self, persona_id: str, address: Address, lane: Lane, row: OutgoingRow, said: PartSent | Delivered | Undelivered
    ) -> None:
        """Record a gateway's report on a message, and go on with the conversation.

        Nothing else is sent in this conversation until the ledger has taken the report.
        """
        if isinstance(said, PartSent):
            row.parts_sent, row.ambiguous = said.parts, False
            await self._until_kept(persona_id, row, lambda: self._ledger.part_sent(row.seq, said.parts))
            return
        if isinstance(said, Delivered):
            name = said.provider_id
            await self._until_kept(persona_id, row, lambda: self._ledger.sent(row.seq, self._clock.time_ns(), name))
        elif said.blocked:
            await self._until_kept(
                persona_id, row, lambda: self._add_dead_letters(persona_id, address, lane, said.reason)
            )
        elif said.permanent or 0 < said.tries <= row.attempts + 1 or self._too_late(persona_id, row):
            await self._until_kept(persona_id, row, lambda: self._add_dead_letter(persona_id, row, said.reason))
        else:
            self._postpone(lane, row, said)
            later = (row.seq, row.not_before, said.reason, row.ambiguous)
            await self._until_kept(persona_id, row, lambda: self._ledger.retry_later(*later))
            lane.rows.appendleft(row)
        lane.cancel_timer()
        lane.in_flight = None
        if self._lanes.get(persona_id, {}).get(address) is lane:
            self._in_hand[persona_id].discard(address)
        if row not in lane.rows and (event := self._settled.get(row.seq)):
            event.set()
        self._pump_all(persona_id)

    async def _until_kept(self, persona_id: str, row: OutgoingRow, keep: Callable[[], Awaitable[None]]) -> None:
        delay = BACKOFF_MIN
        while True:
            try:
                await keep()
            except LedgerError as error:
                self._log.error("delivery.not_settled", persona=persona_id, seq=row.seq, reason=str(error))
            else:
                return
            await self._clock.sleep(random.uniform(delay / 2, delay * 2))
            delay = min(delay * 2, KEEP_RETRY_MAX)

    def _known_by_key(self, row: OutgoingRow) -> bool:
        """Whether the provider still recognises a repetition by our key."""
        return self._now() - row.created_at / SECOND < KEY_KNOWN.get(row.type, 0.0)

    def _too_late(self, persona_id: str, row: OutgoingRow) -> bool:
        tried = row.attempts + 1 >= MAX_ATTEMPTS and self._is_connected(persona_id, row.channel)
        return tried or (self._clock.aged_ns() - row.created_at) / SECOND > MAX_AGE

    def _is_connected(self, persona_id: str, channel: str) -> bool:
        worker = self._running.get(persona_id)
        states = worker.gateways if worker else []
        return any(state.state == "connected" for state in states if state.channel == channel)

    def _now(self) -> float:
        return self._clock.time_ns() / SECOND

    def _postpone(self, lane: Lane, row: OutgoingRow, said: Undelivered) -> None:
        """Schedule another try: after the time that the provider asks for, else after a growing delay with jitter."""
        ceiling = min(BACKOFF_MAX, BACKOFF_MIN * 2**row.attempts)
        wait = said.retry_after or random.uniform(BACKOFF_MIN / 2, ceiling)
        row.attempts += 1
        row.ambiguous = row.ambiguous or said.ambiguous
        row.not_before = self._clock.time_ns() + int(wait * SECOND)
        if said.retry_after:
            lane.held_until = row.not_before

    async def _interrupted(self, persona_id: str, lane: Lane, row: OutgoingRow) -> None:
        """Schedule another try of a message whose process ended while it was sending."""
        self._postpone(lane, row, Undelivered(row.seq, "the process ended while it was sending", ambiguous=True))
        try:
            await self._ledger.retry_later(
                row.seq, row.not_before, "the process ended while it was sending", ambiguous=True
            )
        except LedgerError as error:
            # The row stays ``sending``, which means the same. Her next process must not wait for the disk.
            self._log.error("delivery.not_settled", persona=persona_id, seq=row.seq, reason=str(error))

    async def _receipt(self, persona_id: str, message: Receipt) -> None:
        """Give up a message that did not reach its recipient. A fault of the channel itself is shown on the channel."""
        try:
            at = self._clock.time_ns()
            if message.error_class in ("credential", "config"):
                await self._ledger.channel_error(persona_id, message.channel, message.error, at, message.error_class)
            for number in range(RECEIPT_TRIES):
                named = (persona_id, message.channel, message.provider_id)
                if letter := await self._ledger.receipt(*named, message.error, at):
                    self._tell(persona_id, letter, message.error)
                    return
                await self._clock.sleep(RECEIPT_PAUSE * 2**number)
        except LedgerError as error:
            self._log.error("delivery.receipt_lost", persona=persona_id, reason=str(error))

    async def _add_dead_letter(self, persona_id: str, row: OutgoingRow, reason: str) -> None:
        await self._ledger.dead(row.seq, reason, self._clock.time_ns())
        self._tell(persona_id, row, reason)

    async def _add_dead_letters(self, persona_id: str, address: Address, lane: Lane, reason: str) -> None:
        """The person has blocked the bot: give up what is open in this conversation until the person writes again."""
        await self._ledger.blocked(persona_id, *address, reason, self._clock.time_ns())
        for row in [*filter(None, [lane.in_flight]), *lane.rows]:
            self._tell(persona_id, row, reason)
        lane.rows.clear()

    def _tell(self, persona_id: str, row: OutgoingRow | DeadLetter, reason: str) -> None:
        self._log.error("delivery.dead_letter", persona=persona_id, seq=row.seq, channel=row.type, reason=reason)
        if persona := self._personas.get(persona_id):
            details = {"channel": {"type": row.type, "name": row.name}, "reason": reason}
            self._hubs.signal("Event", "Message not delivered", persona, details)
