"""The tool with which a mind searches what was said before, beyond what its prompt shows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from proto.recalling import Passage, Recall
from worker.agent.daemon_calls import DaemonCalls
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


def recall_offer(daemon: DaemonCalls, turn: int, name: str) -> Offer:
    """Return the tool for this turn of her owner; ``name`` is the persona's."""
    return Offer(RECALL, partial(_search, daemon, turn, name))


async def _search(daemon: DaemonCalls, turn: int, name: str, texts: Mapping[str, str]) -> str:
    query, since, until = texts["query"][:QUERY_CHARS], texts["from"][:TIME_CHARS], texts["to"][:TIME_CHARS]
    answer = await daemon.ask(lambda call: Recall(call, turn, query, since, until))
    try:
        found = _decoder.decode(answer)
    except msgspec.DecodeError as error:
        raise OrganUnreachable(UNREADABLE, "", permanent=True) from error
    zone = datetime.now().astimezone().tzinfo
    return listed(found, zone, name, RESULT_CHARS) or NOTHING
