"""A Telegram bot: aiogram's methods and types over our own HTTP client, and what the Bot API's errors mean.

Every URL has the token in its path, so the token is removed from each error text before the text leaves the account.
https://core.telegram.org/bots/api#making-requests
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.session.base import BaseSession
from aiogram.methods import Response, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import File, Message, Update, User
from aiogram.utils.token import TokenValidationError
from pydantic import ValidationError

from proto.gateways import Gateway
from worker.gateways.common.account import REQUEST_TIMEOUT, Identity, Located
from worker.gateways.common.attachments import Attachment, TooLargeError
from worker.gateways.common.reading import fitted, parsed
from worker.gateways.common.rest import ErrorBody, Rest, understood
from worker.gateways.common.trouble import Refusal, Trouble, TroubleError, UnreadableError, fate, passing

ANSWERS: Final = (Response[list[Update]], Response[User], Response[Message], Response[File], Response[bool])
"""The types of all answers that we decode. pydantic builds each at its first use, which takes up to 4 ms and 3 MB, and
drops a type that nothing refers to."""

NEW_TOKEN: Final = (
    "The token is wrong or was revoked: ask @BotFather for the bot's token (/token), then add the channel again with "
    "it: the pairing stays."
)
OTHER_POLLER: Final = (
    "Stop the other program, or give this bot a new token with @BotFather (/revoke) and add the channel again. "
    "personad tries again now and then."
)
OTHER_POLLER_WAIT: Final = 30.0


class OddAnswerError(UnreadableError):
    """Telegram did what was asked, but aiogram cannot parse its answer. ``result`` is the answer's JSON."""

    def __init__(self, result: Any) -> None:
        # Any: it may be any JSON.
        super().__init__("an answer that aiogram cannot parse")
        self.result = result


class _Parameters(msgspec.Struct):
    retry_after: float = 0.0


class Answered(msgspec.Struct):
    """The envelope of every answer (https://core.telegram.org/bots/api#making-requests)."""

    ok: bool
    result: Any = None
    error_code: int = 0
    description: str = ""
    parameters: _Parameters = msgspec.field(default_factory=_Parameters)


class TelegramAccount(Rest):
    """One bot."""

    provider = "Telegram"
    token_hint = "Ask @BotFather for the bot's token (/token)."

    def __init__(self, gateway: Gateway, url: str, request_timeout: float = REQUEST_TIMEOUT) -> None:
        super().__init__(gateway, url, {}, request_timeout)
        self._token = gateway.token.reveal()
        self._bot: Bot | None = None

    @property
    def bot(self) -> Bot:
        """aiogram's bot. Raises TroubleError if the token does not have the form of one."""
        return self._bot or self._made()

    def unusable(self) -> Trouble | None:
        try:
            self._made()
        except TroubleError as error:
            return error.trouble
        return None

    def _made(self) -> Bot:
        try:
            self._bot = Bot(self._token, _Session(self))
        except TokenValidationError:
            reason = "This is not a Telegram bot token (digits, a colon, letters)."
            raise TroubleError(Trouble("credential", reason, NEW_TOKEN)) from None
        return self._bot

    async def whoami(self) -> Identity:
        me = await self.bot.get_me()
        return Identity(str(me.id), me.username or me.first_name)

    async def locate(self, file: Attachment) -> Located:
        """Ask for a file's path, which is valid for an hour (https://core.telegram.org/bots/api#getfile)."""
        try:
            found = await self.bot.get_file(file.source)
        except Refusal as error:
            raise TooLargeError from None if "too big" in error.message else error
        return Located(f"{self.url}/file/bot{self._token}/{found.file_path}", found.file_size)

    def classify(self, error: Exception) -> Trouble:
        """Say what an error means. An unknown bot's token gets 404, since it is part of the path; a wrong one 401."""
        match error:
            case Refusal(status=401 | 404, message=message):
                reason = f"Telegram refuses the bot's token ({message.rstrip('.')})."
                return Trouble("credential", reason, NEW_TOKEN)
            case Refusal(status=409, message=message):
                reason = f"Another program polls Telegram with this token ({message.rstrip('.')})."
                return Trouble("config", reason, OTHER_POLLER, OTHER_POLLER_WAIT, fate(error))
            case _:
                return passing(self.provider, error)

    def read_error(self, body: bytes) -> ErrorBody:
        found = fitted(parsed(body), Answered)
        return ErrorBody(found.error_code, found.description, found.parameters.retry_after)


class _Session(AiohttpSession):
    """Sends aiogram's methods with the account's client: one shared TLS context, no redirects, our own errors."""

    def __init__(self, account: TelegramAccount) -> None:
        # AiohttpSession.__init__ would create a TLS context, which takes 25 ms and 2 MB.
        BaseSession.__init__(self)
        self._account = account

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        """Call a method. Raises what PROVIDER_ERRORS lists; OddAnswerError means that the call succeeded."""
        path = f"/bot{bot.token}/{method.__api_method__}"
        answer = await self._account.ask("POST", path, form=self.build_form_data(bot, method), timeout=timeout)
        found = understood(answer, Answered)
        if not found.ok:
            raise Refusal(found.error_code or 400, found.error_code, found.description, found.parameters.retry_after)
        try:
            parsed = Response[method.__returning__].model_validate(answer, context={"bot": bot})  # type: ignore[name-defined]  # known at run time only
        except ValidationError:
            raise OddAnswerError(found.result) from None
        return cast("TelegramType", parsed.result)

    async def close(self) -> None:
        """Do nothing: the account owns the connections."""
