"""Whether the kernel's OOM killer ended a process: a SIGKILL alone does not tell.

The kernel counts its kills for each control group, and all processes of the service are in the daemon's
(``oom_kill`` in ``memory.events``, https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from daemon.runtime.clock import Clock

CLAIMED_WITHIN: Final = 10.0
"""Seconds in which a counted kill is that of one of our processes. Later it was somebody else's in the group."""
REASON: Final = (
    "killed for memory: the kernel had too little left, so give the machine or the service (MemoryMax=) more, or use"
    " smaller minds"
)

_OWN_GROUP: Final = Path("/proc/self/cgroup")
_GROUPS: Final = Path("/sys/fs/cgroup")
_COUNT: Final = "oom_kill "


class OomKills:
    """Counts the kernel's kills in ``events``, a ``memory.events``; None where the kernel keeps no count."""

    def __init__(self, events: Path | None, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._seen = self._read() or 0
        self._unclaimed = 0
        self._seen_at = 0.0

    def look(self) -> None:
        """Notice new kills; called often, so that an old one is not taken for that of a later process."""
        found = self._read()
        if found is None:
            return
        now = self._clock.monotonic()
        if now - self._seen_at > CLAIMED_WITHIN:
            self._unclaimed = 0
        if found > self._seen:
            self._unclaimed += found - self._seen
            self._seen_at = now
        self._seen = found

    def claim(self) -> bool:
        """Return whether a process that was just killed by SIGKILL is one of those that the kernel counted."""
        self.look()
        if not self._unclaimed:
            return False
        self._unclaimed -= 1
        return True

    def _read(self) -> int | None:
        # Some bytes that the kernel makes at once: no disk is read.
        try:
            lines = self._events.read_text().splitlines() if self._events else []
            return next((int(line.removeprefix(_COUNT)) for line in lines if line.startswith(_COUNT)), None)
        except (OSError, ValueError):
            return None


def own_events() -> Path | None:
    """The ``memory.events`` of this process's own control group (version 2), or None when it is in none.

    https://man7.org/linux/man-pages/man7/cgroups.7.html
    """
    try:
        lines = _OWN_GROUP.read_text().splitlines()
    except OSError:
        return None
    group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    return _GROUPS / group.lstrip("/") / "memory.events" if group else None
