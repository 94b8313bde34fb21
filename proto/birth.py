"""What a new process is told before it can speak on the link, and what the zygote says of it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

Role = Literal["persona", "probe", "organ_host", "feeder"]

MAX_BIRTH: Final = 16 * 1024
"""Bytes of one message on the zygote's control socket."""


class Birth(msgspec.Struct, tag="birth"):
    """Asks for one process. No secret stands here: the persona comes in the link's first frame."""

    request: int
    role: Role
    title: str
    endpoint: str
    routing_id: bytes
    heartbeat: float
    """Seconds between two heartbeats."""


class Warm(msgspec.Struct, tag="warm"):
    """The zygote is ready to fork; ``failed`` names the modules that it could not preload, with the reason."""

    failed: dict[str, str]


class Born(msgspec.Struct, tag="born"):
    """The process exists; its pidfd travels beside this message."""

    request: int
    pid: int


class Stillborn(msgspec.Struct, tag="stillborn"):
    """The process could not be made."""

    request: int
    reason: str


FromZygote: TypeAlias = Warm | Born | Stillborn
