"""Text in pictures: PP-OCR through RapidOCR, loaded once for the eye and for the researcher's scanned pages.

These choices were measured. Text is detected at 960 pixels, and again in bands of 1,600 if nothing was found or the
text is tiny or illegible. Most of the time goes into recognizing the lines one by one. By default ONNX Runtime keeps a
memory plan for every line width, 300 MB after a dense page, and spins while it waits: both are turned off.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from worker.embedded import weights
from worker.embedded.weights import Weights

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime
    from numpy.typing import NDArray
    from PIL import Image
    from rapidocr import RapidOCR

    _Piece: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.float32]]
    """A line cut out of a picture, and its four corners in the picture."""

DETECTION: Final = Weights(
    "rapidocr",
    "models/PP-OCRv6_det_small.onnx",
    "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
)
RECOGNITION: Final = Weights(
    "rapidocr",
    "models/PP-OCRv6_rec_small.onnx",
    "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
)

SIDE: Final = 960
CLOSER_SIDE: Final = 1600
BANDS: Final = 4
"""The ratio of a band's width to its height in a closer look. In a large empty picture small letters are missed."""

LOWEST: Final = 240
"""The least height of a band in pixels."""

MARGIN: Final = 24
"""Pixels added above and below a band, because letters at its edge would be missed."""

SMALL: Final = 11.5
"""The height of a line in pixels at ``SIDE`` below which other lines were probably missed."""

OPTIONS: Final = {
    "Global.use_cls": False,
    "Global.log_level": "critical",
    "Det.limit_type": "max",
    "Rec.rec_batch_num": 1,
}
THREADS: Final = 2

CERTAIN: Final = 0.5
"""Lines recognized with less certainty are noise."""

SURE: Final = 0.9
"""Lines recognized with less certainty may be wrong. Printed Latin text has 0.97 and more, Greek 0.83 to 0.89."""

POOR: Final = 0.8
"""The mean certainty below which a picture may stand upside down: such text has 0.58 to 0.78, and means nothing."""

RIGHTED: Final = 0.95
"""The mean certainty from which on a picture that was turned is taken to stand upright. Other scripts have less."""

TALL: Final = 1.5
"""The ratio of height to width above which a line of text lies on its side."""

HIGH: Final = 2.0
"""The ratio of height to width above which a picture gets the closer look at once, because it would shrink too much."""


class Reading(NamedTuple):
    """The lines of text in a picture from top to bottom. ``whole`` is false if time ran out before the last line.

    ``unread`` lines are text whose letters the model does not know, and ``doubtful`` ones may be wrong. ``turned`` says
    how the picture had stood, "" if it was upright.
    """

    text: str
    whole: bool
    unread: int = 0
    doubtful: int = 0
    turned: str = ""


class _Line(NamedTuple):
    """A recognized piece of text, its position in pixels, and how certain the model is of it."""

    left: float
    right: float
    top: float
    bottom: float
    text: str
    certainty: float

    @property
    def is_tall(self) -> bool:
        """Whether it lies on its side: at least two letters, one above the other."""
        return len(self.text) > 1 and self.bottom - self.top > TALL * (self.right - self.left)


class _Look(NamedTuple):
    """The lines that were recognized, the number of others, and whether time was enough for all."""

    lines: list[_Line]
    unread: int
    whole: bool

    @property
    def certainty(self) -> float:
        """The mean certainty of all lines, 1 if there are none."""
        count = len(self.lines) + self.unread
        return sum(line.certainty for line in self.lines) / count if count else 1.0

    @property
    def amount(self) -> int:
        """The number of letters."""
        return sum(len(line.text) for line in self.lines)


