"""Clients that speak to the Discord emulator in its tests: nextcord, a plain HTTP client, a plain gateway socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import nextcord
import websockets

from tests.emulators.discord import DiscordEmulator
from tests.patience import PATIENCE

__all__ = ["Bot", "client", "closed", "connected", "ended", "frame", "gateway", "held", "identify", "nextcord"]

DM_INTENTS: Final = 1 << 12


class Bot(nextcord.Client):
    """A client that records the events that it gets."""

    def __init__(self, intents: int = DM_INTENTS) -> None:
        wanted = nextcord.Intents.none()
        wanted.value = intents
        super().__init__(intents=wanted, guild_ready_timeout=0)
        self.heard: asyncio.Queue[nextcord.Message] = asyncio.Queue()
        self.edited: asyncio.Queue[nextcord.RawMessageUpdateEvent] = asyncio.Queue()
        self.settled = asyncio.Event()
        self.readies: asyncio.Queue[None] = asyncio.Queue()
        self.resumptions: asyncio.Queue[None] = asyncio.Queue()

    async def before_identify_webhook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """nextcord would wait five seconds before each identify but the first."""

    async def on_connect(self) -> None:
        """Ask for the commands, as nextcord does; after ``close``, nextcord 3.2 opens a session that stays open."""
        self.settled.clear()
        try:
            await super().on_connect()
        finally:
            self.settled.set()

    async def on_ready(self) -> None:
        await self.settled.wait()
        self.readies.put_nowait(None)

    async def on_resumed(self) -> None:
        self.resumptions.put_nowait(None)

    async def on_message(self, message: nextcord.Message) -> None:
        if not message.author.bot:
            self.heard.put_nowait(message)

    async def on_raw_message_edit(self, payload: nextcord.RawMessageUpdateEvent) -> None:
        self.edited.put_nowait(payload)

    async def next(self) -> nextcord.Message:
        return await asyncio.wait_for(self.heard.get(), PATIENCE)


@asynccontextmanager
async def connected(emulator: DiscordEmulator, intents: int = DM_INTENTS) -> AsyncIterator[Bot]:
    """A bot that is ready."""
    bot = Bot(intents)
    running = asyncio.create_task(bot.start(emulator.token))
    try:
        ready = asyncio.ensure_future(bot.readies.get())
        await asyncio.wait({running, ready}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert ready.done(), running
        yield bot
    finally:
        await bot.close()
        running.cancel()
        await asyncio.wait({running}, timeout=PATIENCE)


async def ended(emulator: DiscordEmulator, intents: int = DM_INTENTS) -> BaseException:
    """The error that ends a client that cannot go on."""
    bot = Bot(intents)
    try:
        await asyncio.wait_for(bot.start(emulator.token), PATIENCE)
    except (nextcord.DiscordException, AttributeError) as error:
        return error
    finally:
        await bot.close()
    raise AssertionError("the client ended without an error")


def client(emulator: DiscordEmulator) -> httpx.Client:
    """A plain client with the bot's token."""
    return httpx.Client(base_url=emulator.url, headers={"Authorization": f"Bot {emulator.token}"}, trust_env=False)


@asynccontextmanager
async def gateway(emulator: DiscordEmulator, path: str = "/gw") -> AsyncIterator[websockets.ClientConnection]:
    """A plain gateway connection after its Hello."""
    base = emulator.url.replace("http", "ws").removesuffix("/api/v10")
    async with websockets.connect(f"{base}{path}?v=10&encoding=json", proxy=None) as socket:
        hello = await frame(socket)
        assert hello["op"] == 10
        yield socket


async def frame(socket: websockets.ClientConnection) -> dict[str, Any]:
    """The next frame (Any: whatever JSON it is), which must have all four keys."""
    decoded: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))
    assert set(decoded) == {"op", "d", "s", "t"}
    return decoded


async def held(emulator: DiscordEmulator) -> None:
    """Wait until the fault has met a request."""
    await asyncio.to_thread(emulator.wait, lambda server: not server.journal.faults, "the fault met nobody")


def identify(emulator: DiscordEmulator, intents: int = DM_INTENTS) -> str:
    d = {"token": emulator.token, "intents": intents, "properties": {"os": "linux"}}
    return json.dumps({"op": 2, "d": d})


async def closed(socket: websockets.ClientConnection) -> int | None:
    """The code with which the server closes."""
    await asyncio.wait_for(socket.wait_closed(), PATIENCE)
    return socket.close_code
