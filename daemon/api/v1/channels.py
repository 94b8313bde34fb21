"""Channels as resources: create, list, show, change, delete, pause, resume and test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.v1.changing import changed_fields, renewed
from daemon.api.v1.choices import Choices
from daemon.api.v1.conditions import check_match, etag
from daemon.api.v1.conversations import CHANNEL, CHANNELS, find_channel
from daemon.api.v1.creating import channel_request, made_since, make
from daemon.api.v1.idempotency import Keys
from daemon.api.v1.objects import ChannelObject, ChannelType, channel_object
from daemon.api.v1.paging import Number, Place, cursor_of, limit_of, page
from daemon.api.v1.problems import Refused, refused_parameter
from daemon.api.v1.requests import CREATE, UPDATE
from daemon.api.v1.testing import tested
from daemon.channels.service import ChannelService
from daemon.conversations.lanes import MindTrouble
from daemon.http.answers import NO_STORE, json_response
from daemon.ledger import ChannelStatus, Ledger, OpenChannel
from daemon.ledger.channel_operations import FIRST
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from proto.records import to_json

_PAIRED: Final = (
    "This channel was made with the persona API and is paired with her owner. It has none of these settings."
    " Delete it, or pair another one."
)


class ChannelPlace(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A position in the list: after this channel."""

    created_at: Number
    channel: Place


class Filter(msgspec.Struct, rename="camel"):
    """The channels to list."""

    status: ChannelStatus | None = None
    channel_type: ChannelType | None = None


MindsDown: TypeAlias = Callable[[str], Mapping[str, MindTrouble]]
"""Returns a persona's minds that cannot be reached, by the model's name; "" is her own."""

FILTERS: Final = {"status": get_args(ChannelStatus), "channelType": get_args(ChannelType)}


class OpenChannelRoutes:
    """The routes of channels as resources.

    ``webhooks_url`` is the address that providers call. ``keys`` handles the header ``Idempotency-Key``.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        personas: Personas,
        channels: ChannelService,
        choices: Choices,
        clock: Clock,
        keys: Keys,
        minds_down: MindsDown,
        organization_id: str,
        webhooks_url: str,
    ) -> None:
        self._ledger = ledger
        self._personas = personas
        self._channels = channels
        self._choices = choices
        self._clock = clock
        self._keys = keys
        self._minds_down = minds_down
        self._organization_id = organization_id
        self._webhooks_url = webhooks_url
        self._updating = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        return [
            Route(CHANNELS, self.list_channels),
            Route(CHANNELS, self.create, methods=["POST"]),
            Route(f"{CHANNELS}/options", self.options),
            Route(CHANNEL, self.show),
            Route(CHANNEL, self.update, methods=["PATCH"]),
            Route(CHANNEL, self.delete, methods=["DELETE"]),
            Route(f"{CHANNEL}/pause", self.pause, methods=["POST"]),
            Route(f"{CHANNEL}/resume", self.resume, methods=["POST"]),
            Route(f"{CHANNEL}/test", self.test, methods=["POST"]),
        ]

    async def list_channels(self, request: Request) -> Response:
        """``GET /v1/channels``: oldest first, including the persona API's channels of the documented types."""
        limit, after = limit_of(request), cursor_of(request, ChannelPlace)
        wanted = _filter(request)
        found = await self._ledger.open_channels(
            self._clock.time_ns(),
            wanted.status,
            wanted.channel_type,
            (after.created_at, after.channel) if after else FIRST,
            limit + 1,
        )
        return json_response(page(found, limit, self._shown, lambda one: ChannelPlace(one.created_at, one.channel)))

    async def create(self, request: Request) -> Response:
        """``POST /v1/channels``: check the credentials with the provider, save the channel, open its gateway."""
        asked = await CREATE.read(request)

        async def carry_out(begun_at: int | None) -> msgspec.Raw:
            new = await channel_request(self._choices, asked)
            made = None
            if begun_at is not None:
                persona, now = self._personas.get(new.persona), self._clock.time_ns()
                made = await made_since(self._ledger, persona, new, begun_at, now)
            return msgspec.Raw(to_json(self._shown(made or await make(self._channels, new))))

        return await self._keys.once(request, asked, carry_out)

    async def options(self, _request: Request) -> Response:
        """``GET /v1/channels/options``: what a channel can be made of. No channel has the id ``options``."""
        return json_response(await self._choices.options(self._organization_id))

    async def show(self, request: Request) -> Response:
        """``GET /v1/channels/{channel_id}``."""
        return self._answered(await self._find(request))

    async def update(self, request: Request) -> Response:
        """``PATCH /v1/channels/{channel_id}``: absent fields stay, null sets the default; ``If-Match`` is looked at."""
        await self._find(request)
        asked = await UPDATE.read(request)
        # One at a time: no other request may change what this one leaves as it is.
        async with self._updating:
            channel = await self._find(request)
            if not channel.open:
                raise Refused(409, _PAIRED)
            check_match(request, self._shown(channel))
            persona = self._personas.get(channel.persona)
            fields = await changed_fields(self._choices, persona, channel, asked)
            await renewed(self._channels, persona, channel, asked)
            if fields != channel.fields:
                channel = await self._channels.update(channel.channel, fields)
        return self._answered(channel)

    async def delete(self, request: Request) -> Response:
        """``DELETE /v1/channels/{channel_id}``: open or paired; visitors' words are erased, her owner's stay."""
        async with self._updating:
            channel = await self._find(request)
            check_match(request, self._shown(channel))
            await self._channels.delete(channel.channel)
        return Response(None, 204, NO_STORE)

    async def pause(self, request: Request) -> Response:
        """``POST /v1/channels/{channel_id}/pause``: keep incoming messages unanswered."""
        return self._answered(await self._channels.pause((await self._find(request)).channel))

    async def resume(self, request: Request) -> Response:
        """``POST /v1/channels/{channel_id}/resume``: answer again, beginning with what was written meanwhile.

        A channel that its provider refused is tried again; its ``status`` is active as soon as the provider answers.
        """
        return self._answered(await self._channels.resume((await self._find(request)).channel))

    async def test(self, request: Request) -> Response:
        """``POST /v1/channels/{channel_id}/test``: check the credentials with the provider now; changes nothing."""
        return json_response(await tested(self._channels, await self._find(request), self._clock))

    async def _find(self, request: Request) -> OpenChannel:
        return await find_channel(self._ledger, self._clock, request)

    def _answered(self, channel: OpenChannel) -> Response:
        shown = self._shown(channel)
        return json_response(shown, headers={"etag": etag(shown)})

    def _shown(self, channel: OpenChannel) -> ChannelObject:
        mind = self._minds_down(channel.persona).get(channel.fields.model or "")
        return channel_object(channel, self._organization_id, self._webhooks_url, mind)


def _filter(request: Request) -> Filter:
    """The query's filters. Raises Refused."""
    given = {name: value for name in FILTERS if (value := request.query_params.get(name)) is not None}
    for name, value in given.items():
        if value not in FILTERS[name]:
            raise refused_parameter(name, f"{name} must be one of: {', '.join(FILTERS[name])}.")
    return msgspec.convert(given, Filter)
