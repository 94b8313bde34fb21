"""A picture without what its camera and its programs wrote beside it: place, time, names, thumbnails, other files.

A remote eye gets the pixels, the colours' meaning and which side is up. Only the parts that are known to be needed
stay; a file whose parts cannot be told apart is not sent.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_PARTS: Final = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT pHYs bKGD acTL fcTL fdAT cICP".split()
)
"""https://www.w3.org/TR/png-3/#4Concepts.AncillInfo; texts, the time and Exif are left out."""

_WEBP_PARTS: Final = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF"))
"""https://developers.google.com/speed/webp/docs/riff_container"""
_WEBP_XMP: Final = 0x04
_WEBP_EXIF: Final = 0x08

_SOI, _EOI, _SOS, _COM = b"\xff\xd8", 0xD9, 0xDA, 0xFE
_STANDALONE: Final = frozenset((0x01, *range(0xD0, 0xD8)))
_APPLICATIONS: Final = range(0xE0, 0xF0)
_KEPT: Final = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
"""What applications write that a decoder needs (ITU-T T.81, B.2.4.6): size, colour profile, colour transform."""

_ORIENTATION: Final = 0x0112
_EXIF_HEAD: Final = b"Exif\0\0"

_GIF_LOOP: Final = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


class UnclearError(ValueError):
    """The picture's parts cannot be told apart."""


def bare(data: bytes) -> bytes:
    """Return a PNG, JPEG, GIF or WebP file without anything that is not the picture. Raises UnclearError."""
    try:
        if data.startswith(_PNG):
            return _png(data)
        if data.startswith(_SOI):
            return _jpeg(data)
        if data.startswith(b"GIF8"):
            return _gif(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp(data)
    except (IndexError, struct.error) as error:
        raise UnclearError from error
    raise UnclearError


def _png(data: bytes) -> bytes:
    kept = [_PNG]
    at = len(_PNG)
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise UnclearError
        if kind in _PNG_PARTS:
            kept.append(data[at:end])
        elif kind == b"eXIf" and (turn := _turn(data[at + 8 : end - 4])) != 1:
            exif = kind + _exif(turn)
            kept.append(struct.pack(">I", len(exif) - 4) + exif + struct.pack(">I", zlib.crc32(exif)))
        if kind == b"IEND":
            return b"".join(kept)
        at = end


def _jpeg(data: bytes) -> bytes:
    kept = [_SOI]
    at = 2
    while True:
        if data[at] != 0xFF:
            raise UnclearError
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == _EOI:
            # Phones put videos and further pictures behind it.
            return b"".join([*kept, data[at : at + 2]])
        if marker in _STANDALONE:
            kept.append(data[at : at + 2])
            at += 2
            continue
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        body = data[at + 4 : end]
        if marker == 0xE1 and body.startswith(_EXIF_HEAD):
            if (turn := _turn(body[len(_EXIF_HEAD) :])) != 1:
                exif = _EXIF_HEAD + _exif(turn)
                kept.append(struct.pack(">2sH", b"\xff\xe1", len(exif) + 2) + exif)
        elif marker in _APPLICATIONS:
            kept += [data[at:end]] if body.startswith(_KEPT.get(marker, b"\0\0\0")) else []
        elif marker != _COM:
            kept.append(data[at:end])
        at = end
        if marker == _SOS:
            at = _after_scan(data, end)
            kept.append(data[end:at])


def _after_scan(data: bytes, at: int) -> int:
    """Return where the next marker stands: in coded data 0xFF is followed by 0, or by a restart marker."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise UnclearError
        if data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7:
            return at
        at += 2


def _webp(data: bytes) -> bytes:
    kept: list[bytes] = []
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length + length % 2
        if at + 8 + length > len(data):
            raise UnclearError
        part = data[at:end]
        if kind == b"VP8X":
            has_turn = _webp_turn(data) != 1
            flags = part[8] & ~_WEBP_XMP & ~_WEBP_EXIF | (_WEBP_EXIF if has_turn else 0)
            part = part[:8] + bytes([flags]) + part[9:]
        elif kind == b"EXIF":
            turn = _webp_turn(data)
            exif = _exif(turn)
            part = struct.pack("<4sI", kind, len(exif)) + exif if turn != 1 else b""
        if kind in _WEBP_PARTS:
            kept.append(part)
        at = end
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_turn(data: bytes) -> int:
    at = data.find(b"EXIF", 12)
    if at < 0:
        return 1
    length = struct.unpack_from("<I", data, at + 4)[0]
    return _turn(data[at + 8 : at + 8 + length].removeprefix(_EXIF_HEAD))


def _gif(data: bytes) -> bytes:
    """Leave out comments and programs' notes (https://www.w3.org/Graphics/GIF/spec-gif89a.txt)."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    kept = [data[:at]]
    while data[at] != 0x3B:
        begin = at
        is_extension = data[at] == 0x21
        if is_extension:
            at += 2
        elif data[at] == 0x2C:
            at += 10 + (3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0) + 1
        else:
            raise UnclearError
        while data[at]:
            at += data[at] + 1
        at += 1
        is_note = is_extension and (
            data[begin + 1] == 0xFE or (data[begin + 1] == 0xFF and data[begin + 3 : begin + 14] not in _GIF_LOOP)
        )
        if not is_note:
            kept.append(data[begin:at])
    return b"".join([*kept, b"\x3b"])


def _turn(tiff: bytes) -> int:
    """Return the orientation in Exif data, 1 to 8; 1, upright, when there is none (CIPA DC-008, 4.6)."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(min(count, 200)):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * number)
            if tag == _ORIENTATION:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _exif(turn: int) -> bytes:
    """Return Exif data with the orientation and nothing else."""
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, _ORIENTATION, 3, 1, turn, 0, 0)
