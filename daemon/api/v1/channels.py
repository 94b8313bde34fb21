"""Channels as resources: create, list, show, change, delete, pause, resume and test."""

from __future__ import annotations

import asyncio
import time
from typing import Final, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from daemon.api.v1.changing import changed_fields
from daemon.api.v1.conversations import find_channel
from daemon.api.v1.creating import made_since, make, new_channel
from daemon.api.v1.idempotency import Keys
from daemon.api.v1.objects import ChannelObject, ChannelType, channel_object
from daemon.api.v1.paging import Number, Place, cursor_of, limit_of, page
from daemon.api.v1.problems import Refused, refused_parameter
from daemon.api.v1.requests import CREATE, UPDATE
from daemon.api.v1.testing import tested
from daemon.channels import open_channels
from daemon.conversations.terms import DEFAULT_FALLBACK
from daemon.http.answers import NO_STORE, json_response
from daemon.ledger import ChannelStatus, OpenChannel
from daemon.ledger.channel_operations import FIRST
from daemon.startup.daemon import Daemon, daemon_of
from proto.records import to_json

_PAIRED: Final = (
    "This channel is paired with her owner, who has made it by the persona API: it has none of these settings."
    " Delete it, or pair another one."
)


class ChannelPlace(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Behind this channel."""

    created_at: Number
    channel: Place


class Filter(msgspec.Struct, rename="camel"):
    """Which channels to list."""

    status: ChannelStatus | None = None
    channel_type: ChannelType | None = None


FILTERS: Final = {"status": get_args(ChannelStatus), "channelType": get_args(ChannelType)}


async def list_channels(request: Request) -> Response:
    """``GET /v1/channels``: oldest first; those of the persona API too, where the documented types have them."""
    daemon = daemon_of(request)
    limit, after = limit_of(request), cursor_of(request, ChannelPlace)
    wanted = _filter(request)
    found = await daemon.ledger.open_channels(
        time.time_ns(),
        wanted.status,
        wanted.channel_type,
        (after.created_at, after.channel) if after else FIRST,
        limit + 1,
    )
    return json_response(
        page(found, limit, lambda one: _shown(daemon, one), lambda one: ChannelPlace(one.created_at, one.channel))
    )


async def create(request: Request) -> Response:
    """``POST /v1/channels``: ask the provider whose credentials these are, save it, open her gateways anew."""
    daemon = daemon_of(request)
    asked = await CREATE.read(request)

    async def carry_out(begun_at: int | None) -> msgspec.Raw:
        new = await new_channel(daemon, asked)
        made = await made_since(daemon, new, begun_at) if begun_at is not None else None
        return msgspec.Raw(to_json(_shown(daemon, made or await make(daemon, new))))

    keys: Keys = request.app.state.idempotency
    return await keys.once(request, asked, carry_out)


async def show(request: Request) -> Response:
    """``GET /v1/channels/{channel_id}``."""
    return json_response(_shown(daemon_of(request), await find_channel(request)))


async def update(request: Request) -> Response:
    """``PATCH /v1/channels/{channel_id}``: what is absent stays, null is the default."""
    daemon = daemon_of(request)
    await find_channel(request)
    asked = await UPDATE.read(request)
    updating: asyncio.Lock = request.app.state.updating
    # One at a time: what one request leaves as it is, another must not have changed meanwhile.
    async with updating:
        channel = await find_channel(request)
        if not channel.open:
            raise Refused(409, _PAIRED)
        fields = await changed_fields(daemon, channel, asked)
        if fields != channel.fields:
            channel = await open_channels.update(daemon, channel.channel, fields)
    return json_response(_shown(daemon, channel))


async def delete(request: Request) -> Response:
    """``DELETE /v1/channels/{channel_id}``: open or paired; what was said on it stays in the persona's history."""
    await open_channels.delete(daemon_of(request), (await find_channel(request)).channel)
    return Response(None, 204, NO_STORE)


async def pause(request: Request) -> Response:
    """``POST /v1/channels/{channel_id}/pause``: what is written is kept, and nobody is answered."""
    daemon = daemon_of(request)
    return json_response(_shown(daemon, await open_channels.pause(daemon, (await find_channel(request)).channel)))


async def resume(request: Request) -> Response:
    """``POST /v1/channels/{channel_id}/resume``: answer again, beginning with what was written meanwhile.

    One that its provider refused is tried again; its ``status`` is active as soon as the provider answers.
    """
    daemon = daemon_of(request)
    return json_response(_shown(daemon, await open_channels.resume(daemon, (await find_channel(request)).channel)))


async def test(request: Request) -> Response:
    """``POST /v1/channels/{channel_id}/test``: ask the provider now; changes nothing."""
    daemon = daemon_of(request)
    return json_response(await tested(daemon, await find_channel(request)))


def _shown(daemon: Daemon, channel: OpenChannel) -> ChannelObject:
    return channel_object(channel, daemon.settings, DEFAULT_FALLBACK)


def _filter(request: Request) -> Filter:
    """The query's filters; an empty one is as good as none. Raises Refused."""
    given = {name: value for name in FILTERS if (value := request.query_params.get(name))}
    for name, value in given.items():
        if value not in FILTERS[name]:
            raise refused_parameter(name, f"{name} must be one of: {', '.join(FILTERS[name])}.")
    return msgspec.convert(given, Filter)
