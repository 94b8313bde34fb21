"""What a worker asks of the daemon in the middle of a turn: one answer for each ``call``.

Each question is a message of its own in the module of its subject. The daemon answers it with ``DaemonAnswer``.
"""

from __future__ import annotations

import msgspec

from proto.texts import Reason, Text


class DaemonAnswer(msgspec.Struct, tag="daemon_answer"):
    """The daemon's answer to the question with this ``call``.

    ``text`` is for her mind to read. ``error`` says why there is none, and what her mind can do about it.
    """

    call: int
    text: Text = ""
    error: Reason = ""
