"""Follows edits by hand: as the kernel reports them, or by looking again and again where it does not.

The kernel bounds the watches and the watching instances of each user
(https://man7.org/linux/man-pages/man7/inotify.7.html), and other programs of that user take them as well. At the limit
the watch does not begin, or a new persona's folder is silently left out of it. Then all records and memories are read
again every few seconds, and ``fault`` says what to do. (The polling of ``watchfiles`` compares whole seconds: it misses
the second of two edits within one.)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

import watchfiles

from daemon.logging.log import Log
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from proto.records import Persona

DEBOUNCE_MS: Final = 200
QUIET_MS: Final = 5000
"""After so long without a change the watch is looked after."""
POLL: Final = 5.0
"""Seconds that an edit may go unseen without the kernel's watch."""
POLLS: Final = 12
"""How often the files are read until the kernel is asked again for a watch."""

_ADVICE: Final = (
    ("watch limit", "raise it with `sysctl fs.inotify.max_user_watches=524288`"),
    ("too many open files", "raise it with `sysctl fs.inotify.max_user_instances=1024`"),
)
_FOR_GOOD: Final = ", and for good with the same line in a file under /etc/sysctl.d"


class WatchFailed(RuntimeError):
    """The kernel does not report edits at the moment; the text says why."""


class EditWatch:
    """Hands the edits to ``personas``, and ``edited`` gets each changed record.

    ``followers`` get the ids of those in whose folder of that name something changed.
    """

    def __init__(
        self,
        personas: Personas,
        edited: Callable[[Persona], Awaitable[None]],
        followers: Mapping[str, Callable[[str], Awaitable[None]]],
        root: Path,
        clock: Clock,
        log: Log,
    ) -> None:
        self._personas = personas
        self._edited = edited
        self._followers = followers
        self._root = root
        self._clock = clock
        self._log = log
        self.fault = ""
        """Why edits are seen late, and what to do; empty while the kernel reports them."""

    async def run(self) -> None:
        """Follow edits until cancelled."""
        missed = False
        while True:
            try:
                await self._follow(missed)
            except WatchFailed as error:
                self._failed(f"edits by hand are noticed only after {POLL:.0f} seconds: {_words(error)}")
            missed = True
            for _ in range(POLLS):
                await self._take_all()
                await self._clock.sleep(POLL)

    async def _follow(self, missed: bool) -> None:
        """Follow what the kernel reports; what was ``missed`` before is read once it does. Raises WatchFailed."""
        async with aclosing(self._changes()) as changes:
            async for paths in changes:
                self.fault = ""
                if missed:
                    await self._take_all()
                    missed = False
                elif paths:
                    await self._take(paths)
                else:
                    await self._probe()

    async def _take(self, paths: set[Path]) -> None:
        await self._personas.take_edits(paths, self._edited)
        await self._tell(paths)

    async def _take_all(self) -> None:
        await self._personas.take_all_edits(self._edited)
        await self._tell({self._personas.folder(persona.id) for persona in self._personas.all()})

    async def _tell(self, paths: set[Path]) -> None:
        for folder, follow in self._followers.items():
            for persona_id in self._touched(paths, folder):
                await follow(persona_id)

    def _touched(self, paths: set[Path], folder: str) -> set[str]:
        """The personas in whose ``folder`` something changed. Of a new folder only the folder itself is reported."""
        parts = [path.relative_to(self._root).parts for path in paths]
        return {part[0] for part in parts if part and not part[0].startswith(".") and part[1:2] in ((), (folder,))}

    def _failed(self, fault: str) -> None:
        if fault != self.fault:
            self.fault = fault
            self._log.error("personas.watch_failed", reason=fault)

    async def _changes(self) -> AsyncGenerator[set[Path], None]:
        """What changed on the disk, and nothing after each quiet time.

        Only the watch's own errors become WatchFailed, not those in handling a change.
        """
        try:
            watch = watchfiles.awatch(
                self._root,
                debounce=DEBOUNCE_MS,
                step=DEBOUNCE_MS // 4,
                rust_timeout=QUIET_MS,
                yield_on_timeout=True,
                ignore_permission_denied=True,
            )
            async with aclosing(watch) as found:
                async for changes in found:
                    yield {Path(path) for _, path in changes}
        except (OSError, RuntimeError) as error:
            raise WatchFailed(str(error)) from error

    async def _probe(self) -> None:
        """Raise WatchFailed when the kernel would not watch another folder: nobody is told of one that it left out."""
        try:
            await asyncio.to_thread(_watch_one_more, self._root)
        except OSError as error:
            raise WatchFailed(str(error)) from error
        except RuntimeError:
            # No further instance, and none is needed: the one that there is goes on.
            pass


def _watch_one_more(folder: Path) -> None:
    for _ in watchfiles.watch(
        folder, recursive=False, force_polling=False, debounce=1, step=1, rust_timeout=1, yield_on_timeout=True
    ):
        return


def _words(error: WatchFailed) -> str:
    """The reason, without what the library adds to it, and what to do."""
    text = str(error)
    advice = next((advice + _FOR_GOOD for needle, advice in _ADVICE if needle in text.lower()), "")
    reason = text.partition(". about [")[0]
    return f"{reason}; {advice}" if advice else reason
