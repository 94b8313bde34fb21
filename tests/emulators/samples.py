"""Tiny real files, as providers return them."""

from __future__ import annotations

import base64
import struct
from typing import Final

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""One red pixel."""

_POLYNOMIAL: Final = 0x04C11DB7
_SILENCE: Final = b"\xf8\xff\xfe"
"""An Opus packet of 20 ms (RFC 6716: CELT, full band, mono, one frame of silence)."""


def ogg() -> bytes:
    """Return 20 ms of silence in OGG/Opus (RFC 7845)."""
    head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 0, 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 4) + b"test" + struct.pack("<I", 0)
    return b"".join((_page(0, 2, 0, head), _page(1, 0, 0, tags), _page(2, 4, 960, _SILENCE)))


def _page(number: int, flags: int, granule: int, packet: bytes) -> bytes:
    """One Ogg page with one packet of at most 254 bytes (RFC 3533)."""
    head = b"OggS" + struct.pack("<BBqIII", 0, flags, granule, 7, number, 0) + bytes((1, len(packet)))
    page = bytearray(head + packet)
    page[22:26] = struct.pack("<I", _checksum(bytes(page)))
    return bytes(page)


def _checksum(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (_POLYNOMIAL if value & 0x8000_0000 else 0)
            value &= 0xFFFF_FFFF
    return value
