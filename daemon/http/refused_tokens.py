"""Requests that were refused for their token: counted, and written to the log once a minute at most."""

from __future__ import annotations

import ipaddress
from typing import Final

from starlette.types import Scope

from daemon.logging.log import Log
from daemon.runtime.clock import Timer
from daemon.runtime.tasks import Tasks

EVERY: Final = 60.0
"""Seconds between two events. Anybody who can connect could fill a log that has a line for each."""


class RefusedTokens:
    """The first refusal is logged at once, those of the next minute together at its end."""

    def __init__(self, tasks: Tasks, log: Log) -> None:
        self._tasks = tasks
        self._log = log
        self._count = 0
        self._address = ""
        self._pause: Timer | None = None

    def count(self, scope: Scope) -> None:
        """Count one; ``address`` of the event is the last one's.

        That is the proxy's own, unless the proxy is one of ``http.trusted_proxies`` and tells whose request it is.
        """
        self._count += 1
        self._address = _address(scope)
        if self._pause is None:
            self._tell()

    def _tell(self) -> None:
        self._pause = None
        if self._count:
            self._log.warning("tokens.refused", count=self._count, address=self._address)
            self._count = 0
            self._pause = self._tasks.call_later(EVERY, self._tell)


def _address(scope: Scope) -> str:
    """The client's address, or "" for what a trusted proxy passed on though it is none."""
    client: tuple[str, int] | None = scope.get("client")
    try:
        return str(ipaddress.ip_address(client[0])) if client else ""
    except ValueError:
        return ""
