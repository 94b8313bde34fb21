"""Her person's appointments: what a turn asks of the daemon, which keeps them.

The daemon answers each question with a ``DaemonAnswer``, whose ``text`` is JSON: the list of ``Planned`` that the
question is about. Only a turn of her owner may ask.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from proto.texts import Label, Nanoseconds

BODY_CHARS: Final = 2_000
"""Characters of what a reminder says."""

MOST_LISTED: Final = 100
"""Appointments in one answer, the soonest. At the longest bodies they fit into a text."""

MOST_PLANNED: Final = 8
"""Appointments that come with a turn, the soonest."""

Body = Annotated[str, msgspec.Meta(min_length=1, max_length=BODY_CHARS)]
Rule = Annotated[str, msgspec.Meta(max_length=200)]
Wording = Annotated[str, msgspec.Meta(max_length=300)]


class Planned(msgspec.Struct, frozen=True):
    """A reminder, or with a ``cron`` rule a routine. ``due`` is its next time, 0 if it has none left.

    ``zone`` is the IANA name of the zone that the rule means. ``task``: her mind does what the body says.
    ``cancelled``: this turn has cancelled it already, perhaps in an earlier run whose worker died.
    """

    id: str
    body: str
    due: Nanoseconds
    cron: str = ""
    zone: str = ""
    task: bool = False
    cancelled: bool = False


class Remind(msgspec.Struct, tag="remind"):
    """Make a reminder ``at`` an ISO 8601 time with offset, or with a ``cron`` rule a routine.

    ``wording`` is the time in the words of her mind. A turn that is repeated after its worker died asks again with the
    same body and wording, and gets the same appointment.
    """

    call: int
    turn: int
    body: Body
    wording: Wording
    at: Label = ""
    cron: Rule = ""
    zone: Label = ""
    task: bool = False


class ListPlanned(msgspec.Struct, tag="list_planned"):
    """What is still to come, the soonest first."""

    call: int
    turn: int


class CancelPlanned(msgspec.Struct, tag="cancel_planned"):
    """Cancel one of her appointments. A turn that is repeated may cancel the same one again."""

    call: int
    turn: int
    id: Label
