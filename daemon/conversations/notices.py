"""Tells people that their answer will take longer: the mind is unreachable, or the answer is late."""

from __future__ import annotations

from collections.abc import Container
from functools import partial

from daemon.conversations.lane import Lane
from daemon.conversations.lanes import Lanes
from daemon.conversations.publisher import Publisher
from daemon.conversations.requests import Failed, Trouble
from daemon.conversations.terms import ChannelTerms
from daemon.logging.log import Log
from daemon.runtime.tasks import PersonaTasks
from proto.messages import Conversation, MindDown


class Notices:
    """Sends the notices. ``running`` holds the personas that have a process; ``fallback_after`` is in seconds."""

    def __init__(
        self,
        publisher: Publisher,
        terms: ChannelTerms,
        running: Container[str],
        fallback_after: float,
        tasks: PersonaTasks,
        log: Log,
    ) -> None:
        self._publisher = publisher
        self._terms = terms
        self._running = running
        self._fallback_after = fallback_after
        self._tasks = tasks
        self._log = log

    def admitted(self, persona_id: str, lanes: Lanes, conversation: Conversation, visitors: bool) -> None:
        """Notify the writer of a new message if the mind that answers here is unreachable."""
        if not visitors and (trouble := trouble_of(lanes.own)):
            self._tell(persona_id, conversation, trouble.detail, trouble.trouble)
        elif visitors and self._terms.model(conversation) in lanes.down:
            self._fall_back(persona_id, conversation)

    def mind_down(self, persona_id: str, lanes: Lanes, lane: Lane, message: MindDown) -> None:
        """Notify everyone who waits for a mind that cannot be reached."""
        self._log.warning("mind.unreachable", persona=persona_id, reason=message.reason, hint=message.hint)
        if lane is not lanes.own:
            model = lanes.model(lane)
            if model in lanes.down:
                # The conversations that probe a mind in turn tell nobody twice.
                return
            lanes.down.add(model)
            for other in lanes.visitors:
                if other.depth and lanes.model(other) == model:
                    self._fall_back(persona_id, other.unanswered[0].conversation)
            return
        reason = f"I cannot reach my mind right now: {message.reason} {message.hint}".strip()
        lane.mind_down = f"{reason} I will keep your messages and answer when it is back."
        lane.is_unaffordable = False
        for conversation in dict.fromkeys(item.conversation for item in lane.unanswered):
            self._tell(persona_id, conversation, lane.mind_down)

    def unaffordable(self, persona_id: str, lanes: Lanes, lane: Lane, reason: str) -> None:
        """Notify everyone who waits for a mind that no budget has room for."""
        if lane is lanes.own:
            lane.mind_down = f"I cannot think right now. {reason} I will keep your messages and answer then."
            lane.is_unaffordable = True
            for conversation in dict.fromkeys(item.conversation for item in lane.unanswered):
                self._tell(persona_id, conversation, lane.mind_down, "unaffordable")
        elif (model := lanes.model(lane)) not in lanes.down:
            lanes.down.add(model)
            for other in lanes.visitors:
                if other.depth and lanes.model(other) == model:
                    self._fall_back(persona_id, other.unanswered[0].conversation)

    def remind(self, persona_id: str, lanes: Lanes) -> None:
        """Have every waiting visitor notified, unless an answer comes within ``fallback_after``."""
        for lane in lanes.visitors:
            if lane.timer is None and lane.depth:
                late = partial(self._late, persona_id, lane)
                lane.timer = self._tasks.of(persona_id).call_later(self._fallback_after, late)

    def _late(self, persona_id: str, lane: Lane) -> None:
        """Notify a visitor whose answer is late. While she is stopped, no such notice is sent."""
        lane.timer = None
        if persona_id in self._running and lane.unanswered:
            self._fall_back(persona_id, lane.unanswered[0].conversation)

    def _fall_back(self, persona_id: str, conversation: Conversation) -> None:
        """Tell a visitor that the answer takes longer, unless the channel is paused."""
        terms = self._terms.of(conversation)
        if terms and not terms.is_paused:
            self._tell(persona_id, conversation, terms.fallback)

    def _tell(self, persona_id: str, conversation: Conversation, content: str, trouble: Trouble = "mind_down") -> None:
        self._tasks.of(persona_id).start(self._publisher.tell(persona_id, conversation, content, trouble))


def trouble_of(lane: Lane) -> Failed | None:
    """Return what keeps the mind of this lane from answering, None while nothing does."""
    return Failed("unaffordable" if lane.is_unaffordable else "mind_down", lane.mind_down) if lane.mind_down else None
