"""One persona's lanes: her owner's, and one for each visitor's conversation in which something waits or is in hand.

The owner's lane never waits for the others. Visitors' lanes take turns, and only a limited number is in hand at once.
A mind that is down does not hold up visitors who are answered by another: the turns in hand keep trying, and the other
conversations with that mind wait until it answers.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from daemon.conversations.lane import Lane
from daemon.ledger import Waiting
from proto.messages import Address, Conversation

MAX_IN_HAND: Final = 7
"""Visitors' conversations in hand, including those whose mind is down. With the owner's turn a worker takes no more."""


class MindTrouble(NamedTuple):
    """Why a mind cannot be reached, and since when, in epoch nanoseconds."""

    reason: str
    since: int


class Lanes:
    """Finds the lane of a conversation or turn, and says which lanes may start their next turn.

    ``held`` says whether a conversation has to wait, ``model`` which mind answers it. At most ``at_once`` visitors'
    conversations are in hand. ``down`` holds the models that cannot answer visitors now.
    """

    def __init__(
        self,
        history_lines: int,
        at_once: int,
        held: Callable[[Conversation], bool],
        model: Callable[[Conversation], str],
    ) -> None:
        self.down: set[str] = set()
        self._unaffordable: set[str | None] = set()
        """The models of visitors, and None for her owner's lane, whose budget has no room."""
        self._troubles: dict[str, MindTrouble] = {}
        self._model = model
        self._history_lines = history_lines
        self._at_once = at_once
        self._held = held
        self._numbers = itertools.count(1)
        self._visitors: dict[Address, Lane] = {}
        """By conversation; the one whose turn is next comes first."""
        self.own = self._lane()

    def trouble(self, lane: Lane, reason: str, at: int) -> None:
        """Note why the mind that answers this lane cannot be reached. Call it before the lane is marked as such."""
        model = "" if lane is self.own else self.model(lane)
        if model not in self.troubles():
            self._troubles[model] = MindTrouble(reason, at)

    def troubles(self) -> dict[str, MindTrouble]:
        """Return the minds that cannot be reached now; "" is her own."""
        down = {*self.down, *([""] if self.own.mind_down else [])}
        return {model: found for model, found in self._troubles.items() if model in down}

    def hold(self, lane: Lane) -> None:
        """Start no turn of this lane, and of no other visitor with its mind, before ``afford``."""
        self._unaffordable.add(None if lane is self.own else self.model(lane))

    def afford(self) -> None:
        """The budgets may have room again: every lane may start its next turn."""
        for model in self._unaffordable:
            if model is None:
                self.own.mind_down = ""
            else:
                self.down.discard(model)
        self._unaffordable.clear()

    def __iter__(self) -> Iterator[Lane]:
        yield self.own
        yield from list(self._visitors.values())

    @property
    def visitors(self) -> list[Lane]:
        """The lanes of visitors' conversations."""
        return list(self._visitors.values())

    @property
    def depth(self) -> int:
        """How many visitors' perceptions are not answered yet."""
        return sum(lane.depth for lane in self._visitors.values())

    def depth_of(self, channel: str) -> int:
        """How many perceptions of one open channel are not answered yet."""
        return sum(lane.depth for address, lane in self._visitors.items() if address[0] == channel)

    def visitor(self, address: Address) -> Lane:
        """The lane of a visitor's conversation."""
        lane = self._visitors.get(address)
        if lane is None:
            lane = self._visitors[address] = self._lane()
        return lane

    def admit(self, items: list[Waiting], visitors: bool) -> None:
        """Queue these, from her owner or from visitors."""
        for item in items:
            lane = self.visitor(item.conversation.address) if visitors else self.own
            lane.waiting.append(item)

    def holding(self, turn: int) -> Lane | None:
        """The lane that has this turn in hand."""
        return next((lane for lane in self if lane.in_hand and lane.in_hand.number == turn), None)

    def startable(self) -> Iterator[Lane]:
        """The lanes that may start a turn now, the owner's first. Each started turn counts for the lanes after it."""
        if self._may_start(self.own):
            yield self.own
        busy = [self.model(lane) for lane in self._visitors.values() if lane.is_busy]
        for lane in self.visitors:
            if len(busy) >= (MAX_IN_HAND if self.down else self._at_once):
                return
            model = self.model(lane)
            if self._may_start(lane) and self._has_room(model, busy):
                yield lane
                busy += [model] * lane.is_busy

    def rotate(self, lane: Lane) -> None:
        """Move a lane to the back after its turn, or forget it when it is idle."""
        address = next((address for address, one in self._visitors.items() if one is lane), None)
        if address is not None:
            del self._visitors[address]
            if lane.is_idle:
                lane.cancel_timer()
            else:
                self._visitors[address] = lane

    def drop_channel(self, channel: str) -> None:
        """Drop what waits on a channel that was removed."""
        self.own.drop_channel(channel)
        for address in [address for address in self._visitors if address[0] == channel]:
            self._visitors.pop(address).cancel_timer()

    def erased(self, address: Address, perceptions: set[int]) -> None:
        """Forget a visitor's erased perceptions and history. A turn in hand is not committed any more."""
        if lane := self._visitors.get(address):
            lane.waiting = deque(one for one in lane.waiting if one.perception.id not in perceptions)
            lane.forget_histories()
            if lane.is_idle:
                lane.cancel_timer()
                del self._visitors[address]

    def model(self, lane: Lane) -> str:
        """The name of the mind that answers in a visitor's lane."""
        item = lane.in_hand.items[0] if lane.in_hand else lane.waiting[0] if lane.waiting else None
        return self._model(item.conversation) if item else ""

    def _has_room(self, model: str, busy: list[str]) -> bool:
        """Whether one more visitor's conversation may start. While a mind is down, only one conversation probes it."""
        if model in self.down:
            return model not in busy
        return sum(one not in self.down for one in busy) < self._at_once

    def _may_start(self, lane: Lane) -> bool:
        """Suspects of a crash run one at a time, so that the next crash shows which of them is the culprit."""
        held = self._unaffordable and (None if lane is self.own else self.model(lane)) in self._unaffordable
        following = None if lane.is_busy or held else lane.next()
        if following is None:
            return False
        return not following.deaths or not any(other.holds_suspect for other in self)

    def _lane(self) -> Lane:
        return Lane(self._history_lines, self._numbers, self._held)
