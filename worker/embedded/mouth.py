"""The embedded mouth: one English voice, hibari's "heart", on onnxruntime."""

from __future__ import annotations

import os
import secrets
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from worker.embedded import weights
from worker.embedded.fault import HostFault
from worker.embedded.speech import foreign, speakable
from worker.embedded.weights import require

if TYPE_CHECKING:
    from hibari import Hibari

    from worker.embedded.audio import Samples

VOICE: Final = "heart"
"""The voice inside the package. The library would download any other."""

MOST_CHARACTERS: Final = 2_000
"""About two minutes."""

MOST_SECONDS: Final = 180
"""A limit of its own, because hundreds of one-word sentences with a pause after each take long for their length."""

PIECE_CHARS: Final = 300
"""Characters spoken at a time, because the model's memory grows with their square."""

PEAK: Final = 0.9
"""The loudest sample of every file. Without scaling the voice reaches 0.3."""

SEED: Final = 0
"""Fixed so that the same text always sounds the same."""

PART: Final = ".part-"


class Mouth:
    """Speaks text into files. It blocks, so it runs on a thread."""

    def __init__(self) -> None:
        self._voice: Hibari | None = None

    def speak(self, text: str, folder: str) -> str:
        """Speak ``text`` into a new OGG/Opus file in ``folder``, and return the file's bare name.

        The file's ``.part-`` link stays until the ledger refers to the file. Raises HostFault when the text cannot be
        spoken or the file cannot be written.
        """
        words = speakable(text)
        if not words:
            raise HostFault("There is nothing in it that could be said aloud.")
        if len(words) > MOST_CHARACTERS:
            raise HostFault(f"It is too long to be said: {len(words)} characters, at most {MOST_CHARACTERS:,}.")
        if foreign(words):
            raise HostFault("The embedded mouth says English only.")
        require("mouth")
        from worker.embedded.audio import opus

        if self._voice is None:
            self._voice = self._load()
        file = opus(self._say(words), self._voice.sample_rate)
        try:
            return _keep(file, Path(folder))
        except OSError as error:
            raise HostFault(f"What was said could not be kept: {error.strerror}.") from error

    def _load(self) -> Hibari:
        path = weights.MOUTH.verified()
        from hibari import Hibari

        return Hibari(VOICE, str(path))

    def _say(self, words: str) -> Samples:
        """Speak one sentence after the other, scaled to ``PEAK``."""
        import numpy as np

        assert self._voice is not None
        pieces: list[Samples] = []
        for sentence in self._voice.split_sentences(words):
            for piece in textwrap.wrap(sentence, PIECE_CHARS):
                pieces += self._voice.stream(piece, seed=SEED)
            if sum(piece.size for piece in pieces) > MOST_SECONDS * self._voice.sample_rate:
                raise HostFault(f"It is too long to be said: more than {MOST_SECONDS} seconds.")
        samples: Samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
        loudest = float(np.abs(samples).max(initial=0.0))
        if not loudest:
            raise HostFault("There is nothing in it that could be said aloud.")
        return samples * np.float32(PEAK / loudest)


def _keep(file: bytes, folder: Path) -> str:
    """Sync the file to disk, give it its name, and sync the name."""
    name = f"audio-{secrets.token_hex(16)}.ogg"
    part = folder / f"{PART}{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as target:
            target.write(file)
            target.flush()
            os.fsync(target.fileno())
        os.link(part, folder / name)
        _sync(folder)
    except OSError:
        # The file goes first, so that it never exists without its ``.part-`` link.
        (folder / name).unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        raise
    return name


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
