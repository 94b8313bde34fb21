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
"""The one inside the package; the library would download any other."""

MOST_CHARACTERS: Final = 2_000
"""About two minutes."""

MOST_SECONDS: Final = 180
"""Hundreds of one-word sentences, with a pause after each, are longer than their letters."""

BREATH: Final = 300
"""Characters said at a time: the voice's memory grows with the square of them."""

PEAK: Final = 0.9
"""The loudest sample of every file; the voice's own is 0.3."""

SEED: Final = 0
"""The same words sound the same each time."""

PART: Final = ".part-"


class Mouth:
    """Says words into files; blocking, so it lives on a thread."""

    def __init__(self) -> None:
        self._voice: Hibari | None = None

    def speak(self, text: str, folder: str) -> str:
        """Say ``text`` into a new OGG/Opus file under ``folder`` and return its bare name. Raise HostFault.

        The file's ``.part-`` link stays until the ledger speaks of it.
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
        """Every sentence after the other, as loud as can be."""
        import numpy as np

        assert self._voice is not None
        pieces: list[Samples] = []
        for sentence in self._voice.split_sentences(words):
            for breath in textwrap.wrap(sentence, BREATH):
                pieces += self._voice.stream(breath, seed=SEED)
            if sum(piece.size for piece in pieces) > MOST_SECONDS * self._voice.sample_rate:
                raise HostFault(f"It is too long to be said: more than {MOST_SECONDS} seconds.")
        samples: Samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
        loudest = float(np.abs(samples).max(initial=0.0))
        if not loudest:
            raise HostFault("There is nothing in it that could be said aloud.")
        return samples * np.float32(PEAK / loudest)


def _keep(file: bytes, folder: Path) -> str:
    """Give the file its name once all of it is on the disk, and the name too."""
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
        # In this order: while the file is there, its mark is.
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
