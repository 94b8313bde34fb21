"""All gateways of one persona: opened together, each in its own task, addressed by channel id."""

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
    Unread,
    WebhookRequest,
)
from proto.messages import Conversation, FromWorker
from proto.streaming import Delta
from worker.base.log import WorkerLog
from worker.gateways import open_gateway
from worker.gateways.common.link import Report

if TYPE_CHECKING:
    from worker.gateways import AnyGateway

COMMIT_TIMEOUT: Final = 30.0
"""Seconds that the daemon may take to commit inbound messages; after that they count as not committed."""


class Switchboard:
    """Routes between the daemon link and the gateways; it is the ``GatewayLink`` of each gateway."""

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
        self._log = log
        self._requests = itertools.count(1)
        self._commits: dict[int, asyncio.Future[bool]] = {}
        self._running: list[asyncio.Task[None]] = []
        self._gateways: dict[str, AnyGateway] = {
            gateway.channel: open_gateway(gateway, urls, Path(media), self, log) for gateway in gateways
        }

    def open(self) -> None:
        """Let all gateways connect. Call it once no earlier process uses their tokens any more."""
        for gateway in self._gateways.values():
            task = asyncio.get_running_loop().create_task(gateway.run())
            task.add_done_callback(self._ended)
            self._running.append(task)

    def states(self) -> list[GatewayState]:
        """Return the state of each gateway."""
        return [gateway.state() for gateway in self._gateways.values()]

    def receive(self, message: Taken | Deliver | Say | Bound | WebhookRequest) -> None:
        """Handle one message from the daemon."""
        match message:
            case Taken(request, ok):
                commit = self._commits.get(request)
                if commit and not commit.done():
                    commit.set_result(ok)
            case Deliver():
                if gateway := self._gateways.get(message.channel):
                    gateway.deliver(message)
                else:
                    self._send(Undelivered(message.seq, "she has no gateway for this channel"))
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
                    # The channel has just been made, and the process that takes this one's place will read it.
                    self._log.info("gateway.not_open_yet", channel=message.channel, webhook=message.number)

    def typing(self, conversation: Conversation) -> None:
        """Show in this conversation that she is thinking about an answer."""
        if gateway := self._gateways.get(conversation.channel):
            gateway.typing(conversation.chat)

    def drafting(self, delta: Delta) -> None:
        """Show the next words of an answer in its conversation, where a provider has drafts."""
        if gateway := self._gateways.get(delta.conversation.channel):
            gateway.drafting(delta)

    def ended(self, turn: int) -> None:
        """Show no more words of this turn, which is done."""
        for gateway in self._gateways.values():
            gateway.drafts.end(turn)

    async def received(
        self, channel: str, items: list[Inbound], webhooks: Sequence[int] = (), unread: Sequence[Unread] = ()
    ) -> bool:
        """Have the daemon commit messages. Returns False when they were not committed, or when that is unknown."""
        request = next(self._requests)
        commit: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._commits[request] = commit
        try:
            self._send(Received(request, channel, items, list(webhooks), list(unread)))
            return await asyncio.wait_for(commit, COMMIT_TIMEOUT)
        except TimeoutError:
            return False
        finally:
            del self._commits[request]

    def changed(self, state: GatewayState) -> None:
        """Report a change of state to the daemon at once."""
        self._send(GatewayChanged(state))

    def send(self, message: Report) -> None:
        """Report the outcome of a delivery to the daemon."""
        self._send(message)

    async def close(self) -> None:
        """Stop all gateways."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(gateway.close() for gateway in self._gateways.values()), return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._failed(error)
