"""The Telegram emulator's controls over HTTP, under ``/_control/``, for tests that run in another process.

Bodies and answers are JSON. A bot may be left out where there is only one.

POST bots {token?, username?, first_name?, reads_groups?}     POST revoke {token}
POST say {user_id, kind, text?, data? (base64), ...: Say}     POST groups {title, kind?, tokens?}
POST block {user_id, token?, blocked?}                        POST press {user_id, chat_id, message_id, data}
POST faults {Fault}    DELETE faults                          POST flood {on}
POST outage {seconds}                                         POST jump {token?, update_id}
GET state    GET journal?method=    GET sent?chat_id=&count=&timeout=    GET files/FILE_ID
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.emulators.telegram_faults import Fault
from tests.emulators.telegram_people import Person, Posted
from tests.emulators.telegram_world import Bot, Json

if TYPE_CHECKING:
    from tests.emulators.telegram import TelegramEmulator

T = TypeVar("T")


class NewBot(msgspec.Struct):
    """A bot to add."""

    token: str = ""
    username: str = ""
    first_name: str = "Persona"
    reads_groups: bool = False


class Say(msgspec.Struct):
    """What a person does."""

    user_id: int
    kind: Literal["text", "start", "edit", "photo", "voice", "audio", "video_note", "document"] = "text"
    text: str = ""
    """The text, the caption, or the payload of /start."""
    data: str = ""
    """A file's bytes in base64."""
    username: str = ""
    token: str = ""
    chat_id: int | None = None
    reply_to: int = 0
    message_id: int = 0
    """The message to edit."""
    name: str = ""
    size: int | None = None
    duration: int = 3
    album: str = ""


class NewGroup(msgspec.Struct):
    """A group to make; without ``tokens`` every bot is in it."""

    title: str
    kind: Literal["group", "supergroup"] = "supergroup"
    tokens: list[str] = []


class Target(msgspec.Struct):
    """The small bodies of the other controls."""

    token: str = ""
    user_id: int = 0
    blocked: bool = True
    on: bool = True
    seconds: float = 1.0
    update_id: int = 0
    chat_id: int = 0
    message_id: int = 0
    data: str = ""


