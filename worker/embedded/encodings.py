"""How a text file's letters are written down: by its byte order mark, as UTF-8, or as its letters make likely."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.embedded.fault import HostFault

BLOCK: Final = 1 << 20
SAMPLE: Final = 1 << 16
BOMS: Final = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
CONTROLS: Final = bytes(set(range(1, 32)) - set(b"\t\n\r\f\x1b"))
MOST_CONTROLS: Final = 0.03
"""The share of control characters above which a file is not text. Compressed data has over three times as many."""

MOSTLY: Final = 2
"""A file with this many times as many valid letters beyond ASCII as broken bytes is UTF-8 that was damaged."""

HALVES: Final = 0.4
"""The share of NULs among every second byte from which on a text is UTF-16: its Latin letters have one each."""

WESTERN: Final = "cp1252"

OLDER: Final = (
    WESTERN,
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "koi8_r",
    "cp932",
    "euc_jp",
    "gb18030",
    "big5",
    "euc_kr",
)
"""The encodings of texts without a mark that people still have. More of them would make mistakes likelier."""

FEWEST: Final = 4
"""Bytes beyond ASCII. Fewer say nothing about a language, and Western European is the likeliest."""


@dataclass(frozen=True)
class Encoding:
    """Python's name of an encoding, and a sentence for the person who gets the text, "" if it is certain."""

    name: str
    note: str = ""


def encoding(path: Path) -> Encoding:
    """Return a text file's encoding; it is to be decoded with ``errors="replace"``.

    Raises HostFault when the file is not text, and OSError when it cannot be read.
    """
    with path.open("rb") as file:
        sample = file.read(SAMPLE)
        for mark, name in BOMS.items():
            if sample.startswith(mark):
                return Encoding(name)
        if len(sample) - len(sample.translate(None, CONTROLS)) > MOST_CONTROLS * len(sample):
            raise HostFault("It is no text, whatever its name says.")
        if wide := _wide(sample):
            return Encoding(wide)
        file.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        good = bad = 0
        older = b""
        while block := file.read(BLOCK):
            text = decoder.decode(block)
            broken = text.count("\ufffd")
            bad += broken
            good += len(text) - len(text.encode("ascii", "ignore")) - broken
            older = older or (_around_letters(block) if broken else b"")
    if not bad and not decoder.getstate()[0]:
        return Encoding("utf-8")
    if good > MOSTLY * bad:
        return Encoding("utf-8", "Some of its letters are damaged.")
    return _guessed(older or sample)


def _wide(sample: bytes) -> str:
    """Recognize UTF-16 without a mark by the NULs of its Latin letters and blanks."""
    half = len(sample) // 2
    first, second = sample[: 2 * half : 2].count(0), sample[1 : 2 * half : 2].count(0)
    if half and second > HALVES * half > first * 4:
        return "utf-16-le"
    if half and first > HALVES * half > second * 4:
        return "utf-16-be"
    return ""


def _around_letters(block: bytes) -> bytes:
    """Return the lines around the first letters beyond ASCII, because a long preface in ASCII says nothing."""
    at = next((at for at, byte in enumerate(block) if byte > 127), 0)
    begin = block.rfind(b"\n", 0, at) + 1
    end = block.rfind(b"\n", begin, begin + SAMPLE) + 1
    return block[begin : end if end > at else begin + SAMPLE]


def _guessed(sample: bytes) -> Encoding:
    if len(sample) - len(sample.decode("ascii", "ignore")) < FEWEST:
        return Encoding(WESTERN)
    from charset_normalizer import from_bytes

    matches = from_bytes(sample, cp_isolation=list(OLDER))
    best = matches.best()
    if best is None:
        return Encoding(WESTERN)
    as_good = (one for one in matches if one.chaos <= best.chaos and one.coherence >= best.coherence)
    if any(WESTERN in one.could_be_from_charset for one in as_good):
        return Encoding(WESTERN)
    name = best.encoding
    return Encoding(name, f"It does not say how its letters are written down; they were read as {name}.")
