"""What gateways that are asked by REST and called by webhooks have in common: how they stand, take and send."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from proto.gateways import Deliver, Gateway, GatewayState, Inbound, Say, Undelivered, WebhookRequest
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.gateways import GatewayLink
from worker.gateways.common.rest import PROVIDER_ERRORS, Rest, Trouble
from worker.gateways.common.sending import Sender

MAX_SENDING: Final = 64
"""Deliveries and other sends in hand; the daemon has one a conversation."""

MAX_ITEMS: Final = 100
"""Messages in one ``Received``."""

WEBHOOKS_TOGETHER: Final = 50
"""Webhook requests that are read and committed at once."""

FINE: Final = Trouble("transient", "", "")

State: TypeAlias = Literal["connecting", "connected", "degraded", "stopped"]


class Timing(NamedTuple):
    """How long a gateway waits, in seconds."""

    check: float = 300.0
    """Between two looks at the account while nothing else is asked of it."""
    poll: float = 5.0
    """Between two polls while people write."""
    idle: float = 15.0
    """Between two polls after a while without words."""
    shortest: float = 0.5
    longest: float = 60.0
    """Ceilings of the backoff."""
    commit: float = 30.0
    """For the daemon's word that messages are committed."""


class StoppedError(Exception):
    """The provider answers, and says that this channel cannot work until a person acts."""

    def __init__(self, found: Trouble) -> None:
        super().__init__(found.reason)
        self.trouble = found


