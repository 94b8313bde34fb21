"""A lane: a persona's queue of perceptions from one source, its turn in hand, and the history that the mind needs."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import msgspec

from daemon.ledger import Waiting, marked
from daemon.runtime.clock import Timer
from proto.messages import Conversation, Line, Perception, Reply
from proto.recalling import Passage

MAX_BATCH: Final = 64
"""Perceptions in one turn."""

MAX_BATCH_CHARS: Final = 200_000
"""Characters of all perceptions in one turn."""

MAX_JOINS: Final = 8
"""How many times new messages may join a turn."""

MAX_HISTORIES: Final = 64
"""Conversations whose recent lines are kept in memory."""

MAX_HISTORY_CHARS: Final = 100_000
"""Characters of one conversation's recent lines. That is more than a prompt takes. Together with the longest batch and
the largest memory it still fits into one frame."""


class Recalled(msgspec.Struct, frozen=True):
    """What was found for the turn that begins with the perception ``first``; ``beyond``: there is more to search."""

    first: int
    passages: list[Passage] = []
    beyond: bool = False


class Turn(msgspec.Struct):
    """The turn in hand. ``begun`` is in monotonic seconds; ``replied`` is set while its answer is being committed.

    ``watchers`` are told when it ends: True with an end in the ledger, False when its process is gone.
    """

    number: int
    conversation: Conversation
    items: list[Waiting]
    begun: float
    joins: int = 0
    replied: bool = False
    watchers: list[asyncio.Future[bool]] = []

    def end(self, *, kept: bool) -> None:
        """Tell those who watch that it has ended."""
        for watcher in self.watchers:
            if not watcher.done():
                watcher.set_result(kept)

    @property
    def chars(self) -> int:
        """Characters of all its perceptions."""
        return sum(len(item.perception.content) for item in self.items)

    def answered(self, perceptions: list[int]) -> list[Waiting]:
        """Its items with these ids."""
        return [item for item in self.items if item.perception.id in perceptions]


class Lane:
    """Waiting perceptions in order of acceptance. They mirror the ledger, which is the only source of truth.

    ``numbers`` gives each turn its number. ``held`` says whether a conversation has to wait.
    """

    def __init__(self, history_lines: int, numbers: Iterator[int], held: Callable[[Conversation], bool]) -> None:
        self.waiting: deque[Waiting] = deque()
        self.in_hand: Turn | None = None
        self.accepting = 0
        self.committing = 0
        self.recalling = False
        self.recalls_failed = 0
        """How often in a row a history could not be read."""
        self.forgotten = 0
        """How often lines were dropped: lines that were being read meanwhile may be older."""
        self.recalled = Recalled(0)
        self.mind_down = ""
        self.is_unaffordable = False
        """Whether it is a budget that keeps the mind from answering."""
        self.timer: Timer | None = None
        self._history_lines = history_lines
        self._numbers = numbers
        self._held = held
        self._histories: OrderedDict[Conversation, deque[Line]] = OrderedDict()

    @property
    def depth(self) -> int:
        """How many perceptions are not answered yet, including those being committed."""
        return len(self.waiting) + self.accepting + (len(self.in_hand.items) if self.in_hand else 0)

    @property
    def unanswered(self) -> list[Waiting]:
        """All perceptions that are not answered yet, those in hand first."""
        return [*(self.in_hand.items if self.in_hand else []), *self.waiting]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is waiting or in progress."""
        return not (self.depth or self.recalling or self.committing)

    @property
    def is_busy(self) -> bool:
        """Whether a turn is in hand or about to start."""
        return self.in_hand is not None or self.recalling

    @property
    def holds_suspect(self) -> bool:
        """Whether a perception in hand was also in hand at an earlier crash."""
        return self.in_hand is not None and self.in_hand.items[0].deaths > 0

    def next(self) -> Waiting | None:
        """The next perception, or None while a turn is in hand or nothing may be taken."""
        return None if self.in_hand else next((one for one in self.waiting if not self._held(one.conversation)), None)

    def history(self, conversation: Conversation) -> list[Line] | None:
        """The conversation's recent lines, or None when they are not in memory."""
        lines = self._histories.get(conversation)
        return None if lines is None else list(lines)

    def remember(self, conversation: Conversation, lines: list[Line]) -> None:
        """Add lines to the cache; the oldest lines and the least recently used conversation make room."""
        kept = self._histories.setdefault(conversation, deque(maxlen=self._history_lines))
        kept.extend(lines)
        chars = sum(len(line.content) + len(line.perceived) for line in kept)
        while chars > MAX_HISTORY_CHARS:
            oldest = kept.popleft()
            chars -= len(oldest.content) + len(oldest.perceived)
        self._histories.move_to_end(conversation)
        if len(self._histories) > MAX_HISTORIES:
            self._histories.popitem(last=False)

    def forget_history(self, conversation: Conversation) -> None:
        """Drop the conversation's lines from memory: they are no longer those of the ledger."""
        self.forgotten += 1
        self.recalled = Recalled(0)
        self._histories.pop(conversation, None)

    def forget_histories(self) -> None:
        """Drop all conversations' lines from memory."""
        self.forgotten += 1
        self.recalled = Recalled(0)
        self._histories.clear()

    def take(self, now: float) -> Turn:
        """Start one turn with everything that waits in the next perception's conversation.

        A perception that was in hand at an earlier crash is taken alone, so that only the culprit counts as poison.
        """
        first = self.next()
        assert first is not None
        batch, chars = [first], len(first.perception.content)
        if not first.deaths:
            for item in self.waiting:
                if item is first or item.conversation != first.conversation:
                    continue
                chars += len(item.perception.content)
                if item.deaths or len(batch) == MAX_BATCH or chars > MAX_BATCH_CHARS:
                    break
                batch.append(item)
        self._drop(batch)
        self.in_hand = Turn(next(self._numbers), first.conversation, batch, now)
        return self.in_hand

    def join(self, now: float, window: float) -> list[Perception]:
        """Move what waits in its conversation into the turn in hand, if that turn is young enough to be joined."""
        turn = self.in_hand
        if turn is None or turn.replied or turn.joins == MAX_JOINS or now - turn.begun > window or turn.items[0].deaths:
            return []
        room = MAX_BATCH - len(turn.items)
        if room <= 0:
            return []
        fitting = (item for item in self.waiting if item.conversation == turn.conversation and not item.deaths)
        items = list(islice(fitting, room))
        if not items or turn.chars + sum(len(item.perception.content) for item in items) > MAX_BATCH_CHARS:
            return []
        self._drop(items)
        turn.items += items
        turn.joins += 1
        return [item.perception for item in items]

    def put_back(self, items: list[Waiting]) -> None:
        """Put these back into the queue, at their old places."""
        self.waiting = deque(sorted([*self.waiting, *items], key=lambda item: item.perception.id))

    def drop_channel(self, channel: str) -> None:
        """Forget what waits from this channel, and the turn in hand if it is from there.

        Otherwise the next process would get that turn again, and hold up the lane with what nobody can be answered.
        """
        self.waiting = deque(one for one in self.waiting if one.conversation.channel != channel)
        if self.in_hand and not self.in_hand.replied and self.in_hand.conversation.channel == channel:
            self.in_hand = None

    def cancel_timer(self) -> None:
        """Cancel the lane's reminder."""
        if self.timer:
            self.timer.cancel()
            self.timer = None

    def drop_turn(self) -> list[Waiting]:
        """End the turn in hand. Returns its perceptions, unless its answer is being committed."""
        turn, self.in_hand = self.in_hand, None
        if turn is None or turn.replied:
            return []
        turn.end(kept=False)
        return turn.items

    def _drop(self, items: list[Waiting]) -> None:
        ids = {item.perception.id for item in items}
        self.waiting = deque(item for item in self.waiting if item.perception.id not in ids)


def lines_of(items: list[Waiting], reply: Reply, at: int) -> list[Line]:
    """Return what was said in a turn, as lines of the conversation."""
    heard = [
        Line("person", one.content, one.at, one.media, one.title, reply.perceived.get(one.id, ""))
        for one in (item.perception for item in items)
    ]
    said = [marked(message.content) if reply.hushed else message.content for message in reply.messages]
    return heard + [
        Line("assistant", words, at, message.media) for words, message in zip(said, reply.messages, strict=True)
    ]
