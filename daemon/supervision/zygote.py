"""The daemon's side of one zygote process: it requests forks and receives the new processes' pidfds."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from daemon.logging.log import Log, worker_line
from daemon.runtime.clock import Clock
from daemon.supervision.pipes import LogPipe
from daemon.supervision.processes import Process, execute
from proto.birth import MAX_BIRTH, Birth, Born, FromZygote, Stillborn, Warm

FORK_TIMEOUT: Final = 5.0
END_TIMEOUT: Final = 1.0
"""Seconds between a zygote's death and the end of its control socket, which a fork in progress still holds."""

_decoder: msgspec.msgpack.Decoder[FromZygote] = msgspec.msgpack.Decoder(FromZygote)


class SpawnFailed(RuntimeError):
    """A process could not be started; the text says why."""


class ZygoteGone(SpawnFailed):
    """The zygote is dead and has not forked this process."""


class Zygote:
    """A zygote that warms for ``kinds`` of minds. ``warm`` is done when it can fork, and fails if it never will."""

    def __init__(
        self,
        kinds: frozenset[str],
        death_pipe: int,
        line_limit: int,
        discard: Callable[[Process], None],
        clock: Clock,
        log: Log,
    ) -> None:
        """``discard`` gets each process that nobody waits for any more."""
        self.kinds = kinds
        self._discard = discard
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._forks: dict[int, asyncio.Future[Process]] = {}
        self._leaving = False
        self.warm: asyncio.Future[None] = self._loop.create_future()
        self.warm.add_done_callback(asyncio.Future.exception)
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(0)
        pipe = LogPipe(lambda line: worker_line(log, line), line_limit, clock)
        with theirs, pipe:
            descriptors = {1: pipe.write_end, 2: pipe.write_end, 3: death_pipe, 4: theirs.fileno()}
            arguments = ["4", "3", str(os.getpid()), ",".join(sorted(kinds))]
            try:
                self.process = execute("worker.process.zygote", arguments, descriptors)
            except OSError:
                self._control.close()
                raise
        self._loop.add_reader(self._control.fileno(), self._read)

    async def fork(self, birth: Birth, log_pipe: int) -> Process:
        """Fork one process. Raises SpawnFailed, or ZygoteGone if another way may be tried."""
        future: asyncio.Future[Process] = self._loop.create_future()
        self._forks[birth.request] = future
        try:
            socket.send_fds(self._control, [msgspec.msgpack.encode(birth)], [log_pipe])
            await asyncio.wait([future], timeout=FORK_TIMEOUT)
            if not future.done():
                # It hangs. Once it is dead, it is certain whether the fork took place.
                self.process.kill()
            return await asyncio.wait_for(future, 2 * END_TIMEOUT)
        except TimeoutError:
            raise SpawnFailed(f"the zygote did not answer within {FORK_TIMEOUT:g} s") from None
        except OSError as error:
            raise ZygoteGone(f"the zygote takes no requests: {error}") from error
        finally:
            del self._forks[birth.request]
            if self._leaving:
                self.leave()

    def leave(self) -> None:
        """Retire once the requested forks are done: another zygote has replaced this one."""
        self._leaving = True
        if not self._forks:
            self.retire()

    async def retire_after_exit(self) -> None:
        """After its death: wait for a process that it may still have announced, then retire."""
        await asyncio.wait([self._end], timeout=END_TIMEOUT)
        self.retire()

    def retire(self) -> None:
        """Close the control socket, which makes the zygote exit; its workers stay alive."""
        if self._control.fileno() < 0:
            return
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        gone = ZygoteGone("the zygote is gone")
        self._end.set_result(None)
        if not self.warm.done():
            self.warm.set_exception(gone)
        for fork in self._forks.values():
            if not fork.done():
                fork.set_exception(gone)

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, MAX_BIRTH, 1)
        except BlockingIOError:
            return
        except ConnectionError:
            data, descriptors = b"", []
        if not data:
            self.retire()
            return
        try:
            message = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # Its state is unknown. It is replaced like one that died.
            self._log.error("zygote.failed", reason=f"it sent a message that cannot be read: {error}")
            self.process.kill()
            return
        self._take(message, descriptors)

    def _take(self, message: FromZygote, descriptors: list[int]) -> None:
        match message:
            case Warm(failed, lacking):
                for what in lacking:
                    self._log.warning("walls.missing", reason=what)
                for module, reason in failed.items():
                    self._log.error("zygote.preload_failed", module=module, reason=reason)
                self.warm.set_result(None)
            case Born(request, pid):
                self._forked(self._forks.get(request), pid, descriptors)
            case Stillborn(request, reason):
                if (fork := self._forks.get(request)) and not fork.done():
                    fork.set_exception(SpawnFailed(reason))

    def _forked(self, fork: asyncio.Future[Process] | None, pid: int, descriptors: list[int]) -> None:
        wanted = fork if fork and not fork.done() else None
        if not descriptors:
            # The kernel had no room for its descriptor. The child is unknown here and will be ended as a stray.
            if wanted:
                wanted.set_exception(SpawnFailed("no descriptor is left for another process"))
            return
        process = Process(pid, descriptors[0])
        if wanted:
            wanted.set_result(process)
        else:
            self._discard(process)
