"""Work that her person may stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Hushing(Generic[T]):
    """Runs one piece of work until it is done or hushed."""

    def __init__(self) -> None:
        self._is_hushed = False
        self._task: asyncio.Task[T] | None = None

    def hush(self) -> None:
        """Stop the work, also before it has begun. Work that is done stays done."""
        self._is_hushed = True
        if self._task:
            self._task.cancel()

    async def run(self, work: Coroutine[Any, Any, T]) -> T | None:  # Any: what a coroutine is sent and yields
        """Return what the work returns, or None when it was hushed or cancelled. Raises what it raises."""
        if self._is_hushed:
            work.close()
            return None
        self._task = asyncio.get_running_loop().create_task(work)
        try:
            await asyncio.wait({self._task})
            return None if self._task.cancelled() else self._task.result()
        finally:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
