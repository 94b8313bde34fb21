"""Landlock: a process gives up files, TCP ports and signals for good (https://docs.kernel.org/userspace-api/landlock.html).

Each version of the kernel's interface (ABI) can take more away: 1 files (Linux 5.13, Debian 12 has 2), 3 truncating
(6.2), 4 TCP ports (6.7), 5 ioctl on devices (6.10), 6 signals and abstract sockets (6.12, Debian 13).
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from worker.walls.kernel import call

CREATE_RULESET: Final = 444
ADD_RULE: Final = 445
RESTRICT_SELF: Final = 446
ASK_VERSION: Final = 1
RULE_PATH: Final = 1
RULE_PORT: Final = 2

WRITE_FILE: Final = 1 << 1
READ_FILE: Final = 1 << 2
READ_DIR: Final = 1 << 3
REMOVE_DIR: Final = 1 << 4
REMOVE_FILE: Final = 1 << 5
MAKE_DIR: Final = 1 << 7
MAKE_REG: Final = 1 << 8
MAKE_SOCK: Final = 1 << 9
TRUNCATE: Final = 1 << 14

FIRST_RIGHTS: Final = (1 << 13) - 1
"""The rights on files of ABI 1, from executing to making symbolic links."""
LATER_RIGHTS: Final = {2: 1 << 13, 3: TRUNCATE, 5: 1 << 15}
"""What later ABIs added: linking across folders, truncating, ioctl on devices."""
PORTS_SINCE: Final = 4
BIND_TCP: Final = 1 << 0
CONNECT_TCP: Final = 1 << 1
SCOPES_SINCE: Final = 6
SCOPES: Final = 0b11
"""Abstract Unix sockets and signals: neither reaches a process outside."""

READ: Final = READ_FILE | READ_DIR
FILL: Final = READ | WRITE_FILE | REMOVE_FILE | MAKE_REG | TRUNCATE
PLAY: Final = FILL | MAKE_DIR | REMOVE_DIR | MAKE_SOCK
ON_FILES: Final = READ_FILE | WRITE_FILE | TRUNCATE
"""The rights that a rule for a single file may name."""


def version() -> int:
    """The ABI of this kernel, 0 without Landlock."""
    try:
        return call(CREATE_RULESET, 0, 0, ASK_VERSION)
    except OSError:
        return 0


def file_rights(abi: int) -> int:
    """Every right on files that this ABI can take away."""
    return FIRST_RIGHTS | sum(right for since, right in LATER_RIGHTS.items() if abi >= since)


def enclose(abi: int, read: Iterable[str], write: Iterable[str], scratch: str, ports: Iterable[int]) -> None:
    """Take everything except these paths and ports from this thread and from what it starts. Raises OSError.

    A path that does not exist is left out: nothing can be reached by it.
    """
    handled = file_rights(abi)
    # The sizes of the structure in ABI 1, 4 and 6: an older kernel refuses a field that it does not know.
    attributes = struct.pack("Q", handled)
    if abi >= PORTS_SINCE:
        attributes += struct.pack("Q", BIND_TCP | CONNECT_TCP)
    if abi >= SCOPES_SINCE:
        attributes += struct.pack("Q", SCOPES)
    rules = call(CREATE_RULESET, _buffer(attributes), len(attributes), 0)
    try:
        for path in read:
            _allow_path(rules, path, READ & handled)
        for path in write:
            _allow_path(rules, path, FILL & handled)
        if scratch:
            _allow_path(rules, scratch, PLAY & handled)
        if abi >= PORTS_SINCE:
            for port in ports:
                call(ADD_RULE, rules, RULE_PORT, _buffer(struct.pack("QQ", CONNECT_TCP, port)), 0)
        call(RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow_path(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= ON_FILES
        call(ADD_RULE, rules, RULE_PATH, _buffer(struct.pack("=Qi", rights, place)), 0)
    finally:
        os.close(place)


def _buffer(data: bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(data, len(data))
