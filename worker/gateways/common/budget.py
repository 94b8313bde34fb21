"""The pace that a provider allows: token buckets per chat and for the whole bot, shared by everything that it sends.

Pure logic: time comes from the caller's clock, and nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from proto.gateways import chat_of

MAX_CHATS: Final = 512
"""Chats whose buckets are kept. Full buckets carry no information and are dropped first."""

SPARE: Final = 2.0
"""Tokens that something optional needs: its own, and one for a message right after it."""


class Pace(NamedTuple):
    """``rate`` requests per second, after a burst of at most ``burst``."""

    rate: float
    burst: float


class Bucket:
    """A bucket of tokens that refills at an even rate. It may go into debt; then the next caller waits."""

    def __init__(self, pace: Pace, now: float) -> None:
        self._pace = pace
        self._tokens = pace.burst
        self._at = now

    def level(self, now: float) -> float:
        """The tokens available now; negative when callers are already waiting for some."""
        elapsed = max(0.0, now - self._at)
        return min(self._pace.burst, self._tokens + elapsed * self._pace.rate)

    def wait(self, now: float) -> float:
        """The seconds until the next token is available."""
        return self.until(1.0, now)

    def until(self, level: float, now: float) -> float:
        """The seconds until so many tokens are available."""
        return max(0.0, (level - self.level(now)) / self._pace.rate)

    def take(self, now: float) -> float:
        """Take one token and return the seconds until it is available."""
        wait = self.wait(now)
        self._tokens = self.level(now) - 1.0
        self._at = max(self._at, now)
        return wait

    def pause(self, seconds: float, now: float) -> None:
        """Hand out no token for so many seconds, because the provider asked for a pause."""
        self._tokens = min(self.level(now), 1.0 - seconds * self._pace.rate)
        self._at = max(self._at, now)

    def is_full(self, now: float) -> bool:
        """Whether it equals a new bucket."""
        return self.level(now) >= self._pace.burst


class Budget:
    """The shared budget for one bot's sends, edits and typing."""

    def __init__(self, chat: Pace, bot: Pace, clock: Callable[[], float]) -> None:
        """``clock`` returns monotonic seconds."""
        self._chat_pace = chat
        self._clock = clock
        self._bot = Bucket(bot, clock())
        self._chats: dict[str, Bucket] = {}

    def reserve(self, chat: str) -> float:
        """Take the next slot of this chat and of the bot; return the seconds to wait before sending."""
        now = self._clock()
        return max(self._chat(chat, now).take(now), self._bot.take(now))

    def ahead(self, chat: str) -> float:
        """The seconds that ``reserve`` would return now."""
        now = self._clock()
        return max(self._chat(chat, now).wait(now), self._bot.wait(now))

    def spare(self, chat: str) -> bool:
        """Take a token for something optional, but only if a message could still follow at once."""
        now = self._clock()
        bucket = self._chat(chat, now)
        if bucket.level(now) < SPARE or self._bot.level(now) < SPARE:
            return False
        bucket.take(now)
        self._bot.take(now)
        return True

    def until_spare(self, chat: str) -> float:
        """The seconds until ``spare`` may take a token."""
        now = self._clock()
        return max(self._chat(chat, now).until(SPARE, now), self._bot.until(SPARE, now))

    def pause(self, chat: str, seconds: float) -> None:
        """Stop sending to this chat for so many seconds, because the provider refused with 429."""
        now = self._clock()
        self._chat(chat, now).pause(seconds, now)

    def _chat(self, chat: str, now: float) -> Bucket:
        # Threads and topics share the pace of their chat.
        chat = chat_of(chat)
        bucket = self._chats.pop(chat, None) or Bucket(self._chat_pace, now)
        self._chats[chat] = bucket
        if len(self._chats) > MAX_CHATS:
            self._forget(now)
        return bucket

    def _forget(self, now: float) -> None:
        """Drop the full buckets, then the least recently used one. The newest is in use and stays."""
        for chat in [chat for chat, bucket in list(self._chats.items())[:-1] if bucket.is_full(now)]:
            del self._chats[chat]
        if len(self._chats) > MAX_CHATS:
            del self._chats[next(iter(self._chats))]
