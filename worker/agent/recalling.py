"""What was said before, for a turn in hand: looked up by itself, and searched further by a mind with tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from proto.messages import Perceive
from proto.recalling import Passage, Recall
from proto.zones import zone_of
from worker.agent.daemon_calls import DaemonCalls
from worker.agent.questions import question_of
from worker.base.log import WorkerLog
from worker.base.organ_errors import OrganUnreachable
from worker.prompting.exchange import Parameter, Tool
from worker.prompting.recollection import listed
from worker.prompting.tools import RESULT_CHARS, Offer

QUERY_CHARS: Final = 2_000
TIME_CHARS: Final = 100

RECALL: Final = Tool(
    "recall",
    "Search everything that you and the person ever said to each other, and what you were fed, for lines that these"
    " notes do not show. Use it when the person asks about something from before that you do not see here.",
    (
        Parameter("query", "What it is about, in a few words that were probably said."),
        Parameter("from", "The earliest time: a date such as 2026-05-03, or words such as 'last May'.", required=False),
        Parameter("to", "The latest time, in the same form.", required=False),
    ),
)

NOTHING: Final = "Nothing that was said fits. Say that you find nothing about it; make nothing up."
UNREADABLE: Final = "What was found cannot be read."

_decoder: Final = msgspec.json.Decoder(list[Passage])


def recall_offer(daemon: DaemonCalls, turn: int, name: str, zone: str) -> Offer:
    """Return the tool for this turn of her owner; ``name`` is the persona's, ``zone`` that of her person's zone."""
    return Offer(RECALL, partial(_search, daemon, turn, name, zone))


class Recollecting:
    """What was found for the words of a turn. The daemon has looked for those that were typed when it began.

    What is spoken is only known once her ear has heard it, and messages may join: then it is asked again.
    """

    def __init__(self, message: Perceive, daemon: DaemonCalls, log: WorkerLog) -> None:
        self.found: list[Passage] = message.recalled
        self._turn = message.turn
        self._may_ask = message.beyond and message.visitor is None
        self._daemon = daemon
        self._log = log
        self._words = question_of(message.perceptions, {})

    async def look_up(self, words: str) -> None:
        """Find what fits these words, unless they are those of the last time. Never raises."""
        if words == self._words or not self._may_ask:
            return
        self._words = words
        try:
            self.found = await _found(self._daemon, lambda call: Recall(call, self._turn, words))
        except OrganUnreachable as error:
            self._log.warning("recall.unanswered", reason=error.reason)


async def _found(daemon: DaemonCalls, question: Callable[[int], Recall]) -> list[Passage]:
    answer = await daemon.ask(question)
    try:
        return _decoder.decode(answer)
    except msgspec.DecodeError as error:
        raise OrganUnreachable(UNREADABLE, "", permanent=True) from error


async def _search(daemon: DaemonCalls, turn: int, name: str, zone: str, texts: Mapping[str, str]) -> str:
    query, since, until = texts["query"][:QUERY_CHARS], texts["from"][:TIME_CHARS], texts["to"][:TIME_CHARS]
    found = await _found(daemon, lambda call: Recall(call, turn, query, since, until))
    return listed(found, zone_of(zone), name, RESULT_CHARS) or NOTHING
