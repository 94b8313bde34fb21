"""Discord's rate limits: buckets, the global limit, the ban for invalid requests, and the headers that report them."""

from __future__ import annotations

import hashlib
import math
import time
from typing import Final

import msgspec
from starlette.responses import JSONResponse, Response

INVALID_LIMIT: Final = 10_000
INVALID_WINDOW: Final = 600.0
"""After this many 401, 403 and 429 answers in this many seconds Cloudflare bans the address."""


class Window(msgspec.Struct):
    """A count that starts again when its seconds are over."""

    limit: int
    seconds: float
    start: float = 0.0
    used: int = 0

    def left(self) -> float:
        """Return the seconds until it starts again."""
        return max(0.0, self.start + self.seconds - time.monotonic())

    def take(self) -> bool:
        """Count one. Return False if it was full."""
        if not self.left():
            self.start, self.used = time.monotonic(), 0
        self.used += 1
        return self.used <= self.limit


class Limits:
    """The rate limits. All but the global one are generous; ``set`` makes a route as tight as the real one."""

    def __init__(self) -> None:
        self.everywhere = 50
        """Requests per second of one bot, as documented."""
        self.invalid = Window(INVALID_LIMIT, INVALID_WINDOW)
        self._routes: dict[str, tuple[int, float]] = {}
        self._buckets: dict[tuple[str, str, str], Window] = {}
        self._globals: dict[str, Window] = {}

    def set(self, route: str, count: int, seconds: float) -> None:
        """Allow ``METHOD /template`` this often in this many seconds for one bot and channel."""
        self._routes[route] = count, seconds
        self._buckets = {key: window for key, window in self._buckets.items() if key[0] != route}

    def check(self, route: str, major: str, token: str) -> Response | None:
        """Count a request; the 429 to answer, or None."""
        bucket = self._bucket(route, major, token)
        everywhere = self._globals.setdefault(token, Window(self.everywhere, 1.0))
        everywhere.limit = self.everywhere
        if not everywhere.take():
            return self.refuse(route, everywhere.left(), "global")
        return None if bucket.take() else self.refuse(route, bucket.left(), "user")

    def refuse(self, route: str, retry_after: float, scope: str) -> Response:
        """A 429 from Discord itself: JSON, and the Via header that nextcord looks for."""
        retry_after = max(round(retry_after, 3), 0.001)
        text = "You are being rate limited." if scope != "shared" else "The resource is being rate limited."
        body = {"message": text, "retry_after": retry_after, "global": scope == "global"}
        response = JSONResponse(body, 429)
        response.headers["Retry-After"] = str(math.ceil(retry_after))
        response.headers["X-RateLimit-Scope"] = scope
        if scope == "global":
            response.headers["X-RateLimit-Global"] = "true"
            return response
        response.headers["X-RateLimit-Limit"] = str(self._routes.get(route, (50, 1.0))[0])
        response.headers["X-RateLimit-Remaining"] = "0"
        response.headers["X-RateLimit-Reset"] = f"{time.time() + retry_after:.3f}"
        response.headers["X-RateLimit-Reset-After"] = f"{retry_after:.3f}"
        response.headers["X-RateLimit-Bucket"] = bucket_name(route)
        return response

    def stamp(self, response: Response, route: str, major: str, token: str) -> None:
        """Add the headers to an answer. A 429 already has them."""
        response.headers["Via"] = "1.1 google"
        if response.status_code == 429:
            return
        bucket = self._bucket(route, major, token)
        response.headers["X-RateLimit-Limit"] = str(bucket.limit)
        response.headers["X-RateLimit-Remaining"] = str(max(0, bucket.limit - bucket.used))
        response.headers["X-RateLimit-Reset"] = f"{time.time() + bucket.left():.3f}"
        response.headers["X-RateLimit-Reset-After"] = f"{bucket.left():.3f}"
        response.headers["X-RateLimit-Bucket"] = bucket_name(route)

    def count_invalid(self, response: Response) -> None:
        """Count an answer that may lead to a ban. Answers to shared limits do not."""
        if response.status_code in (401, 403, 429) and response.headers.get("X-RateLimit-Scope") != "shared":
            self.invalid.take()

    @property
    def banned(self) -> bool:
        return self.invalid.left() > 0 and self.invalid.used >= self.invalid.limit

    def _bucket(self, route: str, major: str, token: str) -> Window:
        count, seconds = self._routes.get(route, (50, 1.0))
        return self._buckets.setdefault((route, major, token), Window(count, seconds))


def bucket_name(route: str) -> str:
    """The opaque name of a route's bucket; one name for all channels, as the real one has it."""
    return hashlib.md5(route.encode(), usedforsecurity=False).hexdigest()


def cloudflare(retry_after: float) -> Response:
    """A 429 that never reached Discord: no Via, no JSON, no X-RateLimit headers."""
    response = Response("error code: 1015", 429, media_type="text/plain")
    response.headers["Retry-After"] = str(math.ceil(retry_after))
    response.headers["Server"] = "cloudflare"
    return response
