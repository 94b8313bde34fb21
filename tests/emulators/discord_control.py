"""The Discord emulator's controls as JSON under ``/_control/``; ids are strings, as in Discord's own JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.emulators.discord_journal import Fault
from tests.emulators.discord_objects import Bot, Channel, Upload

if TYPE_CHECKING:
    from tests.emulators.discord_server import Server


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """The fields of a control request; each control uses a few of them."""

    token: str = ""
    name: str = ""
    privileged: int = 0
    user: str = ""
    channel: str = ""
    message: str = ""
    text: str = ""
    files: list[File] = []
    flags: int = 0
    code: int = 4000
    resumable: bool = False
    seconds: float = 0.0
    acks: bool = True
    heartbeat_interval: float = 41.25
    accepts_dms: bool = True


class File(msgspec.Struct):
    """A file in a control request; ``data`` is base64."""

    filename: str
    data: bytes
    content_type: str = ""
    duration: float | None = None


def routes() -> list[Route]:
    """All control routes."""
    orders = {
        "bots": _add_bot,
        "users": _add_user,
        "dms": _open_dm,
        "say": _say,
        "edit": _edit,
        "close": lambda server, order: {"closed": server.close_gateways(order.token, order.code)},
        "drop": lambda server, order: {"dropped": server.drop_gateways(order.token)},
        "reconnect": lambda server, order: {"told": server.reconnect(order.token)},
        "invalidate": lambda server, order: {"told": server.invalidate(order.token, resumable=order.resumable)},
        "refuse": lambda server, order: {"refusals": server.gateway.refusals.append(order.code)},
        "revoke": lambda server, order: {"revoked": server.revoke(server.world.bots[order.token])},
        "gateway": _set_gateway,
        "release": lambda server, _: {"released": server.journal.release()},
    }
    made = [Route(f"/_control/{verb}", _ordered(work), methods=["POST"]) for verb, work in orders.items()]
    return [
        *made,
        Route("/_control/down", _down, methods=["POST"]),
        Route("/_control/faults", _add_fault, methods=["POST"]),
        Route("/_control/faults", _clear_faults, methods=["DELETE"]),
        Route("/_control/journal", _journal),
        Route("/_control/state", _state),
        Route("/_control/messages/{channel_id:int}", _messages),
    ]


def _ordered(work: Callable[[Server, Order], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for a control request; its answer (Any) is a JSON object."""

    async def endpoint(request: Request) -> Response:
        try:
            order = msgspec.json.decode(await request.body() or b"{}", type=Order)
            return JSONResponse(work(_server(request), order))
        except (msgspec.DecodeError, KeyError, ValueError) as error:
            return JSONResponse({"detail": f"{type(error).__name__}: {error}"}, 400)

    return endpoint


def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


def _bot(server: Server, token: str) -> Bot:
    return server.world.bots[token] if token else next(iter(server.world.bots.values()))


def _add_bot(server: Server, order: Order) -> dict[str, Any]:
    bot = server.world.add_bot(order.token, order.name or "persona", order.privileged)
    return {"token": bot.token, "id": str(bot.account.id)}


def _add_user(server: Server, order: Order) -> dict[str, Any]:
    account = server.world.add_account(order.name or "someone")
    account.accepts_dms = order.accepts_dms
    return {"id": str(account.id)}


def _open_dm(server: Server, order: Order) -> dict[str, Any]:
    channel, _ = server.world.dm(_bot(server, order.token), server.world.accounts[int(order.user)])
    return {"id": str(channel.id)}


def _channel(server: Server, order: Order) -> Channel:
    if order.channel:
        return server.world.channels[int(order.channel)]
    people = (account for account in server.world.accounts.values() if account.username == (order.name or "alice"))
    person = server.world.accounts[int(order.user)] if order.user else next(people, None)
    if person is None:
        raise ValueError("give channel, user, or a known name")
    return server.world.dm(_bot(server, order.token), person)[0]


def _say(server: Server, order: Order) -> dict[str, Any]:
    uploads = [Upload(file.filename, file.data, file.content_type, file.duration) for file in order.files]
    message = server.say(_channel(server, order), order.text, uploads, flags=order.flags)
    return {"id": str(message.id), "channel_id": str(message.channel_id)}


def _edit(server: Server, order: Order) -> dict[str, Any]:
    message = server.world.find(_channel(server, order), int(order.message))
    if message is None:
        raise ValueError("no such message")
    server.edit(message, order.text)
    return {"id": str(message.id)}


def _set_gateway(server: Server, order: Order) -> dict[str, Any]:
    server.gateway.acks = order.acks
    server.gateway.heartbeat_interval = order.heartbeat_interval
    return {"acks": order.acks, "heartbeat_interval": order.heartbeat_interval}


async def _down(request: Request) -> Response:
    """Go down for ``seconds``, after this answer was sent; no control request could bring the server up again."""
    order = msgspec.json.decode(await request.body() or b"{}", type=Order)
    _server(request).go_down_soon(order.seconds or 1.0)
    return JSONResponse({"seconds": order.seconds or 1.0})


async def _add_fault(request: Request) -> Response:
    try:
        _server(request).journal.faults.append(msgspec.json.decode(await request.body(), type=Fault))
    except msgspec.DecodeError as error:
        return JSONResponse({"detail": str(error)}, 400)
    return JSONResponse({"faults": len(_server(request).journal.faults)})


async def _clear_faults(request: Request) -> Response:
    _server(request).journal.faults.clear()
    return JSONResponse({"faults": 0})


async def _journal(request: Request) -> Response:
    journal = _server(request).journal
    body = {"requests": journal.requests, "frames": journal.frames}
    return Response(msgspec.json.encode(body), media_type="application/json")


async def _state(request: Request) -> Response:
    server = _server(request)
    gateway = server.gateway
    bots = [
        {
            "token": bot.token,
            "id": str(bot.account.id),
            "name": bot.account.username,
            "revoked": bot.revoked,
            "gateways": len(gateway.connected(bot.token)),
            "peak": gateway.peaks[bot.token],
            "identifies": gateway.identifies[bot.token],
            "resumes": gateway.resumes[bot.token],
        }
        for bot in server.world.bots.values()
    ]
    users = [{"id": str(a.id), "name": a.username} for a in server.world.accounts.values() if not a.bot]
    return JSONResponse({"bots": bots, "users": users, "channels": [str(number) for number in server.world.channels]})


async def _messages(request: Request) -> Response:
    server = _server(request)
    channel = server.world.channels.get(request.path_params["channel_id"])
    if channel is None:
        return JSONResponse({"detail": "no such channel"}, 404)
    return JSONResponse([server.world.show(message, channel.bot, content=True) for message in channel.messages])
