"""One persona's lanes: her own person's, and one for each open talk in which something waits or is in hand.

Her own lane never waits for the others. Of the others only so many are in hand at once, in turns.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from daemon.lane import Lane
from daemon.ledger import Waiting
from proto.messages import Conversation


class Lanes:
    """Finds the lane of a talk or beat, and says which may have its next beat.

    ``held`` tells whether a conversation's words are to wait; ``at_once`` how many open talks are in hand at most.
    """

    def __init__(self, history_lines: int, at_once: int, held: Callable[[Conversation], bool]) -> None:
        self._history_lines = history_lines
        self._at_once = at_once
        self._held = held
        self._numbers = itertools.count(1)
        self._visitors: dict[str, Lane] = {}
        """By talk, the one whose turn is next first."""
        self.own = self._lane()

    def __iter__(self) -> Iterator[Lane]:
        yield self.own
        yield from list(self._visitors.values())

    @property
    def visitors(self) -> list[Lane]:
        """The lanes of open talks."""
        return list(self._visitors.values())

    @property
    def depth(self) -> int:
        """How many perceptions of open talks are not answered yet."""
        return sum(lane.depth for lane in self._visitors.values())

    def visitor(self, talk: str) -> Lane:
        """The lane of an open talk."""
        lane = self._visitors.get(talk)
        if lane is None:
            lane = self._visitors[talk] = self._lane()
        return lane

    def is_visitor(self, lane: Lane) -> bool:
        """Whether it is the lane of an open talk."""
        return lane is not self.own

    def admit(self, items: list[Waiting], visitors: bool) -> None:
        """Let these wait, of her own person or of open talks."""
        for item in items:
            lane = self.visitor(item.conversation.talk) if visitors else self.own
            lane.waiting.append(item)

    def holding(self, beat: int) -> Lane | None:
        """The lane that has this beat in hand."""
        return next((lane for lane in self if lane.in_hand and lane.in_hand.number == beat), None)

    def startable(self) -> Iterator[Lane]:
        """The lanes that may have a beat now, her own first. What each is given counts for those behind it."""
        if self._may_start(self.own):
            yield self.own
        busy = sum(lane.is_busy for lane in self._visitors.values())
        for lane in self.visitors:
            if busy >= self._at_once:
                return
            if self._may_start(lane):
                yield lane
                busy += lane.is_busy

    def took_turn(self, lane: Lane) -> None:
        """It had a beat: the others are first now; without anything left it is forgotten."""
        talk = next((talk for talk, one in self._visitors.items() if one is lane), None)
        if talk is not None:
            del self._visitors[talk]
            if lane.is_idle:
                lane.cancel_timer()
            else:
                self._visitors[talk] = lane

    def drop_channel(self, channel: str) -> None:
        """Nobody on this channel can be answered any more."""
        self.own.drop_channel(channel)
        for talk in [talk for talk in self._visitors if talk.startswith(f"{channel}:")]:
            self._visitors.pop(talk).cancel_timer()

    def _may_start(self, lane: Lane) -> bool:
        """Suspects of a death are in hand one at a time, so that of two the culprit shows."""
        following = None if lane.is_busy else lane.next()
        if following is None:
            return False
        return not following.deaths or not any(other.holds_suspect for other in self)

    def _lane(self) -> Lane:
        return Lane(self._history_lines, self._numbers, self._held)
