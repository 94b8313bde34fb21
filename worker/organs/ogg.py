"""Joins recordings in Ogg with Opus into one: the packets of all in one stream, without decoding them.

The container: https://www.rfc-editor.org/rfc/rfc3533. Opus in it: https://www.rfc-editor.org/rfc/rfc7845.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

PACKETS: Final = 50
"""Packets in a page: a second of 20 ms each."""

_MAGIC: Final = b"OggS"
_HEADER: Final = struct.Struct("<4sBBqIIIB")
_CRC_AT: Final = 22
_BEGINS: Final = 2
_ENDS: Final = 4
_HEAD_BYTES: Final = 19

_FRAMES: Final = (480, 960, 1920, 2880)
_HYBRID_FRAMES: Final = (480, 960)
_CELT_FRAMES: Final = (120, 240, 480, 960)
"""Samples of one frame at 48 kHz by a packet's configuration (RFC 6716, section 3.1)."""


class _Recording(NamedTuple):
    """One recording; ``end`` is the last page's granule position, in samples."""

    head: bytes
    tags: bytes
    packets: list[bytes]
    end: int


def joined(recordings: Sequence[bytes]) -> bytes:
    """Return one recording of all, in this order. Raises ValueError when they cannot be joined."""
    if len(recordings) == 1:
        return recordings[0]
    read = [_read(one) for one in recordings]
    # Channels, and how they are coded.
    if len({(one.head[9], one.head[18:]) for one in read}) != 1:
        raise ValueError("the recordings differ in their channels")
    packets = [packet for one in read for packet in one.packets]
    lengths = [_samples(packet) for packet in packets]
    last = read[-1]
    # The end of the last packet may be no sound any more.
    surplus = max(0, sum(map(_samples, last.packets)) - last.end)
    return b"".join(_pages(read[0], packets, lengths, surplus))


def _pages(first: _Recording, packets: list[bytes], lengths: list[int], surplus: int) -> Iterator[bytes]:
    yield _page([first.head], 0, 0, _BEGINS)
    yield _page([first.tags], 0, 1, 0)
    at, number, begun = 0, 2, 0
    while begun < len(packets):
        end, segments = begun, 0
        while end < len(packets) and end - begun < PACKETS and segments + len(packets[end]) // 255 + 1 <= 255:
            segments += len(packets[end]) // 255 + 1
            at += lengths[end]
            end += 1
        if end == begun:
            raise ValueError("a packet is too long")
        is_last = end == len(packets)
        yield _page(packets[begun:end], at - surplus * is_last, number, _ENDS * is_last)
        number, begun = number + 1, end


def _page(packets: list[bytes], granule: int, number: int, flags: int) -> bytes:
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
    header = _HEADER.pack(_MAGIC, 0, flags, granule, 1, number, 0, len(lacing))
    page = bytearray(header + lacing + b"".join(packets))
    page[_CRC_AT : _CRC_AT + 4] = struct.pack("<I", _checksum(page))
    return bytes(page)


def _read(data: bytes) -> _Recording:
    """Raises ValueError when this is no such recording."""
    packets, part, end, at = list[bytes](), b"", 0, 0
    while at < len(data):
        if len(data) - at < _HEADER.size:
            raise ValueError("a page is cut off")
        magic, _, _, granule, _, _, _, count = _HEADER.unpack_from(data, at)
        lacing = data[at + _HEADER.size : at + _HEADER.size + count]
        at += _HEADER.size + count
        if magic != _MAGIC or len(lacing) < count or at + sum(lacing) > len(data):
            raise ValueError("this is no Ogg page")
        for size in lacing:
            part += data[at : at + size]
            at += size
            if size < 255:
                packets.append(part)
                part = b""
        end = max(end, granule)
    if len(packets) < 3 or not packets[0].startswith(b"OpusHead") or len(packets[0]) < _HEAD_BYTES or b"" in packets:
        raise ValueError("this is not Opus")
    return _Recording(packets[0], packets[1], packets[2:], end)


def _samples(packet: bytes) -> int:
    """Return how long a packet is, in samples at 48 kHz. Raises ValueError for one that is cut off."""
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        frame = _FRAMES[configuration & 3]
    elif configuration < 16:
        frame = _HYBRID_FRAMES[configuration & 1]
    else:
        frame = _CELT_FRAMES[configuration & 3]
    if code == 3 and len(packet) < 2:
        raise ValueError("a packet is cut off")
    return frame * (1 if code == 0 else 2 if code < 3 else packet[1] & 0x3F)


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x8000_0000 else 0)
        table.append(value & 0xFFFF_FFFF)
    return table


_TABLE: Final = _table()


def _checksum(page: bytes | bytearray) -> int:
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFF_FFFF) ^ _TABLE[(value >> 24) ^ byte]
    return value
