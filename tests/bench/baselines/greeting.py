"""A process that only says hello over ZeroMQ from an event loop, as every worker must."""

from __future__ import annotations

import asyncio
import os

import zmq
import zmq.asyncio


def greet(endpoint: str) -> None:
    """Say hello with this process's pid, and wait for the goodbye."""
    asyncio.run(_greet(endpoint))


async def _greet(endpoint: str) -> None:
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(endpoint)
    await socket.send(str(os.getpid()).encode())
    await socket.recv()
    socket.close()
    context.term()
