"""What organs behind an HTTP API share: an HTTP client with safe settings, and reasons that a person can act on."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx2

from proto.messages import MindLimits
from proto.records import Organ, Slot
from proto.secrets import MASK, redact
from worker.base import tls
from worker.base.organ_errors import OrganUnreachable, PromptRefused
from worker.base.proxies import proxy_for, unspoken
from worker.organs import refusals

CONNECT_TIMEOUT: Final = 10.0
KEEPALIVE: Final = 30.0
MAX_CONNECTIONS: Final = 32
"""Up to eight turns may each have several files or pictures in progress."""

REASON_CHARS: Final = 400

TELEMETRY: Final = tuple(
    f"X-Stainless-{name}"
    for name in (
        *("Lang", "Package-Version", "OS", "Arch", "Runtime", "Runtime-Version", "Async"),
        *("Retry-Count", "Timeout", "Read-Timeout"),
    )
)
"""Headers with which both SDKs report details of this machine to the provider."""

_RETRIED: Final = frozenset((408, 409, 425, 429))

_HINTS: Final[Mapping[int, str]] = {
    401: "Check the api_key of her {organ}.",
    402: "Check the credit of the provider's account.",
    403: "Check that the api_key of her {organ} may use this model.",
    404: "Check the model name and the url of her {organ}.",
    429: "The provider's rate limit is reached: wait, or raise it there.",
}
_HINT_REFUSED: Final = "Check the model name of her {organ} and what the model accepts."
_HINT_CONNECT: Final = "Check the network and the url of her {organ}."
_TOO_LONG: Final = "Write less at once, or give her a model with a larger context."
_DECLINED: Final = "Say it in other words."
_TOO_LARGE: Final = "The file is too large for this provider."


class Remote:
    """An organ behind HTTP: its URL, its limits, and readable reasons for its errors."""

    def __init__(self, organ: Organ, limits: MindLimits, url: str, slot: Slot = "thinking") -> None:
        """``slot`` says which of her organs it is."""
        self._organ = organ
        self._limits = limits
        self._url = url
        self._slot = slot
        self._is_mind = slot == "thinking"
        self._called = "thinking organ" if self._is_mind else slot
        self._host = urlsplit(url).netloc.rpartition("@")[2]

    @property
    def _hint_slow(self) -> str:
        return "For a model that is always slow, raise [mind] first_token_timeout and total_timeout."

    @property
    def _hint_connect(self) -> str:
        return _HINT_CONNECT.format(organ=self._called)

    def _refused(
        self, status: int, message: str, retry_after: float | None, *, exhausted: bool = False, code: str = ""
    ) -> OrganUnreachable:
        """Return the error for an error status; 200 stands for an error inside a stream.

        ``exhausted``: no retry helps, for example because a quota is spent. ``code`` is the provider's own.
        """
        reason = self._clean(f"{self._host} answered {status}: {message}")
        if self._is_mind and (sizes := refusals.too_long(status, code, message)):
            return PromptRefused("too_long", reason, _TOO_LONG, status=status, context=sizes.context, asked=sizes.asked)
        if self._is_mind and refusals.declined(status, code, message):
            return PromptRefused("declined", reason, _DECLINED, status=status)
        temporary = (status in _RETRIED or status >= 500 or status < 400) and not exhausted
        return OrganUnreachable(
            reason,
            self._hint(402 if exhausted else _meant(status, message), temporary),
            permanent=not temporary,
            retry_after=retry_after,
            again=temporary,
            status=status,
            is_doubtful=not exhausted and refusals.doubtful(status, code),
        )

    def _hint(self, status: int, temporary: bool) -> str:
        if status == 413:
            return _TOO_LARGE
        if status not in _HINTS and temporary:
            return "Nothing to do if this passes."
        return _HINTS.get(status, _HINT_REFUSED).format(organ=self._called)

    def _slow(self, reason: str) -> OrganUnreachable:
        """Return the error for an answer that did not come in time."""
        return OrganUnreachable(self._clean(f"{self._host} {reason}"), self._hint_slow, is_doubtful=True)

    def _unconnected(self, error: BaseException) -> OrganUnreachable:
        """Return the error for a connection that could not be made or that broke."""
        why = str(error) or type(error).__name__
        return OrganUnreachable(
            self._clean(f"Could not connect to {self._host}. ({why})"),
            self._hint_connect,
            again=True,
            is_unconnected=True,
        )

    def _broken(self) -> OrganUnreachable:
        """Return the error for a connection that broke after the answer had begun."""
        reason = f"The connection to {self._host} broke in the middle of an answer."
        return OrganUnreachable(self._clean(reason), self._hint_connect, again=True, is_broken=True)

    def _garbled(self, why: BaseException | str) -> OrganUnreachable:
        """Return the error for an answer that does not follow the provider's protocol."""
        told = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
        return OrganUnreachable(
            self._clean(f"{self._host} answered something that is not its protocol. ({told})"),
            self._hint_connect,
            again=True,
            is_doubtful=True,
        )

    def _clean(self, reason: str) -> str:
        """Return one short line without her key and without anything that looks like a key."""
        if self._organ.api_key:
            reason = reason.replace(self._organ.api_key.reveal(), MASK)
        line = " ".join(redact(reason).split())
        return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"


def http_client(url: str, limits: MindLimits, transport: httpx2.AsyncBaseTransport | None = None) -> httpx2.AsyncClient:
    """Create a client that follows no redirects, which would forward the key, and uses no proxy for this machine.

    ``transport`` replaces the network in a rehearsal. Raises httpx2.UnsupportedProtocol for a proxy that it cannot
    speak to, which the library itself would only notice as a missing module.
    """
    secure = urlsplit(url).scheme == "https"
    proxy = None if _is_loopback(urlsplit(url).hostname or "") else proxy_for(url)
    if proxy and (why := unspoken(url)):
        raise httpx2.UnsupportedProtocol(why)
    return httpx2.AsyncClient(
        verify=tls.context() if secure else False,
        timeout=httpx2.Timeout(limits.total, connect=min(CONNECT_TIMEOUT, limits.first_token)),
        limits=httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE),
        follow_redirects=False,
        transport=transport,
        proxy=proxy,
        trust_env=False,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return ``Retry-After`` in seconds, or None for a date or an invalid value, so that the backoff decides.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < 86_400 else None


def at(value: object, *path: str | int) -> object:
    """Follow names and indexes into data that nobody validated; None if the path ends early."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else getattr(value, step, None)
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value


def _meant(status: int, message: str) -> int:
    """Return the status that a provider should have sent for a fault of the account or the key."""
    if status in (400, 403):
        # Anthropic: "Your credit balance is too low". Gemini: "API key not valid".
        if re.search(r"credit|billing|insufficient (?:funds|balance|quota)", message, re.IGNORECASE):
            return 402
        if re.search(r"api[ _]key", message, re.IGNORECASE):
            return 401
    return status


def coded(body: object) -> str:
    """Return the provider's code of an error: ``code`` or ``type``, at the top level or under ``error``."""
    for layer in (body.get("error"), body) if isinstance(body, dict) else ():
        if not isinstance(layer, dict):
            continue
        for key in ("code", "type"):
            if isinstance(code := layer.get(key), str) and code not in ("", "error", "invalid_request_error"):
                return code
    return ""


def told(body: object, otherwise: str) -> str:
    """Return the provider's message from an error's body: ``message`` at the top level or under ``error``."""
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
