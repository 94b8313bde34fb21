"""Warms up the Telegram gateway before the fork: it receives and sends one message, with canned answers from loopback.

aiogram and aiohttp do much of their set-up at the first request. After a rehearsal in the zygote, each forked worker is
smaller and connects sooner.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from proto.gateways import Deliver, Delivered, Gateway, GatewayState, Inbound, Unread, channel_id
from proto.secrets import Secret
from worker.base import tls
from worker.base.log import WorkerLog
from worker.gateways.common.link import Report
from worker.gateways.telegram.gateway import TelegramGateway

PATIENCE: Final = 5.0
"""Seconds for the whole rehearsal."""

_TOKEN: Final = "1:rehearsal"
_MESSAGE: Final = (
    '{"message_id":1,"date":1,"chat":{"id":1,"type":"private","first_name":"A"},'
    '"from":{"id":1,"is_bot":false,"first_name":"A"},"text":"/hello","entities":'
    '[{"type":"bot_command","offset":0,"length":6}]}'
)
_RESULTS: Final = {
    "getMe": '{"id":1,"is_bot":true,"first_name":"R","username":"r_bot"}',
    "getUpdates": f'[{{"update_id":1,"message":{_MESSAGE}}}]',
    "sendMessage": _MESSAGE,
}


class RehearsalError(Exception):
    """The gateway did not receive and send its message."""


def rehearse() -> None:
    """Let a gateway receive and send one message. Must not be called in a running event loop.

    Leaves no thread, loop, descriptor or file behind, only what modules cache. Raises RehearsalError.
    """
    tls.context()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_rehearse(Path(folder)))


class _Link:
    """Stands in for the daemon, for one inbound and one outbound message."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.went = asyncio.Event()

    async def received(
        self,
        channel: str,  # noqa: ARG002
        items: list[Inbound],  # noqa: ARG002
        webhooks: Sequence[int] = (),  # noqa: ARG002
        unread: Sequence[Unread] = (),  # noqa: ARG002
    ) -> bool:
        self.came.set()
        return True

    def changed(self, state: GatewayState) -> None:
        """Ignore the state."""

    def send(self, message: Report) -> None:
        if isinstance(message, Delivered):
            self.went.set()


async def _rehearse(folder: Path) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    url = "http://{}:{}".format(*server.sockets[0].getsockname()[:2])
    link = _Link()
    log = os.open(os.devnull, os.O_WRONLY)
    gateway = TelegramGateway(
        Gateway(channel_id("telegram", _TOKEN), "telegram", Secret(_TOKEN)), url, folder, link, WorkerLog(log)
    )
    running = asyncio.create_task(gateway.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await link.came.wait()
            gateway.deliver(Deliver(1, gateway.channel, "1", "1", "text", "**ok**", None, 0, ambiguous=False))
            await link.went.wait()
    except TimeoutError:
        raise RehearsalError(f"no message went through ({gateway.state().state})") from None
    finally:
        running.cancel()
        await asyncio.wait([running])
        await gateway.close()
        server.close()
        await server.wait_closed()
        os.close(log)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one connection's requests; the second poll gets no answer and waits until the client disconnects."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:"))
            body = await reader.readexactly(length)
            method = head.split(" ", 2)[1].rpartition("/")[2]
            if method == "getUpdates" and b"offset" in body:
                await reader.read()
                return
            answer = f'{{"ok":true,"result":{_RESULTS.get(method, "true")}}}'
            headers = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
            writer.write(f"{headers}{answer}".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.close()
