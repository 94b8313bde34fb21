"""Raises the walls around this process, before it has a thread or has read anything, and says what a kernel lacks."""

from __future__ import annotations

import resource
import socket
from functools import cache

from proto.walls import Walls
from worker.walls import filter as calls_filter
from worker.walls import grounds, landlock
from worker.walls.calls import Processor, processor
from worker.walls.filter import Filter
from worker.walls.kernel import give_up_privileges

DNS_PORT = 53


def raise_walls(walls: Walls, abi: int | None = None) -> None:
    """Close everything except what ``walls`` names. ``abi`` limits what is asked of Landlock, as an older kernel would.

    What the kernel does not have is left out; ``lacking`` names it. Raises OSError when it refuses a wall that it has.
    """
    own = landlock.version()
    abi = own if abi is None else min(abi, own)
    limit_memory(walls.memory)
    give_up_privileges()
    write = [*walls.write, *(grounds.parts_of_personas(walls.personas) if walls.personas else ())]
    if walls.scratch:
        grounds.clear(walls.scratch)
    if abi:
        ports = () if walls.ports is None else {DNS_PORT, *walls.ports}
        readable = [*grounds.readable(walls.closed), *walls.read]
        landlock.enclose(abi, readable, [*write, "/dev/null"], walls.scratch, ports)
    machine = processor()
    if machine and calls_filter.available(machine):
        calls_filter.install(
            machine, first_filter(machine, internet=walls.ports is not None, listens=bool(walls.scratch))
        )


def close_local_sockets(walls: Walls) -> None:
    """Once the link stands, no other Unix socket is needed: those of other services of this user stay out of reach.

    Raises OSError.
    """
    machine = processor()
    if machine and calls_filter.available(machine):
        calls_filter.install(
            machine, later_filter(machine, internet=walls.ports is not None, listens=bool(walls.scratch))
        )


@cache
def first_filter(machine: Processor, *, internet: bool, listens: bool) -> Filter:
    """The filter of a process that still has its link to make."""
    families = (socket.AF_UNIX, *(calls_filter.INTERNET if internet else ()))
    return calls_filter.made_of(calls_filter.program(machine, families, listens=listens))


@cache
def later_filter(machine: Processor, *, internet: bool, listens: bool) -> Filter:
    """The filter of a process whose link stands."""
    if listens:
        return calls_filter.made_of(calls_filter.listening_only(machine))
    return calls_filter.made_of(calls_filter.sockets_only(machine, calls_filter.INTERNET if internet else ()))


def prepare() -> list[str]:
    """Make in advance what is the same for every process that is forked from this one; return what the kernel lacks."""
    grounds.roots()
    if machine := processor():
        for internet in (False, True):
            first_filter(machine, internet=internet, listens=False)
            later_filter(machine, internet=internet, listens=False)
    return lacking_here()


def limit_memory(ceiling: int) -> None:
    """Leave no core file, and bound the data of this process at twice its ceiling.

    The daemon watches the ceiling itself at each heartbeat. This bound stops a process that grows
    faster than the daemon looks. It is wider because the kernel counts stacks and arenas here that nobody has touched
    (RLIMIT_DATA in https://man7.org/linux/man-pages/man2/getrlimit.2.html).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ceiling:
        resource.setrlimit(resource.RLIMIT_DATA, (2 * ceiling, 2 * ceiling))


def lacking(abi: int, *, filters: bool) -> list[str]:
    """What these walls cannot hold on such a kernel, a sentence each, with what to do about it."""
    missing = []
    if not abi:
        missing.append(
            "no Landlock: a worker that is taken over can read and write what the daemon's user can, other personas' "
            "keys too; use Linux 5.13 or newer with landlock in its lsm= list"
        )
    elif abi < landlock.PORTS_SINCE:
        missing.append(
            "no Landlock for ports (Linux 6.7): a worker that is taken over can connect to any port, this daemon's API "
            "too; set http.token_file"
        )
    if not filters:
        missing.append(
            "no seccomp filters: a worker that is taken over can start programs"
            + ("" if abi >= landlock.SCOPES_SINCE else " and signal the daemon")
            + "; use a kernel with CONFIG_SECCOMP_FILTER on x86-64 or 64-bit ARM"
        )
    return missing


def lacking_here() -> list[str]:
    """What this kernel lacks."""
    return lacking(landlock.version(), filters=calls_filter.available(processor()))
