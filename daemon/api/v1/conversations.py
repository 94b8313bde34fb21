"""The conversations of a channel and their messages, both in pages, newest first."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.v1.objects import conversation_object, message_object
from daemon.api.v1.paging import Number, Place, cursor_of, limit_of, page
from daemon.api.v1.problems import Refused
from daemon.channels.erasure import Erasure
from daemon.http.answers import NO_STORE, json_response
from daemon.ledger import Ledger, OpenChannel
from daemon.runtime.clock import Clock

CHANNELS: Final = "/v1/channels"
CHANNEL: Final = f"{CHANNELS}/{{channel_id}}"


OWNERS: Final = "This channel is paired with her owner: GET /api/persona/ID/conversation has them."


class ConversationPlace(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A position in the list: after this conversation."""

    last_at: Number
    chat: Place


class MessagePlace(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A position in the list: older than this message."""

    at: Number
    place: Number


async def find_channel(ledger: Ledger, clock: Clock, request: Request) -> OpenChannel:
    """The channel in the request's path, open or paired. Raises Refused (404)."""
    channel = await ledger.open_channel(request.path_params["channel_id"], clock.time_ns())
    if channel is None or channel.type == "discord":
        raise Refused(404, "There is no channel with this id; GET /v1/channels lists those that there are.")
    return channel


class ConversationRoutes:
    """The routes of channels' conversations and messages."""

    def __init__(self, *, ledger: Ledger, erasure: Erasure, clock: Clock) -> None:
        self._ledger = ledger
        self._erasure = erasure
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"{CHANNEL}/conversations", self.list_conversations),
            Route(f"{CHANNEL}/conversations/{{conversation_id}}/messages", self.list_messages),
            Route(f"{CHANNEL}/conversations/{{conversation_id}}", self.erase_conversation, methods=["DELETE"]),
            Route("/v1/senders/{sender_id}", self.erase_sender, methods=["DELETE"]),
        ]

    async def list_conversations(self, request: Request) -> Response:
        """``GET /v1/channels/{channel_id}/conversations``: most recently active first."""
        channel = await find_channel(self._ledger, self._clock, request)
        limit, after = limit_of(request), cursor_of(request, ConversationPlace)
        found = await self._ledger.channel_conversations(
            channel.channel, (after.last_at, after.chat) if after else None, limit + 1
        )
        return json_response(
            page(
                found,
                limit,
                lambda one: conversation_object(channel.channel, one),
                lambda one: ConversationPlace(one.last_at, one.chat),
            )
        )

    async def list_messages(self, request: Request) -> Response:
        """``GET /v1/channels/{channel_id}/conversations/{conversation_id}/messages``: newest first.

        A token for this API does not give access to her owner's messages: these belong to the persona API.
        """
        channel = await find_channel(self._ledger, self._clock, request)
        if not channel.open:
            raise Refused(409, OWNERS)
        limit, after = limit_of(request), cursor_of(request, MessagePlace)
        chat = request.path_params["conversation_id"]
        found = await self._ledger.channel_messages(
            channel.channel, chat, (after.at, after.place) if after else None, limit + 1
        )
        if not found and after is None:
            raise Refused(
                404, "There is no conversation with this id; GET .../conversations lists those that there are."
            )
        return json_response(page(found, limit, message_object, lambda one: MessagePlace(one.at, one.place)))

    async def erase_conversation(self, request: Request) -> Response:
        """``DELETE /v1/channels/{channel_id}/conversations/{conversation_id}``: its words, answers and files.

        If the person writes again, a new conversation begins.
        """
        channel = await find_channel(self._ledger, self._clock, request)
        if not channel.open:
            raise Refused(409, OWNERS)
        await self._erasure.conversation(channel.channel, request.path_params["conversation_id"])
        return Response(None, 204, NO_STORE)

    async def erase_sender(self, request: Request) -> Response:
        """``DELETE /v1/senders/{sender_id}``: all conversations in which this account wrote, on all open channels."""
        if not await self._erasure.sender(request.path_params["sender_id"]):
            raise Refused(404, "No sender with this id wrote on an open channel; conversations list their senderIds.")
        return Response(None, 204, NO_STORE)
