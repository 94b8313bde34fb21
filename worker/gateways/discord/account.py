"""A Discord bot: the REST API, and what its error codes mean.

https://discord.com/developers/docs/reference
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
import nextcord

from proto.gateways import Gateway
from proto.secrets import Secret
from worker.gateways.common.account import REQUEST_TIMEOUT, Identity
from worker.gateways.common.reading import fitted, parsed
from worker.gateways.common.rest import ErrorBody, Rest, understood
from worker.gateways.common.trouble import Refusal, Trouble, passing
from worker.gateways.discord.frames import Account

USER_AGENT: Final = f"DiscordBot (https://github.com/nextcord/nextcord, {nextcord.__version__})"
"""Discord requires the library and its version in this form
(https://discord.com/developers/docs/reference#user-agent)."""

NEW_TOKEN: Final = (
    "The token is wrong or was reset: create a new one in Discord's developer portal (Bot, Reset Token), then add the "
    "channel again with it: the pairing stays."
)
UNREACHABLE: Final = frozenset({50007, 50278})
"""Error codes of a 403: the person does not accept messages from this bot, or no longer shares a server with it
(https://discord.com/developers/docs/topics/opcodes-and-status-codes#json)."""

SHARED: Final = "Discord lets her write only to people who share a server with the bot and accept its messages."

_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{8,256}\Z")


class _Error(msgspec.Struct):
    message: str = ""
    code: int | None = None
    retry_after: float = 0.0
    errors: Any = None
    """Which field of a request is wrong, as nested objects (Any: JSON)."""


class _GatewayUrl(msgspec.Struct):
    url: str


class Discord(Rest):
    """One bot."""

    provider = "Discord"
    token_hint = "Copy the bot's token from Discord's developer portal (Bot, Reset Token)."
    file_suffixes = ("discordapp.com", "discordapp.net", "discord.com")

    def __init__(self, gateway: Gateway, url: str, request_timeout: float = REQUEST_TIMEOUT) -> None:
        # A text that cannot be a token must not get into a header.
        self.token = gateway.token if _TOKEN.match(gateway.token.reveal()) else Secret("")
        headers = {"Authorization": f"Bot {self.token.reveal()}", "User-Agent": USER_AGENT}
        super().__init__(gateway, url, headers, request_timeout)

    def unusable(self) -> Trouble | None:
        if self.token:
            return None
        return Trouble("credential", "This is not a Discord bot token (letters, digits, two dots).", NEW_TOKEN)

    async def whoami(self) -> Identity:
        """Ask whose token this is (https://discord.com/developers/docs/resources/user#get-current-user)."""
        me = understood(await self.ask("GET", "/users/@me"), Account)
        return Identity(me.id, me.username)

    async def gateway_url(self) -> str:
        """Return the gateway's URL (https://discord.com/developers/docs/events/gateway#get-gateway)."""
        return understood(await self.ask("GET", "/gateway"), _GatewayUrl).url

    async def page(self, chat: str, parameters: dict[str, str]) -> list[Any]:
        """Return a page of a chat's messages (Any: the JSON of each message, which the caller parses).

        https://discord.com/developers/docs/resources/message#get-channel-messages
        """
        return understood(await self.ask("GET", f"/channels/{chat}/messages", params=parameters), list[Any])

    def classify(self, error: Exception) -> Trouble:
        match error:
            case Refusal(status=401):
                return Trouble("credential", "Discord refuses the bot's token (401 Unauthorized).", NEW_TOKEN)
            case Refusal(status=403, code=code, message=message) if code in UNREACHABLE:
                reason = f"Discord refused (403): {message} {SHARED}"
                return Trouble("recipient", reason, fate="blocked")
            case _:
                return passing(self.provider, error)

    def read_error(self, body: bytes) -> ErrorBody:
        found = fitted(parsed(body), _Error)
        details = msgspec.json.encode(found.errors).decode() if found.errors else ""
        return ErrorBody(found.code, " ".join(part for part in (found.message, details) if part), found.retry_after)
