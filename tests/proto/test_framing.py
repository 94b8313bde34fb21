"""Frames: whatever a faulty process sends is refused and affects no other process."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from proto.framing import Codec, FrameError
from proto.messages import MAX_FRAME, Fault, FromWorker, Outgoing, Reply

WORKER: Final[Codec[FromWorker]] = Codec(FromWorker)  # type: ignore[arg-type]  # mypy takes no union where a type is asked for

FAULT: Final = msgspec.msgpack.encode({"type": "fault", "reason": "x", "extra": 0})

FRAMES: Final = {
    "empty": b"",
    "cut off": FAULT[:-2],
    "of no type": msgspec.msgpack.encode({"reason": "x"}),
    "of an unknown type": msgspec.msgpack.encode({"type": "order", "reason": "x"}),
    "with a wrong field": msgspec.msgpack.encode({"type": "fault", "reason": 7}),
    "with a text that is too long": msgspec.msgpack.encode({"type": "fault", "reason": "x" * 2001}),
    "too large": msgspec.msgpack.encode({"type": "fault", "reason": "x" * MAX_FRAME}),
    "with bytes that are no text": b"\x82\xa4type\xa5fault\xa6reason\xa1\xff",
    "with half a character": b"\x82\xa4type\xa5fault\xa6reason\xa3\xed\xa0\xbd",
    "of a type that is no text": b"\x81\xa4type\xa1\xff",
    "with a name that is too long": msgspec.msgpack.encode(
        {"type": "typing", "conversation": {"type": "web", "name": "x" * 1025}}
    ),
    "with too many items": msgspec.msgpack.encode(
        {"type": "reply", "turn": 1, "perceptions": [1] * 10_001, "messages": []}
    ),
    "with too many refusals": msgspec.msgpack.encode(
        {"type": "refused", "turn": 1, "perceptions": [1] * 10_001, "kind": "empty", "reason": ""}
    ),
    "too deep": FAULT[:-1] + b"\x91" * 200_000 + b"\xc0",
}


@pytest.mark.parametrize("name", FRAMES)
def test_what_is_no_message_is_refused(name: str) -> None:
    """Every such frame is a FrameError, which the link drops and counts."""
    with pytest.raises(FrameError):
        WORKER.decode(FRAMES[name])


def test_an_unknown_field_is_overlooked() -> None:
    """Unknown fields of a newer peer are ignored."""
    assert WORKER.decode(FAULT) == Fault("x")


def test_half_characters_end_no_process() -> None:
    """What slipped through a border costs its character; the message arrives."""
    said = Reply(1, [7], [Outgoing("smile \ud83d\ude00 end \ud83d")], {7: "\udcff"})
    assert WORKER.decode(WORKER.encode(said)) == Reply(1, [7], [Outgoing("smile 😀 end \ufffd")], {7: "\ufffd"})
    assert WORKER.decode(WORKER.encode(Fault("\ude00"))) == Fault("\ufffd")


def test_a_message_is_measured_before_it_is_sent() -> None:
    """The link's sockets would silently drop the peer together with the frame; the sender gets an error instead."""
    room = MAX_FRAME - len(WORKER.encode(Outgoing("")))
    # The length of a long text takes more bytes than that of an empty one.
    fits = Outgoing("x" * (room - 4))
    assert MAX_FRAME - 4 <= len(WORKER.encode(fits)) <= MAX_FRAME
    with pytest.raises(FrameError, match=rf"^a Outgoing of \d+ bytes is larger than a frame \({MAX_FRAME}\)$"):
        WORKER.encode(Outgoing("x" * MAX_FRAME))
