"""Audio files through PyAV: any supported type is decoded to 16 kHz mono, and speech is encoded as OGG/Opus."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler

from worker.embedded.fault import HostFault

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono, between -1 and 1."""

RATE: Final = 16_000
"""Samples per second that the ear takes."""

BIT_RATE: Final = 32_000

READABLE: Final = {
    # Demuxers such as HLS would open any file or address that a playlist names.
    "format_whitelist": "wav,w64,mp3,mov,ogg,matroska,webm,flac,aac",
    "protocol_whitelist": "file",
    "codec_whitelist": "mp3,mp3float,mp2,mp2float,aac,aac_latm,alac,flac,opus,libopus,vorbis,speex,"
    "pcm_u8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_s16be,pcm_s24be,pcm_alaw,pcm_mulaw,"
    "adpcm_ms,adpcm_ima_wav,gsm_ms",
}
CODECS: Final = frozenset(READABLE["codec_whitelist"].split(","))

LEAST_RATE: Final = 4_000
MOST_RATE: Final = 192_000
MOST_CHANNELS: Final = 8
"""Bounds on what a file declares. Values outside them could make a small file take a lot of memory."""

MOST_BROKEN: Final = 200
"""Broken packets that are skipped before reading stops."""


def read(path: str) -> Iterator[Samples]:
    """Decode the file and yield its sound piece by piece.

    The length that the file declares is ignored: it ends where its packets end. A truncated file is read up to its end.
    Raises HostFault when the file is missing, cannot be read or has no sound.
    """
    if not Path(path).is_file():
        raise HostFault("The file is not there any more.")
    heard = False
    try:
        with av.open(path, container_options=READABLE, metadata_errors="ignore") as container:
            for piece in _pieces(container):
                heard = True
                yield piece
    except (av.FFmpegError, OSError, ValueError) as error:
        if not heard:
            raise HostFault("The file cannot be read as audio: it is broken, or something else.") from error
    if not heard:
        raise HostFault("There is no sound in the file.")


def _pieces(container: av.container.InputContainer) -> Iterator[Samples]:
    if not container.streams.audio:
        return
    stream = container.streams.audio[0]
    # PyAV has no context for a form of sound that FFmpeg does not know.
    if getattr(stream.codec_context, "name", "") == "":
        raise HostFault("The file's sound is of a kind that is not read.")
    if stream.codec_context.name not in CODECS:
        raise HostFault(f"The file's sound is of a kind that is not read: {stream.codec_context.name}.")
    # A resampler takes only one format, and a stream may change its format midway.
    for _, frames in itertools.groupby(_decoded(container, stream), _form):
        resampler = AudioResampler("flt", "mono", RATE)
        for frame in frames:
            yield from _resampled(resampler, frame)
        yield from _resampled(resampler, None)


def _form(frame: av.AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _decoded(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Decode packet by packet, so that a broken packet does not affect the others."""
    broken = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            broken += 1
            if broken > MOST_BROKEN:
                return
            continue
        for frame in frames:
            if not LEAST_RATE <= frame.sample_rate <= MOST_RATE or frame.layout.nb_channels > MOST_CHANNELS:
                raise HostFault(
                    f"The file's sound is of a kind that is not read: {frame.sample_rate} samples a second, "
                    f"{frame.layout.nb_channels} channels."
                )
            # Timestamps are not needed, and the resampler would refuse a frame with a wrong one.
            frame.pts = None
            yield frame


def _resampled(resampler: AudioResampler, frame: av.AudioFrame | None) -> Iterator[Samples]:
    for piece in resampler.resample(frame):
        yield piece.to_ndarray().reshape(-1).astype(np.float32, copy=False)


def opus(samples: Samples, rate: int) -> bytes:
    """Encode speech as an OGG/Opus file, the usual format of voice messages."""
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=rate, options={"application": "voip"})
        stream.bit_rate = BIT_RATE
        stream.layout = "mono"
        whole = np.clip(samples * 32767, -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
