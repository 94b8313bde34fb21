"""Takes requests for a chat completion: committed before they are thought about, and each of them once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from daemon.conversations.inbox import Inbox
from daemon.conversations.requests import Answering
from daemon.ledger import Ledger, LedgerError, New, Standing
from daemon.ledger.requests import conversation_of
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import PersonaTasks
from proto.messages import Line

FRESH: Final = 600.0
"""Seconds for which an answer that no client has got is kept for a repetition of its request. Later the same words are
a new question."""


class Asking:
    """Takes the requests of all personas."""

    def __init__(self, inbox: Inbox, ledger: Ledger, tasks: PersonaTasks, clock: Clock) -> None:
        self._inbox = inbox
        self._ledger = ledger
        self._tasks = tasks
        self._clock = clock

    async def take(
        self, persona_id: str, messages: Sequence[New], history: Sequence[Line], instructions: str, answering: Answering
    ) -> Standing:
        """Commit a request, unless it is known, and let her answer it; ``answering`` shows what comes of it.

        Raises InboxFull, LedgerFull, LedgerBusy.
        """
        self._inbox.require_room(persona_id, sum(len(message.pieces) for message in messages))
        # After a fault here it may be committed and not queued: it is read back.
        with self._tasks.of(persona_id).reported(LedgerError):
            at = self._clock.time_ns()
            fresh = at - int(FRESH * 1e9)
            standing = await self._ledger.take_request(persona_id, messages, history, instructions, at, fresh)
        if standing.answer is not None:
            answering.ended(standing.answer)
            return standing
        answering.expect(standing.last)
        if standing.waiting:
            # Its key may have been asked before, with other words around it.
            self._inbox.stepped(persona_id, conversation_of(messages[-1].key))
            self._inbox.admit(persona_id, standing.waiting)
        elif trouble := self._inbox.own_trouble(persona_id):
            answering.ended(trouble)
        return standing
