"""What can go wrong with a provider, described in the same way for all of them.

A ``Trouble`` has one of the five error classes of ``proto.gateways``, a reason without secrets, a hint what to do, and
the fate of the message that was being sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

import aiohttp

from proto.gateways import LONGEST_WAIT, ErrorClass
from proto.secrets import MASK, Secret, redact

REASON_CHARS: Final = 500
DEFAULT_WAIT: Final = 5.0
"""Seconds to wait after a 429 that does not say how long."""

SHORTEST: Final = 6
"""Characters that a secret needs to be masked; a shorter one would mask parts of ordinary text."""

NETWORK: Final = "Check this machine's network and whether the provider is up. personad tries again by itself."
WAIT: Final = "Nothing to do: personad continues by itself."

Fate: TypeAlias = Literal["again", "perhaps", "unclear", "never", "blocked"]
"""What becomes of a message that could not be sent. ``again``: it was not taken and may be tried again. ``perhaps``: it
may have been taken. ``unclear``: it was not taken for a reason that we do not know, so a few tries must show whether
that passes. ``never``: it will never be taken. ``blocked``: nothing for this chat will be taken until the person writes
again."""

PASSING: Final = frozenset({401, 408, 425, 429})
"""HTTP statuses that concern the moment or the channel, not the message."""


class Trouble(NamedTuple):
    """What an error means. ``retry_after`` is in seconds."""

    error_class: ErrorClass
    reason: str
    hint: str = ""
    retry_after: float = 0.0
    fate: Fate = "again"

    @property
    def stops(self) -> bool:
        """Whether only a person can help: the credentials or the configuration are wrong, and waiting does not help."""
        return self.error_class in ("credential", "config") and not self.retry_after


class TroubleError(Exception):
    """An error whose meaning is known where it is raised."""

    def __init__(self, found: Trouble) -> None:
        super().__init__(found.reason)
        self.trouble = found


class Refusal(Exception):
    """The provider answered with an error. ``code`` is the provider's own, None if the body is not the provider's."""

    def __init__(self, status: int, code: int | str | None, message: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = f"{message}." if message[-1:].isalnum() else message
        # A fault of the provider's must not make the wait endless; what is no number is not greater than 0 either.
        self.retry_after = min(retry_after, LONGEST_WAIT) if retry_after > 0 else 0.0


class UnreadableError(Exception):
    """The answer does not follow the provider's protocol."""


ProviderError: TypeAlias = TroubleError | Refusal | UnreadableError | aiohttp.ClientError | OSError
PROVIDER_ERRORS: Final = (TroubleError, Refusal, UnreadableError, aiohttp.ClientError, OSError)
"""What a request to a provider may raise; OSError includes TimeoutError."""


def fate(error: Exception) -> Fate:
    """Return what an error without a provider's code means for the message.

    A refusal means that the message was not taken. After a server error, or silence once the request was written, the
    message may have been taken.
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
    """Say what an error means that the provider has no code for."""
    match error:
        case TroubleError():
            return error.trouble
        case Refusal(status=429):
            seconds = error.retry_after or DEFAULT_WAIT
            return Trouble("throttle", f"{provider} asks us to wait {seconds:g} s.", WAIT, seconds)
        case Refusal(status=status, code=code, message=message):
            codes = f"{status}, {code}" if code not in (None, status) else str(status)
            verb = "failed" if status >= 500 else "refused"
            return Trouble("transient", f"{provider} {verb} ({codes}): {message}", NETWORK, fate=fate(error))
        case TimeoutError():
            return Trouble("transient", f"{provider} did not answer in time.", NETWORK, fate=fate(error))
        case OSError() | aiohttp.ClientError():
            reason = f"{provider} cannot be reached: {_named(error).rstrip('.')}."
            return Trouble("transient", reason, NETWORK, fate=fate(error))
        case _:
            reason = f"The answer does not follow {provider}'s protocol."
            return Trouble("transient", reason, NETWORK, fate=fate(error))


def clean(text: str, secrets: Iterable[Secret] = ()) -> str:
    """Return the text as one short line, without these secrets and without anything that looks like a secret."""
    for secret in secrets:
        if len(secret.reveal()) >= SHORTEST:
            text = text.replace(secret.reveal(), MASK)
    line = " ".join(redact(text).split())
    return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"


def _named(error: Exception) -> str:
    """Return what broke a connection, without the ``[Errno`` that means nothing to most people."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