class WebhookedGateway(ABC):
    """One number or workspace of a persona's."""

    def __init__(
        self, gateway: Gateway, rest: Rest, sender: Sender, link: GatewayLink, log: WorkerLog, timing: Timing
    ) -> None:
        self.channel = gateway.channel
        self.gateway = gateway
        self.rest = rest
        self.sender = sender
        self.link = link
        self.log = log
        self.timing = timing
        self.identity = ("", "")
        """The provider's id and name of who she is there, once it was asked."""
        self._state: State = "connecting"
        self._trouble = FINE
        self._group: asyncio.TaskGroup | None = None
        self._asking: asyncio.Task[None] | None = None
        self._sending = 0
        self._webhooks: deque[WebhookRequest] = deque()
        self._news = asyncio.Event()

    @abstractmethod
    def unusable(self) -> Trouble | None:
        """What is missing, before anything is asked."""

    @abstractmethod
    async def exchange(self) -> float:
        """Ask the provider what there is to ask; returns the seconds until the next time.

        Raises what PROVIDER_ERRORS lists, and StoppedError.
        """

    @abstractmethod
    def trouble(self, error: Exception) -> Trouble:
        """Put an error into words."""

    @abstractmethod
    async def read(self, webhooks: Sequence[WebhookRequest]) -> list[Inbound]:
        """The messages in webhook requests, in order, with their files; what cannot be read is logged."""

    async def committed(self, items: Sequence[Inbound]) -> None:
        """These messages are the daemon's now; nothing more to do by default."""
        del items

    def state(self) -> GatewayState:
        """How it stands; the round trip is the last request that was answered."""
        exchanged = self.rest.exchanged
        return GatewayState(
            self.channel,
            self._state,
            self._trouble.reason,
            self._trouble.hint,
            None if exchanged is None else asyncio.get_running_loop().time() - exchanged,
            self.identity[0],
            self.identity[1],
            self._trouble.kind if self._trouble.reason else None,
        )

    async def run(self) -> None:
        """Receive and send until cancelled; a channel that is refused sends no more, and says so.

        Words that people sent are taken also then: they are verified and committed already.
        """
        found = self.unusable()
        if found:
            self.stop(found)
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._take_webhooks())
                if not found:
                    self._asking = self._group.create_task(self._ask_on())
                await asyncio.Event().wait()
        finally:
            self._group = None

    def webhook(self, message: WebhookRequest) -> None:
        """Queue a webhook request; the daemon keeps it until it is named in ``received``."""
        self._webhooks.append(message)
        self._news.set()

    def deliver(self, message: Deliver) -> None:
        """Send a message of the outbox, if the channel is connected."""
        if not self.start(self.sender.deliver(message)):
            self.link.send(Undelivered(message.seq, f"{self.sender.provider} is not connected ({self._state})."))

    def say(self, message: Say) -> None:
        """Send a text once, if the channel is connected."""
        if not self.start(self.sender.say(message)):
            self.log.warning("gateway.say_failed", reason=f"not connected ({self._state})")

    def bound(self, account: str, chat: str) -> None:
        """From now on this account has its files fetched."""
        self.gateway.account, self.gateway.chat = account, chat

    def typing(self, chat: str) -> None:
        """Show nothing, as where the provider has no such thing."""
        del chat

    async def close(self) -> None:
        """Leave all connections."""
        await self.rest.close()

    def wants_files_of(self, account: str) -> bool:
        """Whether this person's files are fetched."""
        return self.gateway.open or account == self.gateway.account

    def start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run a send beside the rest; False when there is no connection or too much in hand."""
        connected = self._state in ("connected", "degraded")
        if not self._group or not connected or self._sending >= MAX_SENDING:
            work.close()
            return False
        self._sending += 1
        self._group.create_task(work).add_done_callback(self._sent)
        return True

    def stop(self, found: Trouble) -> None:
        """The channel is refused: no further request is made."""
        self.change("stopped", found)
        if self._asking:
            self._asking.cancel()

    def up(self) -> None:
        """The provider answers."""
        if self._state != "connected":
            self.change("connected", FINE)

    def change(self, state: State, found: Trouble) -> None:
        """Stand so from now on, and say it; what is stopped stays so."""
        if (state, found.reason) == (self._state, self._trouble.reason) or self._state == "stopped":
            return
        self._state, self._trouble = state, found
        self.link.changed(self.state())

    async def commit(self, items: Sequence[Inbound], webhooks: Sequence[int] = ()) -> None:
        """Hand messages to the daemon until it has committed them; hooks are done with the last of them."""
        backoff = Backoff(self.timing.shortest, self.timing.longest)
        for start in range(0, max(1, len(items)), MAX_ITEMS):
            some = list(items[start : start + MAX_ITEMS])
            done = webhooks if start + MAX_ITEMS >= len(items) else ()
            while not await self._is_taken(some, done):
                wait = backoff.next()
                self.log.warning("gateway.not_taken", items=len(some), wait=round(wait, 1))
                await asyncio.sleep(wait)
        await self.committed(items)

    async def _is_taken(self, items: list[Inbound], webhooks: Sequence[int]) -> bool:
        try:
            async with asyncio.timeout(self.timing.commit):
                return await self.link.received(self.channel, items, webhooks)
        except (ConnectionError, TimeoutError):
            return False

    async def _take_webhooks(self) -> None:
        while True:
            self._news.clear()
            if not self._webhooks:
                await self._news.wait()
                continue
            some = [self._webhooks.popleft() for _ in range(min(WEBHOOKS_TOGETHER, len(self._webhooks)))]
            await self.commit(await self.read(some), [webhook.number for webhook in some])

    async def _ask_on(self) -> None:
        """Ask until the channel is refused; trouble that passes is waited out."""
        backoff = Backoff(self.timing.shortest, self.timing.longest)
        while True:
            try:
                wait = await self.exchange()
            except StoppedError as error:
                self.stop(error.trouble)
                return
            except PROVIDER_ERRORS as error:
                found = self.trouble(error)
                if found.stops:
                    self.stop(found)
                    return
                self.change("degraded" if self.rest.exchanged is not None else "connecting", found)
                wait = max(backoff.next(), found.retry_after)
            else:
                backoff = Backoff(self.timing.shortest, self.timing.longest)
                self.up()
            await asyncio.sleep(wait)

    def _sent(self, _: asyncio.Task[None]) -> None:
        self._sending -= 1
