"""The pace that a provider allows, shared by everything that a bot sends: token buckets, per chat and for the bot.

Pure: time comes from the caller's clock, and nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

MAX_CHATS: Final = 512
"""Chats whose buckets are kept; full ones say nothing and are forgotten first."""


class Pace(NamedTuple):
    """So many requests a second, after a burst of at most ``burst``."""

    rate: float
    burst: float


class Bucket:
    """Tokens that come back at an even rate. It may be in debt: then its next owner waits."""

    def __init__(self, pace: Pace, now: float) -> None:
        self._pace = pace
        self._tokens = pace.burst
        self._at = now

    def level(self, now: float) -> float:
        """The tokens that are there; negative when they are promised to those who wait."""
        elapsed = max(0.0, now - self._at)
        return min(self._pace.burst, self._tokens + elapsed * self._pace.rate)

    def wait(self, now: float) -> float:
        """The seconds until the next token is there."""
        return max(0.0, (1.0 - self.level(now)) / self._pace.rate)

    def take(self, now: float) -> float:
        """Take one token and return the seconds until it is there."""
        wait = self.wait(now)
        self._tokens = self.level(now) - 1.0
        self._at = max(self._at, now)
        return wait

    def pause(self, seconds: float, now: float) -> None:
        """Give nothing for so long: the provider asked for it."""
        self._tokens = min(self.level(now), 1.0 - seconds * self._pace.rate)
        self._at = max(self._at, now)

    def is_full(self, now: float) -> bool:
        """Whether it is as good as a new one."""
        return self.level(now) >= self._pace.burst


class Budget:
    """One budget for sends, edits and typing of one bot."""

    def __init__(self, chat: Pace, bot: Pace, clock: Callable[[], float]) -> None:
        """``clock`` returns monotonic seconds."""
        self._chat_pace = chat
        self._clock = clock
        self._bot = Bucket(bot, clock())
        self._chats: dict[str, Bucket] = {}

    def reserve(self, chat: str) -> float:
        """Take the next place in this chat's and the bot's line; return the seconds to wait before sending."""
        now = self._clock()
        return max(self._chat(chat, now).take(now), self._bot.take(now))

    def ahead(self, chat: str) -> float:
        """The seconds that ``reserve`` would return now."""
        now = self._clock()
        return max(self._chat(chat, now).wait(now), self._bot.wait(now))

    def spare(self, chat: str) -> bool:
        """Take a token for what may be left out, only if a message could still follow at once."""
        now = self._clock()
        bucket = self._chat(chat, now)
        if bucket.level(now) < 2.0 or self._bot.level(now) < 2.0:
            return False
        bucket.take(now)
        self._bot.take(now)
        return True

    def pause(self, chat: str, seconds: float) -> None:
        """The provider refused this chat for so many seconds (429)."""
        now = self._clock()
        self._chat(chat, now).pause(seconds, now)

    def _chat(self, chat: str, now: float) -> Bucket:
        bucket = self._chats.pop(chat, None) or Bucket(self._chat_pace, now)
        self._chats[chat] = bucket
        if len(self._chats) > MAX_CHATS:
            self._forget(now)
        return bucket

    def _forget(self, now: float) -> None:
        """Forget buckets that are full, and then the one unused for longest; the newest is in use."""
        for chat in [chat for chat, bucket in list(self._chats.items())[:-1] if bucket.is_full(now)]:
            del self._chats[chat]
        if len(self._chats) > MAX_CHATS:
            del self._chats[next(iter(self._chats))]
