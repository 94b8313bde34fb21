"""Seccomp filters: which system calls a process can still make (https://man7.org/linux/man-pages/man2/seccomp.2.html).

A filter is a small program for the kernel's classic BPF machine
(https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from worker.walls.calls import (
    ABSENT,
    CONNECT,
    FORBIDDEN,
    LISTENING,
    LOOKED_INTO,
    NONE,
    SECCOMP,
    UNKNOWN_FROM,
    Processor,
)
from worker.walls.kernel import call

LOAD: Final = 0x20
EQUAL: Final = 0x15
AT_LEAST: Final = 0x35
ANY_BIT: Final = 0x45
RETURN: Final = 0x06

KILL: Final = 0x8000_0000
ALLOW: Final = 0x7FFF_0000
ERROR: Final = 0x0005_0000

NUMBER_AT: Final = 0
PROCESSOR_AT: Final = 4
ARGUMENTS_AT: Final = 16

CLONE_THREAD: Final = 0x0001_0000
F_SETOWN: Final = 8
F_SETSIG: Final = 10
F_SETOWN_EX: Final = 15
FIOSETOWN: Final = 0x8901
SIOCSPGRP: Final = 0x8902
TIOCSTI: Final = 0x5412

SET_FILTER: Final = 1
ALL_THREADS: Final = 1
SECCOMP_AVAILABLE: Final = 2
"""SECCOMP_GET_ACTION_AVAIL (Linux 4.14)."""

Instruction = tuple[int, int, int, int]
"""An operation, how far to jump if it holds and if it does not, and its operand."""

_INSTRUCTION: Final = struct.Struct("=HBBI")
_OPERAND_AT: Final = 4

ME: Final = 0x7FFF_FFFF
"""Stands for the pid of the process that installs the filter. No process has it: Linux has at most 2**22."""

INTERNET: Final = (socket.AF_INET, socket.AF_INET6)


def available(machine: Processor | None) -> bool:
    """Whether the kernel filters system calls, and their numbers are known here."""
    if machine is None:
        return False
    try:
        call(SECCOMP[machine.column], SECCOMP_AVAILABLE, 0, _buffer(struct.pack("I", ERROR)))
    except OSError:
        return False
    return True


class Filter(NamedTuple):
    """A filter that is made before the process exists that it is for: ``mine`` are the places of its pid."""

    code: bytes
    mine: tuple[int, ...] = ()

    def length(self) -> int:
        """The number of instructions."""
        return len(self.code) // _INSTRUCTION.size


def made_of(instructions: Iterable[Instruction]) -> Filter:
    """Pack instructions; where one compares with ``ME``, the pid is filled in when the filter is installed."""
    listed = list(instructions)
    mine = (number * _INSTRUCTION.size + _OPERAND_AT for number, one in enumerate(listed) if one[3] == ME)
    return Filter(b"".join(_INSTRUCTION.pack(*one) for one in listed), tuple(mine))


def program(machine: Processor, families: Iterable[int], *, listens: bool = False, me: int = ME) -> list[Instruction]:
    """A process's filter. It may open sockets of these families, and signal itself and its own group only."""
    column = machine.column
    calls = {name: numbers[column] for name, numbers in LOOKED_INTO.items()}
    made: list[Instruction] = [*_of_this_processor(machine), (AT_LEAST, 0, 1, UNKNOWN_FROM), _error(errno.ENOSYS)]
    for numbers in (*FORBIDDEN.values(), *(() if listens else LISTENING.values())):
        made += _refuse(numbers[column], errno.EPERM)
    for numbers in ABSENT.values():
        made += _refuse(numbers[column], errno.ENOSYS)
    # 0 is the process itself or its own group, wherever a process can be named.
    mine = (0, me)
    made += _only(calls["kill"], 0, mine)
    made += _only(calls["tgkill"], 0, (me,))
    made += _only(calls["prlimit64"], 0, mine)
    made += _only(calls["setpriority"], 1, (0,))
    made += _only(calls["ioprio_set"], 1, (0,))
    made += _only(calls["sched_setaffinity"], 0, mine)
    # ZeroMQ gives each of its threads the priority that it has already.
    made += _only(calls["sched_setscheduler"], 1, (os.SCHED_OTHER,))
    made += _only(calls["socket"], 0, families)
    # A descriptor's owner gets a signal of choice when something can be read.
    made += _never(calls["fcntl"], 1, (F_SETOWN, F_SETSIG, F_SETOWN_EX))
    made += _never(calls["ioctl"], 1, (FIOSETOWN, SIOCSPGRP, TIOCSTI))
    made += [
        (EQUAL, 0, 4, calls["clone"]),
        (LOAD, 0, 0, ARGUMENTS_AT),
        (ANY_BIT, 0, 1, CLONE_THREAD),
        _allow(),
        _error(errno.EPERM),
    ]
    return [*made, _allow()]


