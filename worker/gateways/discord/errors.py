"""What goes wrong with Discord, in words that a person can act on."""

from __future__ import annotations

import zlib
from typing import Final, Literal, NamedTuple, TypeAlias

import aiohttp
import nextcord

from proto.secrets import MASK, Secret, redact
from worker.gateways.discord.client import DEFAULT_WAIT, Refusal

REASON_CHARS: Final = 500

ProviderError: TypeAlias = (
    Refusal
    | nextcord.DiscordException
    | nextcord.gateway.ReconnectWebSocket
    | aiohttp.ClientError
    | aiohttp.WebSocketError
    | OSError
    | zlib.error
    | ValueError
)
PROVIDER_ERRORS: Final = (
    Refusal,
    nextcord.DiscordException,
    nextcord.gateway.ReconnectWebSocket,
    aiohttp.ClientError,
    aiohttp.WebSocketError,
    OSError,
    zlib.error,
    ValueError,
)
"""What a connection or a request may raise for trouble with Discord; ValueError is JSON that is none."""

UNREADABLE: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What nextcord raises for a frame that is not as it expects."""

NEW_TOKEN: Final = (
    "The token is wrong or was reset: make a new one in Discord's developer portal (Bot, Reset Token), remove this "
    "channel and add it again with that one."
)
UPDATE: Final = "Nothing that a setting could mend: update personad, and report this if it stays."
NETWORK: Final = "Check this machine's network and whether Discord is up. Trying again by itself."
WAIT: Final = "Nothing to do: it goes on by itself."

FATAL: Final = {
    4004: ("Discord's gateway refuses the bot's token (close code 4004).", NEW_TOKEN),
    4010: ("Discord's gateway refuses the shard (close code 4010).", UPDATE),
    4011: (
        "This bot is in so many servers that Discord asks for sharding (close code 4011).",
        "Use a bot of her own for this persona: she needs no server but direct messages only.",
    ),
    4012: ("Discord's gateway refuses the API version (close code 4012).", UPDATE),
    4013: ("Discord's gateway does not know an intent (close code 4013).", UPDATE),
    4014: (
        "Discord's gateway does not allow an intent (close code 4014).",
        "Look at the bot's page in Discord's developer portal: the bot may be disabled or under review.",
    ),
}
"""Close codes after which one must not connect again (Discord's documentation, gateway close event codes)."""


class Trouble(NamedTuple):
    """What an error means: after ``stop`` only a person can help, ``wait`` and ``network`` pass."""

    kind: Literal["stop", "wait", "network"]
    reason: str
    hint: str
    retry_after: float = 0.0


def trouble(error: Exception, token: Secret) -> Trouble:
    """Put an error into words, without the token."""
    match error:
        case nextcord.LoginFailure() | Refusal(status=401):
            return Trouble("stop", "Discord refuses the bot's token (401 Unauthorized).", NEW_TOKEN)
        case nextcord.ConnectionClosed(code=code) if code in FATAL:
            return Trouble("stop", *FATAL[code])
        case nextcord.ConnectionClosed(code=code):
            return Trouble("network", f"Discord closed the gateway's connection ({code}).", NETWORK)
        case nextcord.gateway.ReconnectWebSocket():
            return Trouble("network", "The connection to Discord's gateway ended.", NETWORK)
        case Refusal(status=429, retry_after=seconds):
            return Trouble("wait", f"Discord asks to wait {seconds:g} s.", WAIT, seconds)
        case nextcord.HTTPException(status=429):
            seconds = _retry_after(error)
            return Trouble("wait", f"Discord asks to wait {seconds:g} s.", WAIT, seconds)
        case nextcord.GatewayNotFound(__cause__=nextcord.HTTPException() as cause):
            return trouble(cause, token)
        case Refusal(status=status, message=message):
            told = f"Discord answers {status}: {message}" if status else f"Discord: {message}"
            return Trouble("network", clean(told, token), NETWORK)
        case nextcord.HTTPException(status=status, text=text):
            return Trouble("network", clean(f"Discord answers {status}: {text}", token), NETWORK)
        case TimeoutError():
            return Trouble("network", "Discord did not answer in time.", NETWORK)
        case OSError() | aiohttp.ClientError() | aiohttp.WebSocketError():
            told = f"Discord cannot be reached: {str(error) or type(error).__name__}"
            return Trouble("network", clean(told, token), NETWORK)
        case _:
            told = f"Discord's address answers something that is not its protocol ({type(error).__name__})."
            return Trouble("network", told, NETWORK)


def maybe_taken(error: Exception) -> bool:
    """Whether Discord may have done what was asked: the request was written, and no word of refusal came."""
    match error:
        case Refusal(status=status):
            return status >= 500
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return False
        case _:
            return True


def clean(text: str, token: Secret) -> str:
    """One short line without the token and without anything that looks like one."""
    line = " ".join(redact(text.replace(token.reveal(), MASK)).split())
    return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"


def _retry_after(error: nextcord.HTTPException) -> float:
    told = error.response.headers.get("Retry-After", "")
    return float(told) if told.isdigit() else DEFAULT_WAIT
