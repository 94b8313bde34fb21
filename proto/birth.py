"""The messages that pass between the daemon and the zygote before a new process has its link."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from proto.walls import Walls

Role = Literal["persona", "probe", "organ_host", "feeder"]

MAX_BIRTH: Final = 16 * 1024
"""Bytes of one message on the zygote's control socket."""


class Birth(msgspec.Struct, tag="birth"):
    """Ask for one process. It carries no secret: the persona comes in the link's first frame."""

    request: int
    role: Role
    title: str
    endpoint: str
    routing_id: bytes
    heartbeat: float
    """Seconds between heartbeats."""
    walls: Walls
    """What the process may still reach."""


class Warm(msgspec.Struct, tag="warm"):
    """The zygote is ready to fork.

    ``failed`` maps each module that it could not preload to the reason; ``lacking`` says what the kernel's walls around
    the processes cannot hold.
    """

    failed: dict[str, str]
    lacking: list[str] = []


class Born(msgspec.Struct, tag="born"):
    """The process exists. Its pidfd comes with this message (SCM_RIGHTS, https://man7.org/linux/man-pages/man7/unix.7.html)."""

    request: int
    pid: int


class Stillborn(msgspec.Struct, tag="stillborn"):
    """The process could not be created."""

    request: int
    reason: str


FromZygote: TypeAlias = Warm | Born | Stillborn
