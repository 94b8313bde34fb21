"""Files that people send: documents, pictures and sounds are read, or refused with a HostFault that says why."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from tests.fuzz.strategies import DEEP, SECRET, bent, caught, documents, json_values, outcome, words, written
from tests.worker.embedded.papers import form, pdf
from worker.embedded import audio
from worker.embedded.documents import Findings
from worker.embedded.eye import Eye
from worker.embedded.fault import HostFault
from worker.embedded.library import READERS
from worker.organs.made import extension_of
from worker.organs.picture_privacy import UnclearError, bare


def pieces(ending: str, data: bytes) -> list[str]:
    """What a reader makes of a file, as the library stores it."""
    with tempfile.NamedTemporaryFile(suffix=ending) as file:
        file.write(data)
        file.flush()
        findings = Findings()
        found: list[str] = []

        def reading() -> None:
            found.extend(piece.text for piece in READERS[ending](Path(file.name), findings))

        said = outcome(reading, HostFault)
    assert said or findings.extent
    assert len(said) < 500
    assert all(len(note) < 500 for note in findings.notes)
    return found


_texts = st.one_of(
    words.map(lambda text: text.encode("utf-8", "surrogatepass")),
    words.map(lambda text: text.encode("utf-16", "surrogatepass")),
    words.map(lambda text: text.encode("cp1251", "replace")),
    st.binary(max_size=200),
    st.lists(words, max_size=8).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")),
)
_tables = st.tuples(
    st.lists(st.lists(words, max_size=4), max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["", "sep=;\n"]),
).map(lambda one: (one[2] + "\n".join(one[1].join(row) for row in one[0])).encode("utf-8", "surrogatepass"))


@given(st.sampled_from([".txt", ".md", ".csv", ".json"]), _texts | _tables | documents)
@example(".csv", b"sep=\r\n")
@example(".csv", b'sep="\na"b\n')
@example(".csv", b"sep=\n\n1")
@example(".csv", b'"' + b"a,\n" * 50_000)
@example(".csv", b"sep=\xff;\n")
@example(".json", b'{"a":' * DEEP)
@example(".json", b"[" * 900 + b"]" * 900)
@example(".json", b"9" * 5000)
@example(".json", b'{"\\ud83d": "\\ud83d"}')
@example(".json", b"\xff\xfe")
@example(".txt", b"\xff\xfe\x00")
@example(".md", b"#" * 5000 + b" x")
def test_texts(ending: str, data: bytes) -> None:
    """Any bytes behind any ending: pieces whose text can be stored, or a fault."""
    for text in pieces(ending, data):
        text.encode("utf-8", "surrogatepass")


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=20), min_size=1, max_size=8
    )
)
def test_no_line_is_lost(lines: list[str]) -> None:
    """Every line of a text in UTF-8 comes out."""
    assert pieces(".txt", "\n".join(lines).encode()) == lines


@given(json_values)
def test_no_value_is_lost(value: object) -> None:
    """Every text in a JSON file comes out."""
    found = "\n".join(pieces(".json", written({"key": value})))
    for text in _strings(value):
        assert not text.isalnum() or text in found or json.dumps(text) in found or len(text) > 60


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in _strings(one)]
    return [text for one in value.values() for text in _strings(one)] if isinstance(value, dict) else []


@given(bent(st.sampled_from([pdf([["Hello", "World"]]), pdf([[]]), form("a", "b")])))
@example(b"%PDF-1.7\n%%EOF")
@example(b"")
def test_portable_documents(data: bytes) -> None:
    """A PDF, whole or bent."""
    pieces(".pdf", data)


# Pictures

FORMATS: Final = ("PNG", "JPEG", "GIF", "WEBP")


def picture(kind: str, **options: object) -> bytes:
    """A small picture."""
    image = Image.new("RGB", (9, 7), (200, 30, 30))
    image.putpixel((3, 3), (0, 200, 0))
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def camera(kind: str) -> bytes:
    """A picture in which its camera and its programs wrote something down."""
    if kind == "GIF":
        return picture(kind, comment=SECRET.encode())
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = SECRET, 6
    data = picture(kind, exif=exif, comment=SECRET.encode())
    if kind == "PNG":
        chunk = b"tEXtComment\0" + SECRET.encode()
        data = data[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]
    return data


def test_nothing_of_a_camera_leaves() -> None:
    """The words are in the file, and in none that is sent; the pixels are the same."""
    for kind in FORMATS:
        data = camera(kind)
        assert SECRET.encode() in data
        sent = bare(data)
        assert SECRET.encode() not in sent
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), np.asarray(Image.open(io.BytesIO(sent))))


pictures = bent(st.sampled_from([make(kind) for kind in FORMATS for make in (picture, camera)]))


@given(pictures | st.binary(max_size=60))
@example(b"GIF89a" + b"\0" * 7 + b"\x21")
@example(b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0")
@example(b"RIFF\0\0\0\0WEBPVP8X\x01\0\0\0")
@example(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffIDAT")
@example(b"\xff\xd8\xff\xe1\0\0")
@example(b"\xff\xd8\xff\xe1\0\1\xff\xd9")
def test_bare_pictures(data: bytes) -> None:
    """What is left is no longer, of the same kind, and loses nothing when it is done again; or it is not clear."""
    found: list[bytes] = []
    if caught(lambda: found.append(bare(data)), UnclearError) is None:
        assert extension_of(found[0][:12]) == extension_of(data[:12])
        assert len(found[0]) <= len(data) + 64
        assert bare(found[0]) == found[0]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of damage that it reads around
@given(pictures | st.binary(max_size=60))
def test_seen_pictures(data: bytes) -> None:
    """A picture is made smaller for a remote eye, or its fault is told."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        said = outcome(lambda: Eye().shrunk(file.name), HostFault)
    assert len(said) < 500


# Sounds

SPOKEN: Final = audio.opus((np.sin(np.arange(4000) / 9) * 0.3).astype(np.float32), 16_000)


def wave(rate: int = 16_000, channels: int = 1, declared: int = 800) -> bytes:
    """A WAV file, whose header may lie."""
    data = b"\1\0" * 400
    head = struct.pack(
        "<4sIHHIIHH4sI", b"fmt ", 16, 1, channels, rate, rate * 2 % 2**32, 2 * channels % 2**16, 16, b"data", declared
    )
    return b"RIFF" + struct.pack("<I", 36 + declared) + b"WAVE" + head + data


@given(bent(st.sampled_from([SPOKEN, wave()])) | st.binary(max_size=80))
@example(wave().replace(b"\x10\0\0\0\1\0", b"\x10\0\0\0\0\0"))
@example(wave(rate=0))
@example(wave(rate=2**31))
@example(wave(channels=65_535))
@example(wave(declared=2**32 - 37))
@example(b"#EXTM3U\nhttp://127.0.0.1:1/x\n")
@example(b"ffconcat version 1.0\nfile /etc/passwd\n")
def test_sounds(data: bytes) -> None:
    """A sound, whole or bent: samples in bounds, no more than the bytes can hold, or a fault."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        heard = 0

        def hearing() -> None:
            nonlocal heard
            for samples in audio.read(file.name):
                heard += len(samples)

        said = outcome(hearing, HostFault)
    assert said or heard
    assert heard < 10_000_000
