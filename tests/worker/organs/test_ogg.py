"""Recordings that are joined without decoding them."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emulators import samples
from worker.embedded.audio import opus
from worker.organs.ogg import joined

RATE = 24_000


def tone(seconds: float, pitch: float) -> bytes:
    at = np.arange(int(seconds * RATE)) / RATE
    return opus(np.float32(0.5) * np.sin(2 * np.pi * pitch * at, dtype=np.float32), RATE)


def decoded(recording: bytes) -> np.ndarray[Any, Any]:  # Any: of whatever shape and type
    with av.open(io.BytesIO(recording), "r") as container:
        assert len(container.streams) == 1
        return np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])


def pitch_of(sound: np.ndarray[Any, Any]) -> float:  # Any: as above
    spectrum = np.abs(np.fft.rfft(sound))
    return float(np.argmax(spectrum) * 48_000 / len(sound))


def test_one_after_the_other() -> None:
    """The joined recording is one stream of Opus, as long as all of them, each at its place."""
    parts = [tone(1.5, 300), tone(0.7, 600), tone(2.0, 900)]
    whole = decoded(joined(parts))
    lengths = [len(decoded(part)) for part in parts]
    assert sum(lengths) <= len(whole) <= sum(lengths) + 3 * 2_880
    begun = 0
    for length, pitch in zip(lengths, (300, 600, 900), strict=True):
        middle = whole[begun + length // 4 : begun + 3 * length // 4]
        assert pitch_of(middle) == pytest.approx(pitch, abs=10)
        begun += length


def test_one_recording_is_itself() -> None:
    assert joined([samples.ogg()]) == samples.ogg()


def test_different_channels_cannot_be_joined() -> None:
    """They would be played at the wrong speed or place."""
    stereo = samples.ogg().replace(b"OpusHead\x01\x01", b"OpusHead\x01\x02")
    with pytest.raises(ValueError, match="channels"):
        joined([samples.ogg(), stereo])


@given(st.integers(0, len(samples.ogg()) - 1), st.integers(0, 255))
def test_what_a_server_may_send(at: int, byte: int) -> None:
    """A damaged recording is joined or refused with a reason, whatever is wrong with it."""
    damaged = bytearray(samples.ogg())
    damaged[at] = byte
    for bad in (bytes(damaged), samples.ogg()[:at], b""):
        with suppress(ValueError):
            assert joined([samples.ogg(), bad]).startswith(b"OggS")
