"""A Telegram bot: aiogram's methods and types over our own HTTP client, and what the Bot API's errors mean.

The token stands in the path of every URL, so no error text leaves the account without being cleaned of it.
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
from worker.gateways.common.rest import Rest, Told, understood
from worker.gateways.common.trouble import Refusal, Trouble, TroubleError, UnreadableError, fate, passing

ANSWERS: Final = (Response[list[Update]], Response[User], Response[Message], Response[File], Response[bool])
"""The forms of the answers that come here. pydantic builds each at its first use, for up to 4 ms and 3 MB, and
forgets those that are not held."""

NEW_TOKEN: Final = (
    "The token is wrong or was revoked: ask @BotFather for the bot's token (/token), remove this channel and add it "
    "again with that one."
)
OTHER_POLLER: Final = (
    "Stop the other program; or give this bot a new token with @BotFather (/revoke), and add the channel again. "
    "Trying again now and then."
)
OTHER_POLLER_WAIT: Final = 30.0


class OddAnswerError(UnreadableError):
    """Telegram did what was asked, and answered in a form that aiogram does not know; ``result`` is its JSON."""

    def __init__(self, result: Any) -> None:
        # Any: whatever JSON it is.
        super().__init__("an answer of an unknown form")
        self.result = result


class _Parameters(msgspec.Struct):
    retry_after: float = 0.0


class Answered(msgspec.Struct):
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
        """aiogram's bot. Raises TroubleError for a text that is no token."""
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
            told = "This is not a Telegram bot token (digits, a colon, letters)."
            raise TroubleError(Trouble("credential", told, NEW_TOKEN)) from None
        return self._bot

    async def whoami(self) -> Identity:
        me = await self.bot.get_me()
        return Identity(str(me.id), me.username or me.first_name)

    async def locate(self, file: Attachment) -> Located:
        """Ask for the path of a file, which holds for an hour (https://core.telegram.org/bots/api#getfile)."""
        try:
            found = await self.bot.get_file(file.source)
        except Refusal as error:
            raise TooLargeError from None if "too big" in error.message else error
        return Located(f"{self.url}/file/bot{self._token}/{found.file_path}", found.file_size)

    def classify(self, error: Exception) -> Trouble:
        """Unknown tokens are 404, since they are part of the path; a wrong secret part is 401."""
        match error:
            case Refusal(status=401 | 404, message=message):
                told = f"Telegram refuses the bot's token ({message.rstrip('.')})."
                return Trouble("credential", told, NEW_TOKEN)
            case Refusal(status=409, message=message):
                told = f"Another program polls Telegram with this token ({message.rstrip('.')})."
                return Trouble("config", told, OTHER_POLLER, OTHER_POLLER_WAIT, fate(error))
            case _:
                return passing(self.provider, error)

    def read_error(self, body: bytes) -> Told:
        found = msgspec.json.decode(body, type=Answered)
        return Told(found.error_code, found.description, found.parameters.retry_after)


class _Session(AiohttpSession):
    """Carries aiogram's methods over the account's client: one TLS context for all, no redirects, our own errors."""

    def __init__(self, account: TelegramAccount) -> None:
        # AiohttpSession's own makes a TLS context, which takes 25 ms and 2 MB.
        BaseSession.__init__(self)
        self._account = account

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        """Post a method. Raises what PROVIDER_ERRORS lists; OddAnswerError where it was done all the same."""
        path = f"/bot{bot.token}/{method.__api_method__}"
        answer = await self._account.ask("POST", path, form=self.build_form_data(bot, method), timeout=timeout)
        told = understood(answer, Answered)
        if not told.ok:
            raise Refusal(told.error_code or 400, told.error_code, told.description, told.parameters.retry_after)
        try:
            found = Response[method.__returning__].model_validate(answer, context={"bot": bot})  # type: ignore[name-defined]  # known at run time only
        except ValidationError:
            raise OddAnswerError(told.result) from None
        return cast("TelegramType", found.result)

    async def close(self) -> None:
        """Nothing: the account has the connections."""
