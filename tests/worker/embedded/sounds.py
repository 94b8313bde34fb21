"""Sound files of every documented type, made of a spoken clip."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final, NamedTuple

import av
import numpy as np

from worker.embedded.audio import RATE, Samples


class Form(NamedTuple):
    """How PyAV writes a type: container, codec, samples per second."""

    container: str
    codec: str
    rate: int
    layout: str = "mono"


FORMS: Final = {
    ".wav": Form("wav", "pcm_s16le", 16_000),
    ".mp3": Form("mp3", "libmp3lame", 44_100),
    ".m4a": Form("ipod", "aac", 44_100),
    ".ogg": Form("ogg", "vorbis", 44_100, "stereo"),
    ".oga": Form("ogg", "libopus", 48_000),
    ".webm": Form("webm", "libopus", 48_000),
    ".flac": Form("flac", "flac", 44_100),
    ".aac": Form("adts", "aac", 44_100),
    ".opus": Form("opus", "libopus", 48_000),
}


def encode(samples: Samples, form: Form) -> bytes:
    """Write mono samples of ``RATE`` as a file of this form."""
    file = io.BytesIO()
    with av.open(file, "w", format=form.container) as container:
        stream = container.add_stream(form.codec, rate=form.rate, options={"strict": "experimental"})
        assert isinstance(stream, av.AudioStream)
        stream.layout = form.layout
        frame = av.AudioFrame.from_ndarray((samples * 32767).astype(np.int16).reshape(1, -1), "s16", "mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(stream.format.name, form.layout, form.rate)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            piece.pts = None
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def silence(seconds: float) -> Samples:
    """Return nothing."""
    return np.zeros(int(seconds * RATE), np.float32)


def write(folder: Path, name: str, samples: Samples) -> str:
    """Write a file whose type is that of its name, and return its path."""
    path = folder / name
    path.write_bytes(encode(samples, FORMS[path.suffix]))
    return str(path)
