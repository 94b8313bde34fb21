"""What minds behind an HTTP API share: timeouts, retries by status, and reasons that a person can act on."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final
from urllib.parse import urlsplit

import httpx2

from proto.messages import ChatTurn, MindLimits
from proto.records import Organ
from proto.secrets import MASK, redact
from proto.texts import MAX_TEXT
from worker.backoff import Backoff
from worker.organs import tls
from worker.organs.mind import Mind, MindUnreachable

CONNECT_TIMEOUT: Final = 10.0
KEEPALIVE: Final = 30.0

LONGEST_WAIT: Final = 10.0
"""A provider that asks for a longer pause than this many seconds is left to the beat's own retries."""

CHECK_TOKENS: Final = 16
REASON_CHARS: Final = 400

DECLINED: Final = "(The provider of my mind declined to answer this.)"
"""Said when a provider's content filter stopped the answer: asking again would not change it."""

TELEMETRY: Final = tuple(
    f"X-Stainless-{name}"
    for name in (
        *("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async"),
        *("Retry-Count", "Timeout", "Read-Timeout"),
    )
)
"""Headers in which both SDKs tell the provider about this machine."""

_RETRIED: Final = frozenset((408, 409, 425, 429))

_HINTS: Final[Mapping[int, str]] = {
    401: "Check the api_key of her thinking organ.",
    402: "Check the credit of the provider's account.",
    403: "Check that the api_key of her thinking organ may use this model.",
    404: "Check the model name and the url of her thinking organ.",
    413: "The conversation is too long for this model: give her one with a larger context.",
    429: "The provider's rate limit is reached: wait, or raise it there.",
}
_HINT_REFUSED: Final = "Check the model name of her thinking organ and what the model accepts."
_HINT_WAIT: Final = "Nothing to do if this passes: she keeps trying."
_HINT_SLOW: Final = (
    "She keeps trying. For a model that is always slow, raise [mind] first_token_timeout and total_timeout."
)
_HINT_CONNECT: Final = "Check the network and the url of her thinking organ; she keeps trying."

_THOUGHT: Final = re.compile(r"\A\s*<(think|thinking|thought)>.*?(?:</\1>|\Z)\s*", re.DOTALL)
_LOOSE_THOUGHT_END: Final = re.compile(r"\A(?:(?!<think>).)*</think>\s*", re.DOTALL)


