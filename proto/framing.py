"""Frames: each is one msgpack document of a closed type and of bounded size."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec

from proto.messages import MAX_FRAME
from proto.records import reveal_secrets, seal_secrets
from proto.unicode_text import valid_texts

T = TypeVar("T")

_QUOTING: Final = ("Invalid value", "Invalid enum value", "Object contains unknown field")
"""How msgspec's errors begin that go on with a piece of the frame."""


class FrameError(ValueError):
    """The frame is not a message of this protocol. The error text says why and quotes nothing from the frame."""


class Codec(Generic[T]):
    """Encodes any message, and decodes frames into ``kind``, a union of messages."""

    def __init__(self, kind: type[T]) -> None:
        self._encoder = msgspec.msgpack.Encoder(enc_hook=reveal_secrets)
        self._decoder = msgspec.msgpack.Decoder(kind, dec_hook=seal_secrets)

    def encode(self, message: msgspec.Struct) -> bytes:
        """Return the frame. Raises FrameError when the message is larger than a frame, or a number too large for one.

        Text is made valid where it enters; what slipped through costs a character here, not the process.
        """
        try:
            frame = self._encoder.encode(message)
        except UnicodeEncodeError:
            frame = self._encoder.encode(valid_texts(message))
        except OverflowError as error:
            raise FrameError(f"a {type(message).__name__} holds a number of more than 64 bits") from error
        if len(frame) > MAX_FRAME:
            raise FrameError(f"a {type(message).__name__} of {len(frame)} bytes is larger than a frame ({MAX_FRAME})")
        return frame

    def decode(self, frame: bytes) -> T:
        """Return the message. Raises FrameError when the frame is too large or holds none of this codec's messages."""
        if len(frame) > MAX_FRAME:
            raise FrameError(f"a frame of {len(frame)} bytes is over the limit of {MAX_FRAME}")
        try:
            return self._decoder.decode(frame)
        except (ValueError, RecursionError) as error:
            # msgspec's own errors, bytes that are no UTF-8, and thousands of nested arrays in an unknown field.
            raise FrameError(f"not a message of this protocol: {_unquoted(str(error))}") from error


def _unquoted(said: str) -> str:
    """Leave out the value that msgspec quotes, and keep where it stands."""
    beginning = next((one for one in _QUOTING if said.startswith(one)), None)
    if beginning is None:
        return said
    _, at, place = said.rpartition(" - at `")
    return f"{beginning}{at}{place}"
