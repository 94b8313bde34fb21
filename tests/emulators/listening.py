"""Stopping a listener without losing a connection that is just being accepted."""

from __future__ import annotations

import asyncio
from typing import Final

TURNS: Final = ("accepted", "transport made", "protocol told")
"""What takes a turn of the loop each, from a connection in the backlog to a protocol that can be told to close it."""


async def stop_accepting(listener: asyncio.Server) -> None:
    """Close a listener. asyncio alone would leak connections that it has accepted but not yet handed over."""
    for listening in listener.sockets:
        asyncio.get_running_loop().remove_reader(listening.fileno())
    for _ in TURNS:
        await asyncio.sleep(0)
    listener.close()
