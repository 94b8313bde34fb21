"""The walls of a process: what it may still reach once the kernel has closed the rest."""

from __future__ import annotations

import msgspec


class Walls(msgspec.Struct, frozen=True):
    """What one process needs beyond its own code and the system's public files. Paths are absolute.

    ``write`` are folders that it fills with files, ``read`` are files and folders that it reads, and ``closed`` are
    secrets: no folder that it may read contains one of them. ``personas`` is the folder of all personas, of which the
    organ host gets the parts that hold what was sent. ``scratch`` is a folder for passing files and for the listener
    that llama.cpp always opens. ``ports`` are the TCP ports that it may connect to, None for no network at all.
    ``memory`` is its ceiling in bytes, 0 for none.
    """

    write: list[str] = []
    read: list[str] = []
    closed: list[str] = []
    personas: str = ""
    scratch: str = ""
    ports: list[int] | None = None
    memory: int = 0
