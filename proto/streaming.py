"""An answer while it is being thought: what is said of it so far, and the order to stop.

Nothing here is stored. The ``Reply`` that ends the turn is the only truth, and somebody who missed every ``Delta`` has
lost nothing.
"""

from __future__ import annotations

import msgspec

from proto.conversation import Conversation
from proto.texts import Text


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


class Hush(msgspec.Struct, tag="hush"):
    """Stop this turn's answer. It ends with a ``Reply`` that is ``hushed``, with what was said so far.

    A worker that has already replied ignores it.
    """

    turn: int
