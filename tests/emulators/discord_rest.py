"""Discord's REST API v10 and its CDN: routes, checks and errors like the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from starlette.requests import Request as Incoming
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulators.discord_forms import Refusal, describe, invalid, read, snowflake, whole
from tests.emulators.discord_gateway import Gateway
from tests.emulators.discord_journal import Fault, Journal, Request
from tests.emulators.discord_limits import Limits, cloudflare
from tests.emulators.discord_objects import (
    MESSAGE_CONTENT,
    Bot,
    Channel,
    Json,
    Message,
    Upload,
    show_account,
    show_application,
    show_channel,
    show_me,
)
from tests.emulators.discord_world import World

TEXT_LIMIT: Final = 2000
NONCE_LIMIT: Final = 25
FILE_LIMIT: Final = 10 * 2**20
"""Bytes of all files in one message, without a boosted guild."""

API: Final = "/api/v10"
OPEN: Final = {"GET /gateway"}
"""Routes that need no token."""


class Call(msgspec.Struct):
    """One authorised request. ``body`` (Any) is whatever JSON came."""

    bot: Bot
    body: Any
    uploads: list[Upload]
    path: dict[str, str]
    query: dict[str, str]

    def number(self, name: str) -> int:
        return snowflake(name, self.path[name])


Handler = Callable[[Call], Response]


class Rest:
    """The HTTP side of Discord; touched only on the emulator's loop."""

    def __init__(
        self, world: World, journal: Journal, limits: Limits, gateway: Gateway, cut: Callable[[object], None]
    ) -> None:
        self.world = world
        self.journal = journal
        self.limits = limits
        self.gateway = gateway
        self.announce_channels = False
        self.owner = world.add_account("owner")
        self.typing: dict[int, int] = {}
        """How often a bot typed, by channel."""
        self._cut = cut

    def routes(self) -> list[Route]:
        one = "/channels/{channel_id}/messages/{message_id}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/users/@me", lambda call: JSONResponse(show_me(call.bot))),
            ("GET", "/users/{user_id}", self._user),
            ("POST", "/users/@me/channels", self._open),
            ("GET", "/applications/@me", self._application),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/applications/{application_id}/commands", self._commands),
            ("GET", "/gateway", lambda _: JSONResponse({"url": self._gateway_url()})),
            ("GET", "/gateway/bot", self._gateway_bot),
            ("GET", "/channels/{channel_id}", self._channel),
            ("GET", "/channels/{channel_id}/messages", self._history),
            ("POST", "/channels/{channel_id}/messages", self._create),
            ("POST", "/channels/{channel_id}/typing", self._type),
            ("GET", one, self._message),
            ("PATCH", one, self._edit),
            ("DELETE", one, self._delete),
        ]
        made = [Route(API + path, self._endpoint(verb, path, work), methods=[verb]) for verb, path, work in table]
        cdn = Route("/attachments/{channel_id}/{attachment_id}/{filename}", self._file)
        return [*made, cdn, Route("/{path:path}", self._unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])]

    def _endpoint(self, method: str, path: str, handler: Handler) -> Callable[[Incoming], Awaitable[Response]]:
        async def endpoint(incoming: Incoming) -> Response:
            return await self._answer(f"{method} {path}", handler, incoming)

        return endpoint

    async def _answer(self, route: str, handler: Handler, incoming: Incoming) -> Response:
        """Journal the request, fail if a fault says so, check the token and the limits, and do the work."""
        body, uploads, readable = await read(incoming)
        entry = self._journal(route, incoming, body, uploads)
        token = incoming.headers.get("authorization", "")
        major = incoming.path_params.get("channel_id", "")
        fault = self.journal.take(route, token.removeprefix("Bot "))
        if fault and not fault.stored:
            return await self._fail(fault, route, incoming, entry)

        def work() -> Response:
            bot = self.world.bot(token) if token.startswith("Bot ") else None
            if bot is None and route not in OPEN:
                raise Refusal(401, 0, "401: Unauthorized")
            if limited := self.limits.check(route, major, token):
                return limited
            if not readable:
                raise Refusal(400, 50109, "The request body contains invalid JSON.")
            known = bot or Bot("", self.owner)
            return handler(Call(known, body, uploads, incoming.path_params, dict(incoming.query_params)))

        if self.limits.banned:
            response = cloudflare(self.limits.invalid.left())
            return self._finish(entry, response)
        try:
            response = work()
        except Refusal as refusal:
            response = JSONResponse(refusal.body, refusal.status)
        self.limits.stamp(response, route, major, token)
        if fault:
            return await self._fail(fault, route, incoming, entry)
        return self._finish(entry, response)

    async def _fail(self, fault: Fault, route: str, incoming: Incoming, entry: Request) -> Response:
        match fault.kind:
            case "hang":
                waiting = {
                    asyncio.ensure_future(self.journal.released.wait()),
                    asyncio.ensure_future(incoming.receive()),
                }
                _, late = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in late:
                    task.cancel()
                return Response(status_code=504)
            case "drop":
                self._cut(incoming.scope["client"])
                await asyncio.sleep(0)
                return Response(status_code=504)
            case "cloudflare":
                response = cloudflare(fault.retry_after)
            case "status":
                text = f"{fault.status}: {'Unauthorized' if fault.status == 401 else 'Made to fail'}"
                response = JSONResponse({"message": text, "code": 0}, fault.status)
                response.headers["Via"] = "1.1 google"
            case kind:
                scope = "user" if kind == "rate_limit" else kind
                response = self.limits.refuse(route, fault.retry_after, scope)
                response.headers["Via"] = "1.1 google"
        return self._finish(entry, response)

    def _finish(self, entry: Request, response: Response) -> Response:
        entry.status = response.status_code
        self.limits.count_invalid(response)
        self.journal.ring()
        return response

    def _journal(self, route: str, incoming: Incoming, body: object, uploads: list[Upload]) -> Request:
        names = [upload.filename for upload in uploads]
        query, headers = dict(incoming.query_params), dict(incoming.headers)
        entry = Request(incoming.method, route, incoming.url.path, query, headers, body, names)
        self.journal.add(entry)
        return entry

    def _gateway_url(self) -> str:
        return self.world.base.replace("http", "ws", 1) + "/gw"

    def _gateway_bot(self, call: Call) -> Response:
        left = max(0, 1000 - self.gateway.identifies[call.bot.token])
        limit = {"total": 1000, "remaining": left, "reset_after": 86_400_000, "max_concurrency": 1}
        return JSONResponse({"url": self._gateway_url(), "shards": 1, "session_start_limit": limit})

    def _application(self, call: Call) -> Response:
        return JSONResponse(show_application(call.bot, self.owner))

    def _commands(self, call: Call) -> Response:
        if call.number("application_id") != call.bot.account.id:
            raise Refusal(403, 20012, "You are not authorized to perform this action on this application")
        return JSONResponse([])

    def _user(self, call: Call) -> Response:
        account = self.world.accounts.get(call.number("user_id"))
        if account is None:
            raise Refusal(404, 10013, "Unknown User")
        return JSONResponse(show_account(account))

    def _open(self, call: Call) -> Response:
        recipient = call.body.get("recipient_id") if isinstance(call.body, dict) else None
        person = self.world.accounts.get(snowflake("recipient_id", str(recipient)))
        if person is None or person is call.bot.account:
            raise Refusal(400, 50033, "Invalid Recipient(s)")
        channel, new = self.world.dm(call.bot, person)
        if new and self.announce_channels:
            self.gateway.announce_channel(channel)
        return JSONResponse(show_channel(channel))

    def _channel(self, call: Call) -> Response:
        return JSONResponse(show_channel(self._own_channel(call)))

    def _history(self, call: Call) -> Response:
        """At most ``limit`` messages, always newest first; after an id they are the oldest of the later ones."""
        channel = self._own_channel(call)
        limit = whole("limit", call.query.get("limit", "50"), 1, 100)
        found = channel.messages
        if "around" in call.query:
            middle = snowflake("around", call.query["around"])
            later = [message for message in found if message.id >= middle][: limit // 2 + 1]
            found = [message for message in found if message.id < middle][-(limit // 2) :] + later
        elif "after" in call.query:
            after = snowflake("after", call.query["after"])
            found = [message for message in found if message.id > after][:limit]
        elif "before" in call.query:
            before = snowflake("before", call.query["before"])
            found = [message for message in found if message.id < before]
        return JSONResponse([self._shown(call, message) for message in reversed(found[-limit:])])

    def _message(self, call: Call) -> Response:
        return JSONResponse(self._shown(call, self._own_message(call)))

    def _create(self, call: Call) -> Response:
        channel, body = self._own_channel(call), self._checked(call)
        nonce = body.get("nonce")
        if nonce is not None and body.get("enforce_nonce"):
            known = self.world.repeated(channel, call.bot.account, nonce)
            if known is not None:
                return JSONResponse(self._shown(call, known))
        if channel.person is not None and (channel.person.bot or not channel.person.accepts_dms):
            raise Refusal(403, 50007, "Cannot send messages to this user")
        reply_to = self._reply_to(channel, body)
        for described in body.get("attachments") or []:
            describe(call.uploads, described)
        message = self.world.store(channel, call.bot.account, body.get("content") or "", call.uploads)
        message.embeds = [*(body.get("embeds") or [])]
        message.flags, message.nonce, message.reply_to = body.get("flags") or 0, nonce, reply_to
        message.tts = bool(body.get("tts"))
        if nonce is not None:
            # A later send may enforce the nonce of an earlier one that did not.
            self.world.remember(message)
        self.gateway.announce(message)
        self.journal.ring()
        return JSONResponse(self._shown(call, message))

    def _edit(self, call: Call) -> Response:
        message = self._own_message(call)
        if message.author is not call.bot.account:
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        body = self._checked(call, edits=True)
        message.content = body["content"] or "" if "content" in body else message.content
        message.embeds = [*body["embeds"]] if body.get("embeds") is not None else message.embeds
        message.flags = body["flags"] if body.get("flags") is not None else message.flags
        message.edited = datetime.now(UTC)
        self.gateway.announce(message, "MESSAGE_UPDATE")
        self.journal.ring()
        return JSONResponse(self._shown(call, message))

    def _delete(self, call: Call) -> Response:
        message = self._own_message(call)
        if message.author is not call.bot.account:
            raise Refusal(403, 50003, "Cannot execute action on a DM channel")
        channel = self._own_channel(call)
        channel.messages.remove(message)
        self.gateway.announce_gone(message)
        return Response(status_code=204)

    def _type(self, call: Call) -> Response:
        channel = self._own_channel(call)
        self.typing[channel.id] = self.typing.get(channel.id, 0) + 1
        self.journal.ring()
        return Response(status_code=204)

    def _own_channel(self, call: Call) -> Channel:
        channel = self.world.channels.get(call.number("channel_id"))
        if channel is None:
            raise Refusal(404, 10003, "Unknown Channel")
        if channel.bot is not call.bot:
            raise Refusal(403, 50001, "Missing Access")
        return channel

    def _own_message(self, call: Call) -> Message:
        message = self.world.find(self._own_channel(call), call.number("message_id"))
        if message is None:
            raise Refusal(404, 10008, "Unknown Message")
        return message

    def _shown(self, call: Call, message: Message) -> Json:
        return self.world.show(message, call.bot, content=bool(call.bot.privileged & MESSAGE_CONTENT))

    def _checked(self, call: Call, *, edits: bool = False) -> Json:
        """A message's body within Discord's limits."""
        if not isinstance(call.body, dict):
            problem = {"code": "MODEL_TYPE_CONVERT", "message": "Only dictionaries may be used in a ModelType"}
            raise Refusal(400, 50035, "Invalid Form Body", {"_errors": [problem]})
        body: Json = call.body
        content, nonce = body.get("content"), body.get("nonce")
        if content is not None and not isinstance(content, str):
            raise invalid("content", "BASE_TYPE_BAD_STRING", "Could not interpret value as string.")
        if content and len(content) > TEXT_LIMIT:
            raise invalid("content", "BASE_TYPE_MAX_LENGTH", f"Must be {TEXT_LIMIT} or fewer in length.")
        if nonce is not None and len(str(nonce)) > NONCE_LIMIT:
            raise invalid("nonce", "BASE_TYPE_MAX_LENGTH", f"Must be {NONCE_LIMIT} or fewer in length.")
        if sum(len(upload.data) for upload in call.uploads) > FILE_LIMIT:
            raise Refusal(413, 40005, "Request entity too large")
        full = (content and content.strip()) or body.get("embeds") or body.get("sticker_ids") or call.uploads
        if not edits and not full:
            raise Refusal(400, 50006, "Cannot send an empty message")
        return body

    def _reply_to(self, channel: Channel, body: Json) -> int | None:
        reference = body.get("message_reference")
        if not isinstance(reference, dict):
            return None
        wanted = snowflake("message_id", str(reference.get("message_id")))
        if self.world.find(channel, wanted):
            return wanted
        if reference.get("fail_if_not_exists", True):
            raise invalid("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
        return None

    async def _file(self, incoming: Incoming) -> Response:
        """The CDN: no token, but a signed link."""
        route = "GET /attachments/{channel_id}/{attachment_id}/{filename}"
        entry = self._journal(route, incoming, None, [])
        if fault := self.journal.take(route, ""):
            return await self._fail(fault, route, incoming, entry)
        attachment = self.world.attachments.get(int(incoming.path_params["attachment_id"]))
        signed = attachment is not None and f"hm={incoming.query_params.get('hm')}&" in attachment.url
        if attachment is None or not signed:
            return self._finish(entry, Response("This content is no longer available.", 404, media_type="text/plain"))
        kind = attachment.upload.content_type or "application/octet-stream"
        return self._finish(entry, Response(attachment.upload.data, headers={"content-type": kind}))

    async def _unknown(self, incoming: Incoming) -> Response:
        """A route that the emulator does not have: it says so instead of pretending."""
        entry = self._journal("unknown", incoming, None, [])
        text = f"the emulator has no {incoming.method} {incoming.url.path}"
        return self._finish(entry, JSONResponse({"message": text, "code": 0}, 501))