class RemoteMind(Mind):
    """A mind behind HTTP. A provider's class reads its stream and names its errors; everything else is here."""

    def __init__(self, organ: Organ, limits: MindLimits, url: str) -> None:
        self._organ = organ
        self._limits = limits
        self._host = urlsplit(url).netloc.rpartition("@")[2]

    @abstractmethod
    def _pieces(self, turns: list[ChatTurn], max_tokens: int) -> AsyncGenerator[str, None]:
        """Yield the answer in pieces; an empty piece is a sign of life, such as reasoning that is not shown.

        Raise MindUnreachable for every error that the SDK documents.
        """

    async def think(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Raise MindUnreachable also for an answer that is empty once the model's reasoning is taken away."""
        answer = without_thoughts(await self._within_total(turns, max_tokens, self._limits.retries))
        if not answer:
            raise MindUnreachable(
                f"{self._organ.name} at {self._host} gave an empty answer.",
                "She keeps trying. If it stays so, give her another model.",
            )
        return answer

    async def check(self) -> None:
        """One tiny completion, not retried; a model that only reasons in so few tokens is there all the same."""
        await self._within_total([ChatTurn("user", "Say ok.")], CHECK_TOKENS, 0)

    async def _within_total(self, turns: list[ChatTurn], max_tokens: int, retries: int) -> str:
        try:
            async with asyncio.timeout(self._limits.total):
                return await self._with_retries(turns, max_tokens, retries)
        except TimeoutError:
            raise MindUnreachable(
                f"{self._host} did not finish an answer within {self._limits.total:g} s.", _HINT_SLOW
            ) from None

    async def _with_retries(self, turns: list[ChatTurn], max_tokens: int, retries: int) -> str:
        backoff = Backoff(0.5, LONGEST_WAIT)
        while True:
            try:
                return await self._attempt(turns, max_tokens)
            except MindUnreachable as error:
                if not error.again or retries <= 0 or (error.retry_after or 0.0) > LONGEST_WAIT:
                    raise
                retries -= 1
                await asyncio.sleep(backoff.next() if error.retry_after is None else error.retry_after)

    async def _attempt(self, turns: list[ChatTurn], max_tokens: int) -> str:
        parts: list[str] = []
        room = MAX_TEXT
        first = asyncio.timeout(self._limits.first_token)
        try:
            async with first, aclosing(self._pieces(turns, max_tokens)) as pieces:
                async for piece in pieces:
                    if first.when() is not None:
                        first.reschedule(None)
                    parts.append(piece[:room])
                    room -= len(piece)
                    if room <= 0:
                        break
        except TimeoutError:
            if not first.expired():
                raise
            raise MindUnreachable(
                f"{self._host} gave no first word within {self._limits.first_token:g} s.", _HINT_SLOW
            ) from None
        return "".join(parts)

    def _refused(
        self, status: int, message: str, retry_after: float | None, *, exhausted: bool = False
    ) -> MindUnreachable:
        """Name an answer with an error status; ``exhausted`` says that no retry helps, such as a spent quota."""
        temporary = (status in _RETRIED or status >= 500 or status < 400) and not exhausted
        hint = _HINTS.get(402 if exhausted else status, _HINT_WAIT if temporary else _HINT_REFUSED)
        return MindUnreachable(
            self._clean(f"{self._host} answered {status}: {message}"),
            hint,
            permanent=not temporary,
            retry_after=retry_after,
            again=temporary,
        )

    def _unconnected(self, error: BaseException) -> MindUnreachable:
        """Name a connection that could not be made or that broke."""
        why = str(error) or type(error).__name__
        return MindUnreachable(self._clean(f"Could not connect to {self._host}. ({why})"), _HINT_CONNECT, again=True)

    def _garbled(self, error: BaseException) -> MindUnreachable:
        """Name an answer that is not the provider's protocol."""
        why = f"{type(error).__name__}: {error}"
        return MindUnreachable(
            self._clean(f"{self._host} answered something that is not its protocol. ({why})"), _HINT_CONNECT, again=True
        )

    def _clean(self, reason: str) -> str:
        """One short line without her key and without anything that looks like one."""
        if self._organ.api_key:
            reason = reason.replace(self._organ.api_key.reveal(), MASK)
        line = " ".join(redact(reason).split())
        return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"


def without_thoughts(text: str) -> str:
    """Take away the reasoning that some models put before their answer in ``<think>`` blocks."""
    return _LOOSE_THOUGHT_END.sub("", _THOUGHT.sub("", text)).strip()


def http_client(url: str, limits: MindLimits, transport: httpx2.AsyncBaseTransport | None = None) -> httpx2.AsyncClient:
    """Make a client that follows no redirect (it would carry the key along) and uses no proxy to this machine.

    ``transport`` takes the place of the network in a rehearsal.
    """
    secure = urlsplit(url).scheme == "https"
    return httpx2.AsyncClient(
        verify=tls.context() if secure else False,
        timeout=httpx2.Timeout(limits.total, connect=min(CONNECT_TIMEOUT, limits.first_token)),
        limits=httpx2.Limits(max_connections=4, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE),
        follow_redirects=False,
        transport=transport,
        trust_env=not _is_loopback(urlsplit(url).hostname or ""),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After`` (RFC 9110 section 10.2.3) in seconds; a date or nonsense is left to our own backoff."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None


def at(value: object, *path: str | int) -> object:
    """Follow attributes and indexes into what an SDK parsed but did not validate; None where the path ends early."""
    for step in path:
        if isinstance(step, str):
            value = getattr(value, step, None)
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value


def told(body: object, otherwise: str) -> str:
    """Find the provider's message in an error's body: ``message`` at the top or under ``error``."""
    for layer in (body, body.get("error") if isinstance(body, dict) else None):
        if isinstance(layer, dict) and isinstance(layer.get("message"), str):
            return str(layer["message"])
        if isinstance(layer, str) and layer:
            return layer
    return otherwise


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
