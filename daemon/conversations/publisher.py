"""Publishes what is said in a persona's name: commits it, then sends it to sockets and hands it to delivery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from daemon.conversations.frames import NO_ENDING, Ending, SignalType, chat_frame, speech_frame
from daemon.conversations.hubs import Hubs, Slot
from daemon.conversations.requests import Requests, Trouble
from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from proto.messages import Conversation, Outgoing
from proto.streaming import Delta, Spoken

WEB: Final = "web"


class Publisher:
    """Calls ``said`` with a persona's id when her outbox has a new message for a gateway."""

    def __init__(
        self,
        ledger: Ledger,
        hubs: Hubs,
        personas: Personas,
        requests: Requests,
        said: Callable[[str], None],
        clock: Clock,
        log: Log,
    ) -> None:
        self._said = said
        self._ledger = ledger
        self._hubs = hubs
        self._personas = personas
        self.requests = requests
        self._clock = clock
        self._log = log

    def reserve(self, persona_id: str, count: int) -> list[Slot]:
        """Reserve places in the order of her frames. Each must be published or dropped."""
        return [self._hubs.reserve(persona_id) for _ in range(count)]

    async def say(self, persona_id: str, conversation: Conversation, content: str) -> int:
        """Say something in her name that did not come from her mind; returns its seq. Raises LedgerError."""
        (slot,) = self.reserve(persona_id, 1)
        try:
            await self._ledger.say(persona_id, conversation, content, slot.seq, self._clock.time_ns())
            self.publish(persona_id, conversation, [Outgoing(content)], [slot], title="Notified")
        finally:
            slot.drop()
        return slot.seq

    async def tell(
        self, persona_id: str, conversation: Conversation, content: str, trouble: Trouble = "mind_down"
    ) -> None:
        """Tell the person that no answer comes now; not again until one has come."""
        self.requests.failed(persona_id, conversation, trouble, content)
        (slot,) = self.reserve(persona_id, 1)
        stored = False
        try:
            stored = await self._ledger.tell(persona_id, conversation, content, slot.seq, self._clock.time_ns())
        except LedgerError as error:
            self._log.error("inbox.notice_not_committed", persona=persona_id, reason=str(error))
        if stored:
            self.publish(persona_id, conversation, [Outgoing(content)], [slot], title="Notified")
        slot.drop()

    def publish(
        self,
        persona_id: str,
        conversation: Conversation,
        messages: Sequence[Outgoing],
        slots: Sequence[Slot],
        title: str = "Said",
        ending: Ending = NO_ENDING,
    ) -> None:
        """Publish committed messages, each in its slot; ``ending`` says which turn they end."""
        for message, slot in zip(messages, slots, strict=True):
            if conversation.type == WEB:
                slot.publish(chat_frame(persona_id, slot.seq, message.kind, message.content, message.media, ending))
            self.signal("Event", title, persona_id, conversation, content=message.content)
        if conversation.type != WEB:
            self._said(persona_id)

    def draft(self, persona_id: str, conversation: Conversation, delta: Delta) -> None:
        """Show what is said so far of an answer to her owner, if it goes to the web or to a request."""
        if conversation.type == WEB:
            self._hubs.draft(persona_id, delta.turn, delta.offset, delta.text)
        self.requests.drafted(persona_id, conversation, delta)

    def speak(self, persona_id: str, conversation: Conversation, spoken: Spoken) -> None:
        """Send a spoken sentence of an answer to her owner, if it goes to the web."""
        if conversation.type == WEB:
            self._hubs.offer(persona_id, speech_frame(persona_id, spoken))

    def end_draft(self, persona_id: str, conversation: Conversation, turn: int, *, said: bool) -> None:
        """A turn with her owner ended; ``said``: its messages are published next."""
        if conversation.type == WEB:
            self._hubs.end_draft(persona_id, turn, said=said)

    def signal(
        self, kind: SignalType, title: str, persona_id: str, conversation: Conversation, **details: object
    ) -> None:
        """Send a signal about a conversation to everyone who watches her."""
        if persona := self._personas.get(persona_id):
            channel = {"type": conversation.type, "name": conversation.name}
            self._hubs.signal(kind, title, persona, {"channel": channel, **details})