class Reader:
    """One model for the whole process. Callers on several threads take turns, one picture each."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._engines: dict[int, RapidOCR] = {}

    def read(self, picture: Image.Image, seconds: float) -> Reading:
        """Read an RGB picture within about ``seconds``. Raises HostFault when the model cannot be loaded."""
        import numpy as np

        with self._turn:
            # OpenCV expects the channels in the order BGR.
            pixels = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
            turned, look = self._turned(pixels, time.monotonic() + seconds)
            _give_back()
        if look.certainty < POOR:
            # Where the model is so unsure, nobody wrote any text.
            lines = [line for line in look.lines if line.certainty >= POOR]
            look = _Look(lines, look.unread + len(look.lines) - len(lines), look.whole)
        doubtful = sum(line.certainty < SURE for line in look.lines)
        return Reading(_arranged(look.lines), look.whole, look.unread, doubtful, turned)

    def _turned(self, pixels: NDArray[np.uint8], deadline: float) -> tuple[str, _Look]:
        """Look at a picture, and turn it if its text lies on its side or is hardly recognized."""
        import numpy as np

        look = self._look(pixels, deadline)
        lies = sum(line.is_tall for line in look.lines) > len(look.lines) / 2
        if not lies and look.certainty >= POOR:
            return "", look
        best = ("", look)
        ways = ((1, "lies on its side"), (3, "lies on its side")) if lies else ((2, "stands upside down"),)
        for quarters, how in ways:
            if time.monotonic() > deadline:
                break
            other = self._look(np.ascontiguousarray(np.rot90(pixels, quarters)), deadline)
            upright = sum(line.is_tall for line in other.lines) <= len(other.lines) / 2
            if upright and other.lines and other.certainty >= max(RIGHTED, best[1].certainty if best[0] else 0):
                best = (how, other)
        return best

    def _look(self, pixels: NDArray[np.uint8], deadline: float) -> _Look:
        height, width = pixels.shape[:2]
        if max(height, width) <= SIDE:
            return self._recognized(_detected(self._engine(SIDE), pixels), deadline)
        look = _Look([], 0, whole=True)
        if height <= HIGH * width:
            pieces = _detected(self._engine(SIDE), pixels)
            heights = sorted(min(piece.shape[:2]) for piece, _ in pieces)
            if heights and heights[len(heights) // 2] * SIDE / max(height, width) >= SMALL:
                look = self._recognized(pieces, deadline)
                if not look.unread or not look.whole:
                    return look
        closer = self._recognized(self._closer(pixels), deadline)
        return max(look, closer, key=lambda one: one.amount)._replace(whole=closer.whole)

    def _closer(self, pixels: NDArray[np.uint8]) -> list[_Piece]:
        """Detect text in one band after the other, each with a margin."""
        import numpy as np

        pieces: list[_Piece] = []
        for top, band in _cut(pixels, max(LOWEST, pixels.shape[1] // BANDS)):
            margined = np.pad(band, ((MARGIN, MARGIN), (0, 0), (0, 0)), mode="edge")
            offset = np.array((0, top - MARGIN), np.float32)
            found = _detected(self._engine(CLOSER_SIDE), margined)
            pieces += [(piece, box + offset) for piece, box in found]
        return pieces

    def _recognized(self, pieces: list[_Piece], deadline: float) -> _Look:
        """Recognize the pieces until time runs out."""
        lines: list[_Line] = []
        for number, (piece, box) in enumerate(pieces):
            if time.monotonic() > deadline:
                return _Look(lines, number - len(lines), whole=False)
            recognized = self._engine(SIDE).recognize_txt([piece])
            for text, certainty in zip(recognized.txts or (), recognized.scores or (), strict=True):
                if text.strip() and certainty >= CERTAIN:
                    xs, ys = box[:, 0], box[:, 1]
                    lines.append(_Line(xs.min(), xs.max(), ys.min(), ys.max(), text.strip(), float(certainty)))
        return _Look(lines, len(pieces) - len(lines), whole=True)

    def _engine(self, side: int) -> RapidOCR:
        if side not in self._engines:
            self._engines[side] = _engine(side, *self._sessions)
        return self._engines[side]

    @cached_property
    def _sessions(self) -> tuple[onnxruntime.InferenceSession, onnxruntime.InferenceSession]:
        weights.require("eye")
        return _session(DETECTION), _session(RECOGNITION)


@cache
def shared() -> Reader:
    """Return the process's reader. It loads its model at the first picture."""
    return Reader()


def _engine(side: int, detection: onnxruntime.InferenceSession, recognition: onnxruntime.InferenceSession) -> RapidOCR:
    from omegaconf import OmegaConf
    from rapidocr import RapidOCR

    engine = RapidOCR(params={**OPTIONS, "Det.limit_side_len": side})
    # With these sessions RapidOCR does not look for its own model files and never downloads one.
    engine.cfg = OmegaConf.create(engine.cfg, flags={"allow_objects": True})
    engine.cfg.Det.session = detection
    engine.cfg.Rec.session = recognition
    return engine


def _detected(engine: RapidOCR, pixels: NDArray[np.uint8]) -> list[_Piece]:
    from rapidocr.main import RapidOCRError

    try:
        pieces, detected = engine.detect_and_crop(pixels, {})
    except RapidOCRError:
        # RapidOCR raises this when there is no text.
        return []
    return [] if detected.boxes is None else list(zip(pieces, detected.boxes, strict=True))


def _give_back() -> None:
    """Return freed memory to the system if the C library is glibc, because a dense page leaves 300 MB.

    Source: https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    """
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _session(model: Weights) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = THREADS
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(model.verified()), options, providers=["CPUExecutionProvider"])


def _cut(pixels: NDArray[np.uint8], step: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Cut into parts of at most ``step`` rows where there is the least contrast, so that no line of text is cut."""
    top, bottom = 0, pixels.shape[0]
    while bottom - top > step:
        low = top + step * 3 // 4
        cut = low + int(pixels[low : top + step].std(axis=(1, 2)).argmin())
        yield top, pixels[top:cut]
        top = cut
    yield top, pixels[top:]


def _arranged(lines: list[_Line]) -> str:
    """Put pieces that are side by side on one line, with a wider gap between columns."""
    rows: list[list[_Line]] = []
    for line in sorted(lines, key=lambda line: line.top + line.bottom):
        middle = (line.top + line.bottom) / 2
        if rows and rows[-1][0].top < middle < rows[-1][0].bottom:
            rows[-1].append(line)
        else:
            rows.append([line])
    return "\n".join(_row(sorted(row)) for row in rows)


def _row(row: list[_Line]) -> str:
    text = row[0].text
    for before, line in pairwise(row):
        apart = line.left - before.right > line.bottom - line.top
        text += ("   " if apart else " ") + line.text
    return text
