"""All gateways of one persona: opened together, each running in a task, reached by the id of their channel."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proto.gateways import (
    Bound,
    Deliver,
    Gateway,
    GatewayChanged,
    GatewayState,
    Inbound,
    Received,
    Say,
    Taken,
    Undelivered,
    WebhookRequest,
)
from proto.messages import Conversation, FromWorker
from worker.base.log import WorkerLog
from worker.gateways import open_gateway
from worker.gateways.common.link import Report

if TYPE_CHECKING:
    from worker.gateways import AnyGateway

COMMIT_TIMEOUT: Final = 30.0
"""Seconds that the daemon may take to commit what came in; after that it counts as not committed."""


class Switchboard:
    """Stands between the link and the gateways; it is the ``GatewayLink`` of each."""

    def __init__(
        self,
        gateways: list[Gateway],
        urls: Mapping[str, str],
        media: str,
        send: Callable[[FromWorker], None],
        failed: Callable[[BaseException], None],
        log: WorkerLog,
    ) -> None:
        self._send = send
        self._failed = failed
        self._requests = itertools.count(1)
        self._commits: dict[int, asyncio.Future[bool]] = {}
        self._running: list[asyncio.Task[None]] = []
        self._gateways: dict[str, AnyGateway] = {
            gateway.channel: open_gateway(gateway, urls, Path(media), self, log) for gateway in gateways
        }

    def open(self) -> None:
        """Let all of them connect: no process before this one holds their tokens any more."""
        for gateway in self._gateways.values():
            task = asyncio.get_running_loop().create_task(gateway.run())
            task.add_done_callback(self._ended)
            self._running.append(task)

    def states(self) -> list[GatewayState]:
        """How each of them stands."""
        return [gateway.state() for gateway in self._gateways.values()]

    def receive(self, message: Taken | Deliver | Say | Bound | WebhookRequest) -> None:
        """Take one message of the daemon's."""
        match message:
            case Taken(request, ok):
                commit = self._commits.get(request)
                if commit and not commit.done():
                    commit.set_result(ok)
            case Deliver():
                if gateway := self._gateways.get(message.channel):
                    gateway.deliver(message)
                else:
                    self._send(Undelivered(message.seq, "she has no such gateway"))
            case Say():
                if gateway := self._gateways.get(message.channel):
                    gateway.say(message)
            case Bound(channel, account, chat):
                if gateway := self._gateways.get(channel):
                    gateway.bound(account, chat)
            case WebhookRequest():
                if gateway := self._gateways.get(message.channel):
                    gateway.webhook(message)
                else:
                    # It would never be read here, and must not come back for ever.
                    self._send(Received(next(self._requests), message.channel, [], [message.number]))

    def typing(self, conversation: Conversation) -> None:
        """Show on its gateway that she thinks about an answer in this conversation."""
        if gateway := self._gateways.get(conversation.channel):
            gateway.typing(conversation.chat)

    async def received(self, channel: str, items: list[Inbound], webhooks: Sequence[int] = ()) -> bool:
        """Have messages committed; False when they were not, or this is unknown."""
        request = next(self._requests)
        commit: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._commits[request] = commit
        try:
            self._send(Received(request, channel, items, list(webhooks)))
            return await asyncio.wait_for(commit, COMMIT_TIMEOUT)
        except TimeoutError:
            return False
        finally:
            del self._commits[request]

    def changed(self, state: GatewayState) -> None:
        """Tell the daemon at once."""
        self._send(GatewayChanged(state))

    def send(self, message: Report) -> None:
        """Tell the daemon what became of a delivery."""
        self._send(message)

    async def close(self) -> None:
        """Stop all of them."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(gateway.close() for gateway in self._gateways.values()), return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._failed(error)
