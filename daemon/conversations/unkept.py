"""Turns that leave nothing behind: they are only in memory, and end with the process that has them in hand.

They go past the inbox and the ledger, one at a time for each persona. Their numbers and those of their perceptions are
negative, so that they are never taken for rows.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from daemon.conversations.inbox import Inbox
from daemon.conversations.recaller import Recaller
from daemon.conversations.requests import Answering, Failed
from daemon.conversations.worker import Worker
from daemon.ledger import Piece
from daemon.ledger.requests import conversation_of
from daemon.personas.media import FOLDER, PART
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock, within
from daemon.runtime.tasks import PersonaTasks
from proto.messages import Conversation, Deferred, FromWorker, Line, MindDown, Perception, Refused, Reply
from proto.streaming import Delta, Hush

LONGEST: Final = 3600.0
"""Seconds after which a turn is given up; a mind's own limits are far below."""

_ENDED: Final = "Her process ended in the middle, and nothing of the request was kept: send it again."
_REFUSED: Final = "She has no answer to this: {reason}"


class _Turn(msgspec.Struct):
    """A turn in hand; ``done`` is set when her process is through with it."""

    number: int
    conversation: Conversation
    answering: Answering
    done: asyncio.Future[None]


class Unkept:
    """The turns of all personas that leave nothing behind."""

    def __init__(self, inbox: Inbox, recaller: Recaller, personas: Personas, tasks: PersonaTasks, clock: Clock) -> None:
        self._inbox = inbox
        self._recaller = recaller
        self._personas = personas
        self._tasks = tasks
        self._clock = clock
        self._running: dict[str, Worker] = {}
        self._in_hand: dict[str, _Turn] = {}
        self._one: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._numbers = itertools.count(-1, -1)

    def attach(self, persona_id: str, worker: Worker) -> None:
        """Her process runs."""
        self._running[persona_id] = worker

    async def detach(self, persona_id: str, *, crashed: bool) -> None:  # noqa: ARG002 (every attendant gets it)
        """Her process is gone, and with it the turn in hand."""
        self._running.pop(persona_id, None)
        if turn := self._in_hand.get(persona_id):
            self._end(turn, Failed("ended", _ENDED))

    def ask(
        self,
        persona_id: str,
        key: str,
        pieces: Sequence[Piece],
        history: list[Line],
        instructions: str,
        answering: Answering,
    ) -> asyncio.Task[None]:
        """Have her answer; the task ends when her process is through with it, whoever still waits."""
        turn = self._turn(persona_id, conversation_of(key), pieces, history, instructions, answering)
        return self._tasks.of(persona_id).start(turn)

    def leave(self, persona_id: str, answering: Answering) -> None:
        """A client is gone: if nobody else waits, there is no use in the rest of the answer."""
        turn, worker = self._in_hand.get(persona_id), self._running.get(persona_id)
        if turn and worker and turn.answering is answering and not answering.waiters and answering.end is None:
            worker.send(Hush(turn.number))

    def received(self, persona_id: str, message: FromWorker) -> bool:
        """Take a message of her process about such a turn; False for any other message."""
        if not isinstance(message, Reply | Refused | Deferred | MindDown | Delta) or message.turn >= 0:
            return False
        turn = self._in_hand.get(persona_id)
        if turn is None or turn.number != message.turn:
            return True
        match message:
            case Delta():
                turn.answering.drafted(message)
            case Reply():
                turn.answering.answered(message)
                if made := [one.media for one in message.messages if one.media]:
                    folder = self._personas.folder(persona_id) / FOLDER
                    self._tasks.of(persona_id).start(asyncio.to_thread(_remove, folder, made))
                self._end(turn, Failed("ended", _ENDED))
            case Refused():
                self._end(turn, Failed(message.kind, _REFUSED.format(reason=message.reason)))
            case MindDown():
                turn.answering.ended(Failed("mind_down", f"{message.reason} {message.hint}".strip()))
            case Deferred() if message.unaffordable:
                self._end(turn, Failed("unaffordable", message.unaffordable))
            case Deferred():
                self._end(turn, Failed("ended", _ENDED))
        return True

    async def _turn(
        self,
        persona_id: str,
        conversation: Conversation,
        pieces: Sequence[Piece],
        history: list[Line],
        instructions: str,
        answering: Answering,
    ) -> None:
        async with self._one[persona_id]:
            worker = self._running.get(persona_id)
            if worker is None:
                answering.ended(Failed("ended", _ENDED))
                return
            if not answering.waiters:
                return
            at = self._clock.time_ns()
            perceptions = [
                Perception(next(self._numbers), piece.kind, piece.content, at, piece.media) for piece in pieces
            ]
            answering.expect(perceptions[-1].id)
            number = next(self._numbers)
            turn = _Turn(number, conversation, answering, asyncio.get_running_loop().create_future())
            self._in_hand[persona_id] = turn
            try:
                asked = self._inbox.context.owned(persona_id, number, conversation, perceptions, history, instructions)
                texts = [piece.content for piece in pieces]
                recalled = await self._recaller.passages(persona_id, conversation, texts, len(history))
                if not answering.waiters:
                    # The client left while what was said before was looked up.
                    return
                worker.send(msgspec.structs.replace(asked, kept=False, recalled=recalled))
                await within(self._clock, LONGEST, turn.done)
            except TimeoutError:
                worker.send(Hush(number))
            finally:
                # Also when this task is cancelled: nobody may wait for an answer that does not come.
                answering.ended(Failed("ended", _ENDED))
                del self._in_hand[persona_id]

    def _end(self, turn: _Turn, otherwise: Failed) -> None:
        """The turn is over; ``otherwise`` is what became of it unless it was answered."""
        turn.answering.ended(otherwise)
        if not turn.done.done():
            turn.done.set_result(None)


def _remove(folder: Path, names: Sequence[str]) -> None:
    """Remove files that were made for the answer, with their marks."""
    for name in names:
        for path in (folder / name, folder / f"{PART}{name}"):
            path.unlink(missing_ok=True)
