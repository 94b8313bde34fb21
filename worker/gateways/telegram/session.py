"""The way to the Bot API: aiogram's bot on one small HTTP session, and what its errors mean.

The token stands in the path of every URL, so no text of an HTTP client leaves this module without being cleaned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast
from urllib.parse import urlsplit

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramAPIError,
    TelegramConflictError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import File, Message, Update, User
from aiogram.utils.token import TokenValidationError
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    TCPConnector,
)

from proto.secrets import MASK, Secret, redact
from worker.base import tls

CONNECTIONS: Final = 6
"""At once to one provider: a poll, sends and downloads."""

CONNECT_TIMEOUT: Final = 10.0
REQUEST_TIMEOUT: Final = 30.0
DNS_TTL: Final = 60
CHUNK: Final = 256 * 1024
REASON_CHARS: Final = 500

ANSWERS: Final = (Response[list[Update]], Response[User], Response[Message], Response[File], Response[bool])
"""The forms of the answers that come here. pydantic builds each at its first use, for up to 4 ms and 3 MB, and
forgets those that nobody holds."""

ProviderError: TypeAlias = AiogramError | TimeoutError
PROVIDER_ERRORS: Final = (AiogramError, TimeoutError)
"""What a call of the bot may raise for trouble with the provider."""

NEW_TOKEN: Final = (
    "The token is wrong or was revoked: ask @BotFather for the bot's token (/token), remove this channel and add it "
    "again with that one."
)
OTHER_POLLER: Final = (
    "Stop the other program; or give this bot a new token with @BotFather (/revoke), and add the channel again. "
    "Trying again now and then."
)
NETWORK: Final = "Check this machine's network and whether the provider is up. Trying again by itself."
WAIT: Final = "Nothing to do: it goes on by itself."


class Trouble(NamedTuple):
    """What an error means: ``token`` stays until a person acts, all others may pass."""

    kind: Literal["token", "conflict", "flood", "network", "refused"]
    reason: str
    hint: str
    retry_after: float = 0.0


class Session(AiohttpSession):
    """aiogram's session without its own TLS context, which takes 25 ms and 2 MB to make, and without redirects."""

    def __init__(self, url: str) -> None:
        """``url`` is the Bot API's base URL."""
        server = TelegramAPIServer.from_base(url)
        BaseSession.__init__(self, server, timeout=REQUEST_TIMEOUT)
        self._secure = urlsplit(url).scheme == "https"
        self._client: ClientSession | None = None

    async def create_session(self) -> ClientSession:
        """Return the client; its connections are made when they are needed."""
        if self._client is None or self._client.closed:
            ssl = tls.context() if self._secure else False
            connector = TCPConnector(ssl=ssl, limit=CONNECTIONS, ttl_dns_cache=DNS_TTL)
            self._client = ClientSession(connector=connector, trust_env=self._secure)
        return self._client

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        """Post a method; raises TelegramNetworkError, whose cause says whether it was written, and AiogramError."""
        client = await self.create_session()
        url = self.api.api_url(bot.token, method.__api_method__)
        limits = ClientTimeout(total=timeout or self.timeout, sock_connect=CONNECT_TIMEOUT)
        form = self.build_form_data(bot, method)
        try:
            async with client.post(url, data=form, timeout=limits, allow_redirects=False) as response:
                body = await response.text(errors="replace")
        except TimeoutError as error:
            raise TelegramNetworkError(method, "no answer in time") from error
        except ClientError as error:
            raise TelegramNetworkError(method, f"{type(error).__name__}: {clean(str(error), bot.token)}") from error
        checked = self.check_response(bot, method, response.status, body)
        return cast("TelegramType", checked.result)

    async def download(self, bot: Bot, path: str, timeout: float) -> AsyncIterator[bytes]:
        """Read a file of the Bot API; raises ClientError and TimeoutError, whose texts may hold the token."""
        client = await self.create_session()
        limits = ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
        url = self.api.file_url(bot.token, path)
        async with client.get(url, timeout=limits, allow_redirects=False, raise_for_status=True) as response:
            async for chunk in response.content.iter_chunked(CHUNK):
                yield chunk

    async def close(self) -> None:
        """Leave all connections."""
        if self._client:
            await self._client.close()


def connect(token: Secret, url: str) -> Bot:
    """Make a bot; nothing is sent yet. Raises TokenValidationError for a text that is no token."""
    return Bot(token.reveal(), Session(url))


def decoded(error: ProviderError) -> dict[str, Any] | None:
    """The JSON of an answer that says ``ok`` but that aiogram does not understand (Any: whatever JSON it is)."""
    data = error.data if isinstance(error, ClientDecodeError) else None
    return data if isinstance(data, dict) and data.get("ok") is True else None


def maybe_taken(error: ProviderError) -> bool:
    """Whether the provider may have done what was asked: the request was written and no answer of its own came."""
    if isinstance(error, TelegramNetworkError):
        return not isinstance(error.__cause__, ClientConnectorError | ConnectionTimeoutError)
    return isinstance(error, TimeoutError | ClientDecodeError)


def trouble(error: ProviderError | TokenValidationError, token: Secret) -> Trouble:
    """Put an error into words that a person can act on, without the token."""
    match error:
        case TokenValidationError():
            return Trouble("token", "This is not a Telegram bot token (digits, a colon, letters).", NEW_TOKEN)
        case TelegramUnauthorizedError() | TelegramNotFound():
            return Trouble("token", f"Telegram refuses the bot's token ({error.message}).", NEW_TOKEN)
        case TelegramConflictError():
            return Trouble(
                "conflict", f"Another program polls Telegram with this token ({error.message}).", OTHER_POLLER
            )
        case TelegramRetryAfter():
            return Trouble("flood", f"Telegram asks to wait {error.retry_after} s.", WAIT, float(error.retry_after))
        case TelegramServerError():
            return Trouble("network", f"Telegram has a fault of its own ({error.message}).", NETWORK)
        case TelegramNetworkError():
            return Trouble("network", clean(f"Telegram cannot be reached: {error.message}", token.reveal()), NETWORK)
        case TimeoutError():
            return Trouble("network", "Telegram did not answer in time.", NETWORK)
        case ClientDecodeError():
            return Trouble("network", "Telegram's address answered something that is not its protocol.", NETWORK)
        case TelegramAPIError():
            return Trouble("refused", clean(f"Telegram refuses: {error.message}", token.reveal()), NETWORK)
        case _:
            return Trouble("refused", clean(f"Telegram: {error}", token.reveal()), NETWORK)


def clean(text: str, token: str) -> str:
    """One short line without the token and without anything that looks like one."""
    line = " ".join(redact(text.replace(token, MASK)).split())
    return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"
