"""One channel of a persona: its state, what it receives, and what it sends. The same for every provider.

The kernel guarantees:

* Commit before acknowledgement. ``commit`` returns only once the daemon has the messages. Whatever acknowledges them to
  the provider (an offset, an answer on its socket, a webhook's number) comes after that.
* One state machine. A channel is ``connecting`` until the provider has answered once; then it alternates between
  ``connected`` and ``degraded``. ``stopped`` is final: only a person can help, and no further request is made. Each
  change is reported at once.
* Trouble with the provider never ends the gateway. It waits as long as the provider asks, else a random time that grows
  with each failure.
* Webhook requests that the daemon has committed for the channel are read even when the channel is stopped.

A provider fills in: ``account`` (its identity, errors and files), ``sender`` (how to send one part), ``exchange`` (poll
or hold a connection) and ``read`` (webhook requests).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from proto import gateways as proto
from proto.gateways import MAX_UNREAD_BODY, Deliver, GatewayState, Inbound, Say, Undelivered, Unread, WebhookRequest
from proto.streaming import Delta
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.gateways.common.account import REQUEST_TIMEOUT, Account, Identity
from worker.gateways.common.batches import fitting, groups
from worker.gateways.common.drafts import Drafts
from worker.gateways.common.link import GatewayLink
from worker.gateways.common.media_download import MAX_FILE, Files
from worker.gateways.common.sending import Sender
from worker.gateways.common.trouble import PROVIDER_ERRORS, Trouble

MAX_SENDING: Final = 64
"""Sends in progress. The daemon has at most one delivery per conversation in progress."""

WEBHOOKS_TOGETHER: Final = 50
"""Webhook requests that are read and committed together."""

FINE: Final = Trouble("transient", "")

State: TypeAlias = Literal["connecting", "connected", "degraded", "stopped"]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long a gateway waits, in seconds."""

    check: float = 300.0
    """Between two checks of an account that is not polled."""
    shortest: float = 0.5
    longest: float = 60.0
    """Ceilings of the first and of the longest backoff."""
    stable: float = 60.0
    """A connection that lasted this long resets the backoff."""
    request: float = REQUEST_TIMEOUT
    """For one request including its whole answer."""
    fetch: float = 60.0
    """For one try to fetch a file."""
    draft: float = 0.3
    """For the first words of an answer before a draft shows them."""


class Reading(NamedTuple):
    """What webhook requests contain: messages in order, and what could not be read."""

    items: list[Inbound]
    unread: Sequence[Unread] = ()


A = TypeVar("A", bound=Account)
S = TypeVar("S", bound=Sender[Any])  # Any: a sender has the same account type as its gateway.
T = TypeVar("T", bound=Timing)


