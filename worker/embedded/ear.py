"""The embedded ear: Whisper tiny.en (int8) on CTranslate2, through faster-whisper. It understands English only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from worker.embedded import weights
from worker.embedded.documents import counted
from worker.embedded.fault import HostFault
from worker.embedded.weights import require

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

    from worker.embedded.audio import Samples

SILENCE: Final = "Nothing was said in it."

ENGLISH_ONLY: Final = "This ear understands English only."

FOREIGN: Final = f"Nothing in it could be made out. {ENGLISH_ONLY}"

LEAST_CONFIDENCE: Final = -0.75
"""The mean log probability of a segment's words below which the decoder has invented them.

Measured with synthetic voices: English had -0.05 to -0.63, also through a telephone's band with echo and noise; German,
Spanish, French, Italian and Polish had -0.81 to -1.85, except clear Italian read by an English voice, which had -0.67.
"""

MOST_SECONDS: Final = 30 * 60
"""Seconds of one file that are transcribed. The rest is left out, and the text says so."""

MOST_WORK: Final = 400.0
"""Seconds of work on one file; the rest is left out, too. Two files in a row still fit into the daemon's timeout."""

WINDOW: Final = 60
"""Seconds that are transcribed at a time, so that memory does not grow with the length of a file."""

SEAM: Final = 10
"""A window ends at the quietest place in its last seconds, this many, so that no word is cut in two."""

PAUSE_SECONDS: Final = 0.2
"""The length of such a quiet place in seconds."""


class Ear:
    """Transcribes speech. It blocks, so it runs on a thread."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._model: WhisperModel | None = None

    def transcribe(self, path: str) -> str:
        """Return the speech in the audio file at ``path`` as text, or ``SILENCE``.

        Raises HostFault when the file cannot be read or the model fails.
        """
        require("ear")
        from worker.embedded.audio import RATE, read

        if self._model is None:
            self._model = self._load()
        deadline = time.monotonic() + MOST_WORK
        words: list[str] = []
        foreign = heard = 0
        complete = True
        for window in windows(read(path), RATE):
            if heard >= MOST_SECONDS * RATE or time.monotonic() > deadline:
                complete = False
                break
            last = window[: MOST_SECONDS * RATE - heard]
            understood, unclear = _words(self._model, last)
            words += understood
            foreign += unclear
            heard += last.size
        text = " ".join(words)
        if foreign and not words:
            raise HostFault(FOREIGN)
        if foreign:
            text = f"{text}\n({counted(foreign, 'passage')} could not be made out. {ENGLISH_ONLY})"
        text = text or SILENCE
        if complete:
            return text
        return f"{text}\n(Only the first {_length(heard / RATE)} were listened to; the rest is left out.)"

    def _load(self) -> WhisperModel:
        folder = weights.EAR.verified().parent
        # If the tokenizer were missing, the library would look for one on the network.
        weights.EAR_TOKENIZER.verified()
        from faster_whisper import WhisperModel

        try:
            return WhisperModel(
                str(folder), device="cpu", compute_type="int8", cpu_threads=self._threads, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise HostFault(f"The embedded ear could not be loaded: {error}") from error


def _words(model: WhisperModel, window: Samples) -> tuple[list[str], int]:
    """Return what was understood, and the number of segments that the decoder made up for what it did not."""
    try:
        segments, _ = model.transcribe(
            window,
            language="en",
            beam_size=1,
            temperature=(0.0, 0.4),
            vad_filter=True,
            # With the previous window's text as a prompt, a small model repeats itself.
            condition_on_previous_text=False,
            # Without timestamps a window ends when the model's text does, and the words behind it are lost.
            without_timestamps=False,
        )
        found = [segment for segment in segments if segment.text.strip()]
    except RuntimeError as error:
        raise HostFault(f"The embedded ear failed: {error}") from error
    words = [segment.text.strip() for segment in found if segment.avg_logprob >= LEAST_CONFIDENCE]
    return words, len(found) - len(words)


def windows(pieces: Iterable[Samples], rate: int) -> Iterator[Samples]:
    """Join pieces of sound into windows of at most ``WINDOW`` seconds. All but the last end at a quiet place."""
    import numpy as np

    waiting: list[Samples] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += piece.size
        while size >= WINDOW * rate:
            joined = np.concatenate(waiting)
            end = _seam(joined[: WINDOW * rate], rate)
            yield joined[:end]
            waiting, size = [joined[end:]], size - end
    if size:
        yield np.concatenate(waiting)


def _seam(window: Samples, rate: int) -> int:
    """Return the middle of the quietest place near the end."""
    import numpy as np

    step = int(PAUSE_SECONDS * rate)
    start = window.size - SEAM * rate
    loudness = np.square(window[start : start + SEAM * rate // step * step].reshape(-1, step)).sum(axis=1)
    return start + int(loudness.argmin()) * step + step // 2


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"
