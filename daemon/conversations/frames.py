"""The frames that a persona's sockets receive."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from proto.streaming import Spoken

SignalType: TypeAlias = Literal["Plan", "Event", "Message", "Inquiry", "Command"]
ChatType: TypeAlias = Literal["chat_message", "chat_audio", "chat_image"]

_CHAT_TYPES: Final[dict[str, ChatType]] = {"text": "chat_message", "audio": "chat_audio", "image": "chat_image"}


class ChatFrame(msgspec.Struct):
    """What she says, as her socket receives it. ``url`` is the path of a file that goes with it.

    ``chat_message`` is text. ``chat_audio`` is speech: ``url`` has the recording, ``content`` the same words.
    ``chat_image`` is a picture that she made: ``url`` has it, ``content`` describes it. ``turn`` is that of the
    ``chat_delta`` frames that it ends; a frame that is sent again after a lost connection has none. ``hushed``: she was
    told to stop there.
    """

    type: ChatType
    persona_id: str
    content: str
    seq: int
    url: str | msgspec.UnsetType = msgspec.UNSET
    turn: int | msgspec.UnsetType = msgspec.UNSET
    hushed: bool | msgspec.UnsetType = msgspec.UNSET


class Ending(NamedTuple):
    """Which turn a message ends, None for one that ends none, and whether she was told to stop there."""

    turn: int | None
    hushed: bool = False


NO_ENDING: Final = Ending(None)


class DeltaFrame(msgspec.Struct):
    """What she has said of an answer so far: the first ``offset`` characters of what was shown of it, then ``text``.

    ``turn`` is that of the chat frame that ends it. An offset of 0 replaces everything. An offset of 0 with an empty
    text: the turn ended without a message, or begins again, and nothing of it stays.
    """

    type: Literal["chat_delta"]
    persona_id: str
    turn: int
    offset: int
    text: str


class SpeechFrame(msgspec.Struct):
    """A sentence of the answer in hand that she speaks already; ``audio`` is Ogg with Opus in base64.

    ``number`` counts from 1; a 1 after others begins anew. The ``chat_audio`` with this ``turn`` has all of it.
    """

    type: Literal["chat_speech"]
    persona_id: str
    turn: int
    number: int
    content: str
    audio: str


class SignalFrame(msgspec.Struct):
    """What happens to a persona, as her socket and ``/ws/system`` receive it; ``time`` is epoch nanoseconds.

    What ``details`` holds depends on the title; ``persona`` in it says whose signal it is.
    """

    type: SignalType
    title: str
    time: int
    details: dict[str, Any]  # Any: msgspec describes it as any JSON, and an object as none
    seq: int


def chat_frame(
    persona_id: str, seq: int, kind: str, content: str, media: str | None, ending: Ending = NO_ENDING
) -> str:
    """Encode her message as the chat frame for its kind: ``text``, ``audio`` or ``image``."""
    url = msgspec.UNSET if media is None else f"/api/persona/{persona_id}/media/{media}"
    turn = msgspec.UNSET if ending.turn is None else ending.turn
    frame = ChatFrame(_CHAT_TYPES[kind], persona_id, content, seq, url, turn, ending.hushed or msgspec.UNSET)
    return msgspec.json.encode(frame).decode()


def speech_frame(persona_id: str, spoken: Spoken) -> str:
    """Encode a spoken sentence."""
    audio = b64encode(spoken.audio).decode()
    frame = SpeechFrame("chat_speech", persona_id, spoken.turn, spoken.number, spoken.text, audio)
    return msgspec.json.encode(frame).decode()