def sockets_only(machine: Processor, families: Iterable[int]) -> list[Instruction]:
    """A later filter that leaves fewer families of sockets."""
    number = LOOKED_INTO["socket"][machine.column]
    return [*_of_this_processor(machine), *_only(number, 0, families), _allow()]


def listening_only(machine: Processor) -> list[Instruction]:
    """A later filter for a process that listens and connects to nobody: a stream cannot reach anybody unconnected."""
    number = LOOKED_INTO["socket"][machine.column]
    flags = (0, socket.SOCK_CLOEXEC, socket.SOCK_NONBLOCK, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    streams = [socket.SOCK_STREAM | flag for flag in flags]
    refused = _refuse(CONNECT[machine.column], errno.EPERM)
    return [*_of_this_processor(machine), *refused, *_only(number, 1, streams), _allow()]


def install(machine: Processor, made: Filter) -> None:
    """Put the filter onto every thread of this process, for good. Raises OSError."""
    held = _buffer(made.code)
    for place in made.mine:
        struct.pack_into("=I", held, place, os.getpid())
    # struct sock_fprog: a count, then a pointer at its natural alignment.
    handle = struct.pack("@HP", made.length(), ctypes.addressof(held))
    call(SECCOMP[machine.column], SET_FILTER, ALL_THREADS, _buffer(handle))


def _of_this_processor(machine: Processor) -> Iterator[Instruction]:
    """End a process that makes calls of another processor's kind; then load the call's number."""
    yield (LOAD, 0, 0, PROCESSOR_AT)
    yield (EQUAL, 1, 0, machine.audit)
    yield (RETURN, 0, 0, KILL)
    yield (LOAD, 0, 0, NUMBER_AT)


def _refuse(number: int, code: int) -> list[Instruction]:
    return [(EQUAL, 0, 1, number), _error(code)] if number != NONE else []


def _only(number: int, argument: int, values: Iterable[int]) -> list[Instruction]:
    """Allow the call only if this argument has one of these values. The kernel takes its low 32 bits, as here."""
    compared = [step for value in values for step in ((EQUAL, 0, 1, value), _allow())]
    body = [(LOAD, 0, 0, ARGUMENTS_AT + 8 * argument), *compared, _error(errno.EPERM)]
    return [(EQUAL, 0, len(body), number), *body]


def _never(number: int, argument: int, values: Iterable[int]) -> list[Instruction]:
    compared = [step for value in values for step in ((EQUAL, 0, 1, value), _error(errno.EPERM))]
    body = [(LOAD, 0, 0, ARGUMENTS_AT + 8 * argument), *compared, _allow()]
    return [(EQUAL, 0, len(body), number), *body]


def _allow() -> Instruction:
    return (RETURN, 0, 0, ALLOW)


def _error(code: int) -> Instruction:
    return (RETURN, 0, 0, ERROR | code)


def _buffer(data: bytes) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(data, len(data))
