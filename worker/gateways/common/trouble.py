"""What can go wrong with a provider, described in the same way for all of them.

A ``Trouble`` has one of the five error classes of ``proto.gateways``, a reason without secrets, a hint at what to do,
and what it means for a message that was being sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

import aiohttp

from proto.gateways import ErrorClass
from proto.secrets import MASK, Secret, redact

REASON_CHARS: Final = 500
DEFAULT_WAIT: Final = 5.0
"""Seconds to wait after a 429 that names none."""

SHORTEST: Final = 6
"""Characters of a secret that is masked: a shorter one would mask parts of ordinary text."""

NETWORK: Final = "Check this machine's network and whether the provider is up. Trying again by itself."
WAIT: Final = "Nothing to do: it goes on by itself."

Fate: TypeAlias = Literal["again", "perhaps", "never", "blocked"]
"""What becomes of a message that met trouble: it was not taken and may be tried again; it was perhaps taken; it never
will be; nothing for this chat will be, until the person writes again."""

PASSING: Final = frozenset({401, 408, 425, 429})
"""Statuses of refusals that concern the moment or the channel, not the message."""


class Trouble(NamedTuple):
    """What an error means; ``retry_after`` in seconds."""

    error_class: ErrorClass
    reason: str
    hint: str = ""
    retry_after: float = 0.0
    fate: Fate = "again"

    @property
    def stops(self) -> bool:
        """Whether only a person can help: the credentials or the configuration are wrong, and no wait mends them."""
        return self.error_class in ("credential", "config") and not self.retry_after


class TroubleError(Exception):
    """Trouble that is known for what it is where it is met."""

    def __init__(self, found: Trouble) -> None:
        super().__init__(found.reason)
        self.trouble = found


class Refusal(Exception):
    """The provider answered with an error; ``code`` is its own, None where the body is not the provider's."""

    def __init__(self, status: int, code: int | str | None, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = f"{message}." if message[-1:].isalnum() else message
        self.retry_after = retry_after


class UnreadableError(Exception):
    """The provider's address answered something that is not its protocol."""


ProviderError: TypeAlias = TroubleError | Refusal | UnreadableError | aiohttp.ClientError | OSError
PROVIDER_ERRORS: Final = (TroubleError, Refusal, UnreadableError, aiohttp.ClientError, OSError)
"""What a request to a provider may raise; OSError includes TimeoutError."""


def fate(error: Exception) -> Fate:
    """What an error without a code of its own means for a message.

    A refusal says that it was not taken; a fault of the server's, and silence after the request was written, do not.
    """
    match error:
        case TroubleError():
            return error.trouble.fate
        case Refusal(status=status) if status >= 500:
            return "perhaps"
        case Refusal(status=413):
            return "never"
        case Refusal(status=status, code=code):
            return "never" if code is not None and status >= 400 and status not in PASSING else "again"
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return "again"
        case _:
            return "perhaps"


def passing(provider: str, error: Exception) -> Trouble:
    """Describe an error that has no code of the provider's own."""
    match error:
        case TroubleError():
            return error.trouble
        case Refusal(status=429):
            seconds = error.retry_after or DEFAULT_WAIT
            return Trouble("throttle", f"{provider} asks to wait {seconds:g} s.", WAIT, seconds)
        case Refusal(status=status, code=code, message=message):
            told = f"{status}, {code}" if code not in (None, status) else str(status)
            said = "answers" if status >= 500 else "refuses"
            return Trouble("transient", f"{provider} {said} ({told}): {message}", NETWORK, fate=fate(error))
        case TimeoutError():
            return Trouble("transient", f"{provider} did not answer in time.", NETWORK, fate=fate(error))
        case OSError() | aiohttp.ClientError():
            told = f"{provider} cannot be reached: {_named(error)}"
            return Trouble("transient", told, NETWORK, fate=fate(error))
        case _:
            told = f"{provider}'s address answers something that is not its protocol."
            return Trouble("transient", told, NETWORK, fate=fate(error))


def clean(text: str, secrets: Iterable[Secret] = ()) -> str:
    """One short line without these secrets and without anything that looks like one."""
    for secret in secrets:
        if len(secret.reveal()) >= SHORTEST:
            text = text.replace(secret.reveal(), MASK)
    line = " ".join(redact(text).split())
    return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"


def _named(error: Exception) -> str:
    """What broke a connection, without the ``[Errno`` that means nothing to most people."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