class Gateway(ABC, Generic[A, S, T]):
    """One bot, app or number of a persona, with its provider's account, sender and timing."""

    account_type: type[A]
    sender_type: type[S]
    timing_type: type[T]

    max_file: ClassVar[int] = MAX_FILE
    """The limit for an inbound file, in bytes."""

    def __init__(
        self,
        gateway: proto.Gateway,
        url: str,
        media: Path,
        link: GatewayLink,
        log: WorkerLog,
        timing: T | None = None,
    ) -> None:
        """``url`` is the provider's base URL, ``media`` the folder for files. No request is made before ``run``."""
        self.channel = gateway.channel
        self.gateway = gateway
        self.link = link
        self.log = log
        self.timing = timing or self.timing_type()
        self.account = self.account_type(gateway, url, self.timing.request)
        self.sender = self.sender_type(gateway, self.account, media, link.send, self.stop, log)
        self.files = Files(gateway, self.account, media, self.max_file, self.timing.fetch)
        self.drafts = Drafts(self.sender, self.spawn, self.backoff, self.timing.draft, log)
        self.identity = Identity("", "")
        """Who she is at the provider; empty until the provider was asked."""
        self.known = asyncio.Event()
        """Set once ``identity`` is known, or the channel has stopped."""
        self.standing: State = "connecting"
        self._trouble = FINE
        self._up_since: float | None = None
        self._group: asyncio.TaskGroup | None = None
        self._asking: asyncio.Task[None] | None = None
        self._sending = 0
        self._webhooks: deque[WebhookRequest] = deque()
        self._news = asyncio.Event()

    # What a provider fills in

    @abstractmethod
    async def exchange(self) -> float:
        """Poll the provider once, or hold a connection until it ends; call ``up`` as soon as it works.

        Returns the seconds until the next exchange. Raises what PROVIDER_ERRORS lists.
        """

    def unusable(self) -> Trouble | None:
        """Check the configuration without a request. Returns what is wrong with it, or None."""
        return self.account.unreachable() or self.account.unusable()

    async def read(self, webhooks: Sequence[WebhookRequest]) -> Reading:
        """Return the messages in webhook requests, in order, with their files, and what cannot be read."""
        del webhooks
        return Reading([])

    async def committed(self, items: Sequence[Inbound]) -> None:
        """Called after these messages were committed; does nothing by default."""
        del items

    # What the switchboard asks

    def state(self) -> GatewayState:
        """Return the state. Its round trip is the age of the last answered request or heartbeat, in seconds."""
        exchanged, found = self.account.exchanged, self._trouble
        return GatewayState(
            self.channel,
            self.standing,
            found.reason,
            found.hint,
            None if exchanged is None else asyncio.get_running_loop().time() - exchanged,
            *self.identity,
            found.error_class if found.reason else None,
        )

    async def run(self) -> None:
        """Receive and send until cancelled. An exception that escapes is a bug of ours."""
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

    def deliver(self, message: Deliver) -> None:
        """Send a message from the outbox, if the channel is connected. Never blocks; the outcome goes to the link."""
        if not self.start(self._deliver(message)):
            self.link.send(Undelivered(message.seq, f"{self.account.provider} {self._why_not()}."))

    def say(self, message: Say) -> None:
        """Send a text once, if the channel is connected. Never blocks; the outcome is not reported."""
        if not self.start(self.sender.say(message)):
            self.log.warning("gateway.say_failed", reason=self._why_not())

    def webhook(self, message: WebhookRequest) -> None:
        """Queue a webhook request. The daemon keeps it until ``received`` names its number."""
        self._webhooks.append(message)
        self._news.set()

    def bound(self, account: str, chat: str) -> None:
        """Note that the channel was paired: from now on only this account's files are fetched."""
        self.gateway.account, self.gateway.chat = account, chat

    def typing(self, chat: str) -> None:
        """Show that she is thinking, if that leaves room for a message. Never blocks."""
        if self.standing == "connected" and not self.drafts.shows(chat) and self.sender.may_type(chat):
            self.start(self.sender.type(chat))

    def drafting(self, delta: Delta) -> None:
        """Show the next words of an answer while she is writing it, where the provider has drafts. Never blocks."""
        if self.standing == "connected":
            self.drafts.hear(delta)

    async def close(self) -> None:
        """Close all connections. Call it after ``run`` was cancelled."""
        await self.account.close()

    # What a provider may use

    def start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Start a send in the background. Returns False if not connected, or too many sends are in progress."""
        if self.standing not in ("connected", "degraded") or self._sending >= MAX_SENDING:
            work.close()
            return False
        if (task := self.spawn(work)) is None:
            return False
        self._sending += 1
        task.add_done_callback(self._sent)
        return True

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run a coroutine in the background until the gateway ends. Returns None if the gateway is not running."""
        if self._group:
            return self._group.create_task(work)
        work.close()
        return None

    def introduce(self, identity: Identity) -> None:
        """Set who she is at the provider."""
        self.identity = identity
        self.known.set()

    def up(self) -> None:
        """Note that the connection to the provider works."""
        if self.standing != "connected":
            self._up_since = asyncio.get_running_loop().time()
            self.change("connected", FINE)

    def stop(self, found: Trouble) -> None:
        """Stop the channel for good, because it was refused; no further request is made."""
        self.sender.closed = self.sender.closed or found.reason
        self.change("stopped", found)
        self.known.set()
        if self._asking:
            self._asking.cancel()

    def change(self, state: State, found: Trouble) -> None:
        """Change the state and report it. A stopped channel stays stopped."""
        if (state, found.reason) == (self.standing, self._trouble.reason) or self.standing == "stopped":
            return
        self.standing, self._trouble = state, found
        self.link.changed(self.state())

    async def commit(
        self, items: Sequence[Inbound], webhooks: Sequence[int] = (), unread: Sequence[Unread] = ()
    ) -> None:
        """Offer messages to the daemon until it has committed them; the last batch completes the webhook requests."""
        backoff = self.backoff()
        parts = groups(items)
        for number, some in enumerate(parts, 1):
            done, kept = (webhooks, unread) if number == len(parts) else ((), ())
            while (some or done or kept) and not await self.taken(some, done, kept):
                wait = backoff.next()
                self.log.warning("gateway.not_taken", items=len(some), wait=round(wait, 1))
                await asyncio.sleep(wait)
        await self.committed(items)

    async def taken(self, items: list[Inbound], webhooks: Sequence[int] = (), unread: Sequence[Unread] = ()) -> bool:
        """Offer messages to the daemon once. Returns False if they were not committed, or that is unknown."""
        try:
            return await self.link.received(self.channel, fitting(items), webhooks, unread)
        except (ConnectionError, TimeoutError):
            return False

    def backoff(self) -> Backoff:
        """Create a backoff with this gateway's timing."""
        return Backoff(self.timing.shortest, self.timing.longest)

    async def _deliver(self, message: Deliver) -> None:
        await self.drafts.settled(message.chat)
        await self.sender.deliver(message)

    async def _take_webhooks(self) -> None:
        while True:
            self._news.clear()
            if not self._webhooks:
                await self._news.wait()
                continue
            some = [self._webhooks.popleft() for _ in range(min(WEBHOOKS_TOGETHER, len(self._webhooks)))]
            items, unread = await self.read(some)
            kept = {one.number for one in unread}
            await self.commit(items, [one.number for one in some if one.number not in kept], _in_one_frame(unread))

    async def _ask_on(self) -> None:
        """Exchange with the provider until it refuses the channel; wait after temporary trouble."""
        backoff = self.backoff()
        while self.standing != "stopped":
            try:
                wait = await self.exchange()
            except PROVIDER_ERRORS as error:
                found = self.account.trouble(error)
                if found.stops:
                    self.stop(found)
                    return
                if self._held():
                    backoff = self.backoff()
                wait = max(backoff.next(), found.retry_after)
                self.log.info("gateway.degraded", reason=found.reason, wait=round(wait, 1))
                self.change("degraded" if self.account.exchanged is not None else "connecting", found)
            else:
                backoff = self.backoff()
            await asyncio.sleep(wait)

    def _why_not(self) -> str:
        """Say why nothing can be sent now."""
        busy = self._sending >= MAX_SENDING
        return f"is busy with {MAX_SENDING} messages" if busy else f"is not connected ({self.standing})"

    def _held(self) -> bool:
        """Whether the connection that has just ended was stable."""
        since, self._up_since = self._up_since, None
        return since is not None and asyncio.get_running_loop().time() - since >= self.timing.stable

    def _sent(self, _: asyncio.Task[None]) -> None:
        self._sending -= 1


def _in_one_frame(unread: Sequence[Unread]) -> list[Unread]:
    """Leave out the bodies that do not fit into a frame. Those requests are then kept whole."""
    room, found = MAX_UNREAD_BODY, []
    for one in unread:
        room -= len(one.body)
        found.append(one if room >= 0 else msgspec.structs.replace(one, body=b""))
    return found
