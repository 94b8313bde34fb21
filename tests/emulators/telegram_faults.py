"""The Telegram emulator's faults on request, and its flood limit."""

from __future__ import annotations

import math
import threading
import time
from typing import Final, Literal

import msgspec

from tests.emulators.telegram_world import ApiError

Kind = Literal["status", "hang", "drop", "slow", "lose", "lose_hang"]

DESCRIPTIONS: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden: bot was blocked by the user",
    404: "Not Found",
    409: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
}
GATEWAY_PAGE: Final = (
    "<html>\r\n<head><title>{status} {reason}</title></head>\r\n<body>\r\n"
    "<center><h1>{status} {reason}</h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n"
)
REASONS: Final = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}


class Fault(msgspec.Struct):
    """What happens to the calls that match.

    ``status`` answers with ``code`` (502 to 504 with a web page, as the proxy in front does). ``hang`` says nothing
    until healed, then goes on. ``drop`` breaks the connection before anything is done; ``slow`` waits ``seconds``.
    ``lose`` does the work and breaks the connection instead of answering; ``lose_hang`` does it and stays silent.
    """

    kind: Kind = "status"
    code: int = 500
    method: str = "*"
    """A method in any case, ``file`` for downloads, ``*`` for all of them."""
    times: int | None = 1
    """How many calls; null until healed."""
    token: str = ""
    chat_id: int | None = None
    retry_after: int = 5
    """Seconds, with 429."""
    description: str = ""
    seconds: float = 1.0

    def error(self) -> ApiError:
        """The refusal of a ``status`` fault."""
        if self.code == 429:
            text = self.description or f"Too Many Requests: retry after {self.retry_after}"
            return ApiError(429, text, retry_after=self.retry_after)
        return ApiError(self.code, self.description or DESCRIPTIONS.get(self.code, "Error"))

    def page(self) -> str:
        """The proxy's web page, or nothing where the Bot API itself answers."""
        reason = REASONS.get(self.code, "")
        return GATEWAY_PAGE.format(status=self.code, reason=reason) if reason else ""


class Faults:
    """The faults that are waiting for calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault after those that wait."""
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._waiting.clear()

    def claim(self, method: str, token: str, chat_id: str) -> Fault | None:
        """Return the first fault that matches a call. Each call uses it up once."""
        with self._lock:
            for fault in self._waiting:
                named = fault.method == "*" or fault.method.lower() == method.lower()
                if named and fault.token in ("", token) and fault.chat_id in (None, _number(chat_id)):
                    if fault.times is not None:
                        fault.times -= 1
                    self._waiting = [waiting for waiting in self._waiting if waiting.times != 0]
                    return fault
        return None


class FloodRule:
    """About one message per second in each chat with short bursts, and 30 per second overall (Bot API FAQ)."""

    def __init__(self, burst: int = 3, per_second: float = 1.0, overall: int = 30) -> None:
        self._chat = (float(burst), per_second)
        self._overall = (float(overall), float(overall))
        self._levels: dict[tuple[str, int], tuple[float, float]] = {}
        self._lock = threading.Lock()

    def check(self, token: str, chat_id: int) -> None:
        """Count a message. Raises ApiError 429 with ``retry_after`` in whole seconds when there are too many."""
        with self._lock:
            self._draw((token, chat_id), *self._chat)
            self._draw((token, 0), *self._overall)

    def _draw(self, key: tuple[str, int], capacity: float, rate: float) -> None:
        now = time.monotonic()
        level, at = self._levels.get(key, (capacity, now))
        level = min(capacity, level + (now - at) * rate)
        self._levels[key] = (level, now)
        if level < 1:
            wait = max(1, math.ceil((1 - level) / rate))
            raise ApiError(429, f"Too Many Requests: retry after {wait}", retry_after=wait)
        self._levels[key] = (level - 1, now)


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
