"""The Discord emulator's journal, its faults, and waiting for either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec

Kind = Literal["status", "rate_limit", "shared", "global", "cloudflare", "hang", "drop"]


class Fault(msgspec.Struct):
    """A fault waiting for requests. ``route`` is ``METHOD /template``, ``WS /gw`` for gateway connections, or ``*``."""

    route: str = "*"
    kind: Kind = "status"
    times: int = 1
    """How many requests it meets; 0 means until cleared."""
    status: int = 500
    retry_after: float = 0.2
    """Seconds, of the rate limits."""
    stored: bool = False
    """True: the work is done but its answer is lost, so that the client cannot know."""
    token: str = ""
    """Only this bot's requests, when given."""


class Request(msgspec.Struct):
    """One REST or CDN request; header names are lower case."""

    method: str
    route: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    """Any: the JSON document, also the one inside a form; null for none."""
    files: list[str]
    status: int = 0
    """0 until answered, and for ever if it was dropped."""
    at: float = 0.0


class Frame(msgspec.Struct):
    """One gateway frame; ``way`` is seen from the bot."""

    way: Literal["sent", "received"]
    token: str
    session: str
    op: int
    t: str | None
    s: int | None
    d: Any
    """Any: whatever JSON the opcode carries."""
    at: float = 0.0


class Journal:
    """Requests, frames and faults; touched only on the emulator's loop."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.frames: list[Frame] = []
        self.faults: list[Fault] = []
        self.released = asyncio.Event()
        """Set for the requests that hang now; later ones get another event."""
        self._changed = asyncio.Event()

    def add(self, entry: Request | Frame) -> None:
        entry.at = time.time()
        if isinstance(entry, Request):
            self.requests.append(entry)
        else:
            self.frames.append(entry)
        self.ring()

    def ring(self) -> None:
        """Report a change and wake all waiters."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait for a condition; raises TimeoutError that says what was missing."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"not within {timeout:g} s: {what}") from None

    def take(self, route: str, token: str) -> Fault | None:
        """Return the first fault that meets this route, and count it down."""
        for fault in self.faults:
            if fault.route in ("*", route) and fault.token in ("", token):
                if fault.times:
                    fault.times -= 1
                    if not fault.times:
                        self.faults.remove(fault)
                self.ring()
                return fault
        return None

    def release(self) -> None:
        """Let hanging requests go on."""
        self.released.set()
        self.released = asyncio.Event()