class Controls:
    """HTTP in front of the emulator's own methods."""

    def __init__(self, emulator: TelegramEmulator) -> None:
        self._emulator = emulator
        self._returning: asyncio.Task[None] | None = None

    def routes(self) -> list[BaseRoute]:
        """The routes, to come before the Bot API's own."""
        posts: dict[str, Route] = {
            "bots": _post("bots", NewBot, self._add_bot),
            "say": _post("say", Say, self._say),
            "groups": _post("groups", NewGroup, self._add_group),
            "faults": _post("faults", Fault, self._fail),
            "revoke": _post("revoke", Target, self._revoke),
            "block": _post("block", Target, self._block),
            "press": _post("press", Target, self._press),
            "flood": _post("flood", Target, self._flood),
            "outage": _post("outage", Target, self._outage),
            "jump": _post("jump", Target, self._jump),
        }
        return [
            *posts.values(),
            Route("/_control/faults", self._heal, methods=["DELETE"]),
            Route("/_control/state", self._state),
            Route("/_control/journal", self._journal),
            Route("/_control/sent", self._sent),
            Route("/_control/files/{file_id}", self._file),
        ]

    def _add_bot(self, body: NewBot) -> Json:
        bot = self._emulator.add_bot(body.token, body.username, body.first_name, reads_groups=body.reads_groups)
        return {"token": bot.token, **bot.as_user()}

    def _say(self, body: Say) -> Json:
        person = self._emulator.user(body.user_id, body.username)
        posted = self._do(person, body)
        return {"update_id": posted.update_id, "message": posted.message}

    def _do(self, person: Person, body: Say) -> Posted:
        bot = self._bot(body.token)
        chat = self._emulator.world.chats[body.chat_id] if body.chat_id is not None else None
        if body.kind == "text":
            return person.write(body.text, chat=chat, bot=bot, reply_to=body.reply_to)
        if body.kind == "start":
            return person.start(body.text, bot=bot)
        if body.kind == "edit":
            message = self._emulator.world.message(bot, chat or person.chat, body.message_id)
            if not message:
                raise ValueError("no such message to edit")
            return person.edit(Posted(None, message, bot), body.text)
        data = base64.b64decode(body.data)
        named = {"name": body.name, "caption": body.text, "album": body.album}
        return person.send(body.kind, data, size=body.size, duration=body.duration, chat=chat, bot=bot, **named)

    def _add_group(self, body: NewGroup) -> Json:
        bots = [self._emulator.world.bots[token] for token in body.tokens]
        return self._emulator.group(body.title, bots, body.kind).as_json()

    def _fail(self, body: Fault) -> Json:
        self._emulator.faults.add(body)
        return {}

    def _revoke(self, body: Target) -> Json:
        self._emulator.revoke(self._bot(body.token))
        return {}

    def _block(self, body: Target) -> Json:
        person = self._emulator.user(body.user_id)
        (person.block if body.blocked else person.unblock)(self._bot(body.token))
        return {}

    def _press(self, body: Target) -> Json:
        bot, chat = self._bot(body.token), self._emulator.world.chats[body.chat_id]
        message = self._emulator.world.message(bot, chat, body.message_id)
        if not message:
            raise ValueError("no such message")
        return {"id": self._emulator.user(body.user_id).press(message, body.data, bot=bot)}

    def _flood(self, body: Target) -> Json:
        self._emulator.flood(on=body.on)
        return {}

    def _outage(self, body: Target) -> Json:
        """Vanish once this is answered, and come back after ``seconds``."""
        self._returning = asyncio.get_running_loop().create_task(self._away(body.seconds))
        return {}

    async def _away(self, seconds: float) -> None:
        await asyncio.sleep(0.05)
        await self._emulator.server.vanish()
        await asyncio.sleep(seconds)
        await self._emulator.server.listen()

    def _jump(self, body: Target) -> Json:
        self._bot(body.token).updates.jump(body.update_id)
        return {}

    async def _heal(self, _request: Request) -> Response:
        self._emulator.heal()
        return JSONResponse({})

    async def _state(self, _request: Request) -> Response:
        bots = [
            {
                "token": bot.token,
                "username": bot.username,
                "most_polls": bot.most_polls,
                "pending": [update["update_id"] for update in bot.updates.pending],
                "next_update_id": bot.updates.next_id,
            }
            for bot in self._emulator.world.bots.values()
        ]
        actions = [{"chat_id": chat, "action": action, "at": at} for chat, action, at in self._emulator.world.actions]
        drafts = [{"chat_id": one.chat_id, "text": one.text, "at": one.at} for one in self._emulator.world.drafts]
        return JSONResponse({"bots": bots, "actions": actions, "drafts": drafts})

    async def _journal(self, request: Request) -> Response:
        calls = self._emulator.calls(request.query_params.get("method", ""))
        return Response(msgspec.json.encode(calls), media_type="application/json")

    async def _sent(self, request: Request) -> Response:
        query = request.query_params
        chat_id, count, timeout = int(query["chat_id"]), int(query.get("count", 0)), float(query.get("timeout", 0))
        try:
            return JSONResponse(await asyncio.to_thread(self._emulator.wait_for_sent, chat_id, count, timeout))
        except TimeoutError as error:
            return JSONResponse({"detail": str(error)}, 408)

    async def _file(self, request: Request) -> Response:
        return Response(self._emulator.world.files[request.path_params["file_id"]].data)

    def _bot(self, token: str) -> Bot:
        return self._emulator.bot(token)


def _post(name: str, kind: type[T], handle: Callable[[T], Json]) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(handle(msgspec.json.decode(await request.body() or b"{}", type=kind)))
        except (msgspec.ValidationError, msgspec.DecodeError, ValueError, KeyError, binascii.Error) as error:
            return JSONResponse({"detail": str(error)}, 400)

    return Route(f"/_control/{name}", endpoint, methods=["POST"])
