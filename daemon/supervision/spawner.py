"""Starts processes: forked from the warm zygote, or by exec without one.

If the zygote has not loaded the libraries for a kind of mind, a new zygote is warmed in the background while the old
one serves. While the first zygote warms, new processes wait for it. A zygote that dies is replaced, with backoff. If
it cannot warm, processes are started by exec, which is slower and takes more memory; the log says so.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import Final

import msgspec

from daemon.logging.log import Log, worker_line
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import Tasks
from daemon.supervision.pipes import LogPipe
from daemon.supervision.processes import Process, children, end_strays, execute
from daemon.supervision.zygote import SpawnFailed, Zygote, ZygoteGone
from proto.birth import Birth, Role
from proto.walls import Walls

WARM_TIMEOUT: Final = 60.0
RETRY_MIN: Final = 1.0
RETRY_MAX: Final = 60.0
STRAYS_AFTER: Final = 0.2
"""Seconds between a process's end and the search for its strays, which must not delay its successor."""
STABLE: Final = 60.0
"""Seconds of uptime after which a zygote's death is not a sign of a lasting fault."""


class Spawner:
    """Owns the zygote and the death pipe. No other process ever has the pipe's write end."""

    def __init__(self, endpoint: str, heartbeat: float, line_limit: int, tasks: Tasks, clock: Clock, log: Log) -> None:
        self._endpoint = endpoint
        self._heartbeat = heartbeat
        self._line_limit = line_limit
        self._clock = clock
        self._log = log
        self._asked = 0
        self._processes: dict[int, Process] = {}
        self._spawning = 0
        self._kinds: frozenset[str] = frozenset()
        self._zygote: Zygote | None = None
        self._first_warm = asyncio.Event()
        self._warm_enough = asyncio.Event()
        """Set while no further warming is in progress."""
        self._rewarm = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._tasks = tasks.child()
        self._death_read, self._death_write = os.pipe2(os.O_CLOEXEC)

    def start(self, kinds: frozenset[str]) -> None:
        """Warm the first zygote in the background."""
        self._kinds = kinds
        self._keeping = self._tasks.start(self._keep_zygote())

    @property
    def mode(self) -> str:
        """``warming``, ``zygote`` or ``exec``."""
        if self._zygote:
            return "zygote"
        return "exec" if self._first_warm.is_set() else "warming"

    def need(self, kinds: frozenset[str]) -> None:
        """Warm a zygote for these kinds of minds too, unless the current one has them."""
        if not kinds <= self._kinds:
            self._kinds |= kinds
            self._warm_enough.clear()
            self._rewarm.set()

    async def spawn(
        self, role: Role, title: str, routing_id: bytes, kinds: frozenset[str], walls: Walls, log: Log
    ) -> Process:
        """Start a process that will greet on the link as ``routing_id`` from behind ``walls``. Raises SpawnFailed.

        ``kinds`` are the kinds of minds that it is for. If a zygote is warming for them, this waits: a worker that
        imported the same libraries itself would start later and always take more memory.
        """
        self.need(kinds)
        self._asked += 1
        birth = Birth(self._asked, role, title, self._endpoint, routing_id, self._heartbeat, walls)
        self._spawning += 1
        try:
            async with asyncio.timeout(WARM_TIMEOUT):
                await self._first_warm.wait()
                while self._zygote and not kinds <= self._zygote.kinds and not self._warm_enough.is_set():
                    await self._warm_enough.wait()
            with LogPipe(
                lambda line: worker_line(log, line),
                self._line_limit,
                self._clock,
                lambda: log.warning("worker.log_held"),
            ) as pipe:
                process = await self._make(birth, pipe.write_end)
            self._processes[process.pid] = process
        except TimeoutError:
            raise SpawnFailed(f"the zygote did not warm within {WARM_TIMEOUT:g} s") from None
        except OSError as error:
            raise SpawnFailed(f"no process can be made: {error}") from error
        finally:
            self._spawning -= 1
        return process

    def reaped(self, process: Process) -> None:
        """Forget a process that is gone, and in the background end what escaped its group."""
        self._processes.pop(process.pid, None)
        self._tasks.start(self._seek_strays())

    async def _seek_strays(self) -> None:
        await self._clock.sleep(STRAYS_AFTER)
        asked, known, spawning = self._asked, set(self._processes), self._spawning
        try:
            found = await asyncio.to_thread(children)
        except OSError as error:
            # Without a descriptor /proc cannot be read. The search is repeated when the next process ends.
            self._log.warning("spawner.strays_unknown", reason=str(error))
            return
        if spawning or self._spawning or self._asked != asked:
            # A process that was started meanwhile may not be known yet, or not be known any more because it has ended.
            # The search is repeated when the next process ends.
            return
        strays = sorted(set(found) - known - set(self._processes))
        if ended := await asyncio.to_thread(end_strays, strays):
            self._log.warning("spawner.strays_ended", pids=", ".join(map(str, ended)))

    async def close(self) -> None:
        """End the zygote and all remaining children; workers must have ended before."""
        if self._keeping:
            self._keeping.cancel()
        if self._zygote:
            zygote, self._zygote = self._zygote, None
            zygote.retire()
            zygote.process.kill()
            await zygote.process.wait()
        await self._tasks.close()
        await asyncio.to_thread(lambda: end_strays(children()))
        os.close(self._death_write)
        os.close(self._death_read)

    def _discard(self, process: Process) -> None:
        """End a process that nobody waits for any more; until it is reaped it is no stray."""

        async def end() -> None:
            await process.wait()
            self.reaped(process)

        self._processes[process.pid] = process
        process.kill()
        self._tasks.start(end())

    async def _make(self, birth: Birth, log_pipe: int) -> Process:
        if self._zygote:
            try:
                return await self._zygote.fork(birth, log_pipe)
            except ZygoteGone as error:
                self._log.warning("zygote.fork_lost", reason=str(error))
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        try:
            os.write(write_end, msgspec.msgpack.encode(birth))
            descriptors = {0: read_end, 1: log_pipe, 2: log_pipe, 3: self._death_read}
            return execute("worker", ["3", str(os.getpid())], descriptors)
        except OSError as error:
            raise SpawnFailed(f"the worker could not be started: {error}") from error
        finally:
            os.close(read_end)
            os.close(write_end)

    async def _keep_zygote(self) -> None:
        """Keep a zygote warm for the kinds in use: replace it after each change and death."""
        failures = 0
        while True:
            self._rewarm.clear()
            begun = self._clock.monotonic()
            self._warm_enough.clear()
            warm = await self._replace()
            if not self._rewarm.is_set():
                self._warm_enough.set()
            if warm:
                await self._rewarm.wait()
            if self._zygote or self._clock.monotonic() - begun > STABLE:
                failures = 0
            else:
                failures += 1
                await self._clock.sleep(random.uniform(RETRY_MIN, min(RETRY_MAX, RETRY_MIN * 2 ** min(failures, 10))))

    async def _replace(self) -> bool:
        """Warm a zygote and replace the old one with it; False when it cannot warm."""
        self._asked += 1
        try:
            log = self._log.bind(role="zygote")
            zygote = Zygote(self._kinds, self._death_read, self._line_limit, self._discard, self._clock, log)
        except OSError as error:
            self._log.error("zygote.failed", reason=str(error))
            self._first_warm.set()
            return False
        self._processes[zygote.process.pid] = zygote.process
        watching = self._tasks.start(self._watch(zygote))
        try:
            await asyncio.wait_for(asyncio.shield(zygote.warm), WARM_TIMEOUT)
        except (SpawnFailed, TimeoutError):
            self._log.error("zygote.failed", reason="it did not warm; workers start by exec until it does")
            zygote.retire()
            zygote.process.kill()
            await watching
            return False
        finally:
            self._first_warm.set()
        if not zygote.process.alive:
            return False
        old, self._zygote = self._zygote, zygote
        if old:
            old.leave()
        self._log.info("zygote.warm", pid=zygote.process.pid, kinds=",".join(sorted(zygote.kinds)))
        return True

    async def _watch(self, zygote: Zygote) -> None:
        """Have the zygote replaced when it dies unexpectedly; its workers stay alive."""
        exit_ = await zygote.process.wait()
        self._processes.pop(zygote.process.pid, None)
        if self._zygote is zygote:
            self._zygote = None
            self._log.warning("zygote.died", exit=str(exit_))
            self._rewarm.set()
        await zygote.retire_after_exit()
