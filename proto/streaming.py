"""An answer while it is being thought: what is said of it so far, and the order to stop.

Nothing here is stored. The ``Reply`` that ends the turn is the only truth, and somebody who missed every ``Delta`` has
lost nothing.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from proto.conversation import Conversation
from proto.texts import Text

MAX_SPOKEN: Final = 1024 * 1024
"""Bytes of one spoken sentence. A longer one is heard with the whole answer."""


class Delta(msgspec.Struct, tag="delta"):
    """The words of a turn's answer so far are the first ``offset`` characters of what was shown of it, and ``text``.

    An offset of 0 replaces everything: her mind was asked again, or went on to another round. ``aloud``: the answer
    will be spoken. Between worker and daemon, answered by ``DeltaTaken``; the next one of the turn follows after that.
    """

    turn: int
    conversation: Conversation
    offset: int
    text: Text
    aloud: bool = False


class DeltaTaken(msgspec.Struct, tag="delta_taken"):
    """The daemon has read the turn's last ``Delta``: at most one of each turn is ever on its way."""

    turn: int


class Spoken(msgspec.Struct, tag="spoken"):
    """A sentence of an answer that is spoken while the rest is thought; ``audio`` is Ogg with Opus.

    ``number`` counts from 1. A 1 after others: the answer begins anew.
    """

    turn: int
    conversation: Conversation
    number: int
    text: Text
    audio: Annotated[bytes, msgspec.Meta(max_length=MAX_SPOKEN)]


class Hush(msgspec.Struct, tag="hush"):
    """Stop this turn's answer. It ends with a ``Reply`` that is ``hushed``, with what was said so far.

    A worker that has already replied ignores it.
    """

    turn: int
