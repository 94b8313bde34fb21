"""Frames between daemon and processes, whichever side went mad: decoded, or refused in words that quote nothing."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proto.birth import Birth, FromZygote
from proto.feeds import FromFeeder, ToFeeder
from proto.framing import Codec, FrameError
from proto.host import FromHost, ToHost
from proto.messages import MAX_FRAME, FromWorker, Heartbeat, Hello, Probed, ToWorker
from proto.records import reveal_secrets, seal_secrets
from proto.secrets import Secret
from proto.unicode_text import valid_text, valid_texts
from tests.fuzz.strategies import SECRET, bent, json_values, outcome, words

KINDS: Final[dict[str, Any]] = {
    "from a worker": FromWorker,
    "to a worker": ToWorker,
    "from the feeder": FromFeeder,
    "to the feeder": ToFeeder,
    "from the organ host": FromHost,
    "to the organ host": ToHost,
    "from the zygote": FromZygote,
    "to the zygote": Birth,
}
"""The types of messages on each way (Any: unions)."""

CODECS: Final = {name: Codec[Any](kind) for name, kind in KINDS.items()}
codecs = st.sampled_from(sorted(CODECS)).map(CODECS.__getitem__)

secrets: st.SearchStrategy[Secret] = words.map(valid_text).map(Secret)
st.register_type_strategy(Secret, secrets)


def _is_whole(message: object) -> bool:
    """Whether no field was filled with the sign for "a new list" instead of a list."""
    return "<factory>" not in repr(message)


messages = st.one_of(
    *(st.tuples(st.just(CODECS[name]), st.from_type(kind).filter(_is_whole)) for name, kind in KINDS.items())
)
"""Messages of the declared types, whose bounds they may break, each with its codec."""


def packed(value: object) -> bytes:
    """The value in msgpack, whose integers have 64 bits."""
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError):
        return b"\xc1"


tags = st.sampled_from(["hello", "ready", "reply", "probed", "fault", "warm", "birth", "stop", SECRET])
frames = st.one_of(
    st.binary(max_size=200),
    json_values.map(packed),
    st.builds(
        lambda tag, fields: packed({"type": tag, **fields}), tags, st.dictionaries(words, json_values, max_size=4)
    ),
    bent(st.just(msgspec.msgpack.encode(Probed(SECRET)))),
)


@given(codecs, frames)
@example(CODECS["from a worker"], packed({"type": SECRET}))
@example(CODECS["from a worker"], packed({"type": "ready", "gateways": [{"channel": "0" * 16, "state": SECRET}]}))
@example(CODECS["to a worker"], packed({"type": "stop", "x": None}) + b"\x91" * 20_000)
@example(CODECS["from a worker"], b"\x82\xa4type\xa5hello\xa1x" + b"\x91" * 20_000 + b"\xc0")
@example(CODECS["from a worker"], b"\x82\xa4type\xa6probed\xa6reason\xa1\xff")
def test_foreign_frames(codec: Codec[Any], frame: bytes) -> None:
    """Any bytes are a message or a FrameError, whose text is short and quotes nothing from the frame."""
    said = outcome(lambda: codec.decode(frame), FrameError)
    assert SECRET not in said
    assert len(said) < 1000


@given(messages)
@example((CODECS["from a worker"], Heartbeat(0.0, [])))
@example((CODECS["from a worker"], Hello(2**70, 1)))
@example((CODECS["from a worker"], Probed("half \ud83d")))
def test_round_trip(sent: tuple[Codec[Any], msgspec.Struct]) -> None:
    """A message comes back with valid texts, or is refused with a FrameError where it breaks its type's bounds."""
    codec, message = sent
    found: list[object] = []
    said = outcome(lambda: found.append(codec.decode(codec.encode(message))), FrameError)
    assert SECRET not in said
    assert bool(said) or repr(valid_texts(found)) == repr([valid_texts(message)])


@given(st.dictionaries(words.map(valid_text), secrets, max_size=4))
def test_secrets_pass(credentials: dict[str, Secret]) -> None:
    """A secret crosses unchanged and shows itself nowhere on the way."""
    frame = msgspec.msgpack.encode(credentials, enc_hook=reveal_secrets)
    found = msgspec.msgpack.decode(frame, type=dict[str, Secret], dec_hook=seal_secrets)
    assert found == credentials
    assert SECRET not in "".join(map(repr, found.values()))


def test_oversized() -> None:
    """A frame over the limit is refused on both sides, before anything in it is looked at."""
    codec = CODECS["from a worker"]
    with pytest.raises(FrameError):
        codec.encode(Probed("x" * (MAX_FRAME + 1)))
    with pytest.raises(FrameError):
        codec.decode(b"\xc1" * (MAX_FRAME + 1))
