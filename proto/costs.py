"""What calls of remote minds and organs use: asked for before each call, and reported after it.

A process sends ``Reserve`` before it asks a provider and ``Spent`` afterwards. It waits for ``Reserved`` in between
only where a budget is set, so a call without one is not a moment later.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, get_args

import msgspec

from proto.texts import Label

Purpose: TypeAlias = Literal["answer", "visitor", "consolidation", "feed", "routine", "test"]
"""What a call is for."""

PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)

Unit: TypeAlias = Literal["", "seconds", "characters", "images"]
"""What a provider bills besides tokens: of a recording, of spoken text, and pictures."""

Source: TypeAlias = Literal["reported", "counted", "estimated", "unknown"]
"""Where the numbers of a call are from.

``reported``: the provider's own. ``counted``: units that the worker counts itself, such as characters. ``estimated``:
by the length of the texts, or for a call that was cut off. ``unknown``: nothing tells.
"""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Used(msgspec.Struct, frozen=True):
    """What one call uses. ``input`` includes ``cached``, which the provider had read before."""

    input: Count = 0
    output: Count = 0
    cached: Count = 0
    unit: Unit = ""
    units: Count = 0


class Reserve(msgspec.Struct, tag="reserve"):
    """A call is about to be made; ``used`` is the most that it is expected to use.

    ``organ`` is the field of the record that names the model. Answered by ``Reserved`` if ``waits`` is set.
    """

    call: int
    purpose: Purpose
    organ: Label
    provider: Label
    model: Label
    used: Used
    waits: bool = False


class Reserved(msgspec.Struct, tag="reserved"):
    """The answer to ``Reserve``: the call may be made, unless ``reason`` says why not and ``hint`` what helps.

    ``passing``: there is room in the budget, but calls in progress hold it.
    """

    call: int
    reason: str = ""
    hint: str = ""
    passing: bool = False


class Spent(msgspec.Struct, tag="spent"):
    """The call ended. ``used`` None: the provider refused it or was not reached, and it costs nothing."""

    call: int
    used: Used | None = None
    source: Source = "unknown"


class Budgeted(msgspec.Struct, tag="budgeted"):
    """From now on a budget is set, or none is: whether calls wait for ``Reserved``."""

    is_set: bool
