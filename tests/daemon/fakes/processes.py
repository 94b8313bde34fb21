"""Processes that are played in the event loop: what stands behind a spawner and a link, and a worker with gateways."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from daemon.supervision.processes import Exit
from proto.gateways import (
    Deliver,
    Delivered,
    Gateway,
    GatewayChanged,
    GatewayState,
    Identified,
    Identify,
    Inbound,
    PartSent,
    Receipt,
    Received,
    Say,
    Taken,
    Undelivered,
    Unread,
    WebhookRequest,
)
from proto.messages import (
    VERSION,
    Consolidate,
    Consolidated,
    Heartbeat,
    Hello,
    Join,
    MindDown,
    Open,
    Outgoing,
    Perceive,
    Prepare,
    Prepared,
    Probe,
    Probed,
    Ready,
    Refused,
    Reply,
    Stop,
)
from proto.wire import WireError

HEARTBEAT: Final = 5.0
THINKS: Final = 0.05
SENDS: Final = 0.02
UNTAKEN: Final = 30.0
"""Seconds after which a gateway hands a batch over again that nobody answered."""


@dataclass
class Outside:
    """The providers and people behind all channels. They outlive every process and the daemon."""

    pending: dict[str, list[Inbound]] = field(default_factory=lambda: defaultdict(list))
    """What the daemon has not taken yet, by channel."""
    arrived: list[Deliver] = field(default_factory=list)
    shown: list[Say] = field(default_factory=list)
    failing: dict[str, Undelivered] = field(default_factory=dict)
    """What becomes of the next message with this content."""
    fatal: set[str] = field(default_factory=set)
    """Words that kill the process once."""
    refused: set[str] = field(default_factory=set)
    """Words that the mind refuses once."""
    troubling: set[str] = field(default_factory=set)
    """Words over which the mind is away for a while, once."""
    drawing: set[str] = field(default_factory=set)
    """Words that are answered with a picture."""
    unreadable: set[str] = field(default_factory=set)
    """Words in a webhook request that the gateway cannot read."""
    silent: set[str] = field(default_factory=set)
    """Messages of which nothing is heard again, once."""
    refusing: bool = False
    """No process comes up."""
    living: set[PlayedWorker] = field(default_factory=set)

    def write(self, channel: str, item: Inbound) -> None:
        """Somebody writes on a channel."""
        self.pending[channel].append(item)
        for worker in self.living:
            worker.offer(channel)

    def report(self, receipt: Receipt) -> None:
        """A provider says later what became of a message."""
        for worker in list(self.living):
            worker.tell(receipt, receipt.channel)

    def trouble(self, state: GatewayState) -> None:
        """A gateway's state changes."""
        for worker in list(self.living):
            worker.tell(GatewayChanged(state), state.channel)


class PlayedProcess:
    """What the daemon sees of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exited: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    def send_signal(self, number: signal.Signals) -> None:
        if number == signal.SIGTERM:
            self.end(Exit(None, number))

    def kill(self) -> None:
        self.end(Exit(None, signal.SIGKILL))

    def end(self, how: Exit) -> None:
        """It ends, and is reaped."""
        if self.alive:
            self.exited.set_result(how)


class PlayedPeer:
    """The daemon's end of the link to one process."""

    # Any: each peer has its own union of messages.
    def __init__(self, routing_id: bytes, receive: Callable[[Any], None]) -> None:
        self.routing_id = routing_id
        self.worker: PlayedWorker | None = None
        self._receive = receive
        self._forgotten = False

    def send(self, message: msgspec.Struct) -> None:
        if self.worker is None or not self.worker.process.alive:
            raise WireError("the process is not connected")
        asyncio.get_running_loop().call_soon(self.worker.take, message)

    def heard(self, message: msgspec.Struct) -> None:
        """A frame of the process arrives."""
        if not self._forgotten:
            self._receive(message)

    def forget(self) -> None:
        self._forgotten = True


class PlayedLink:
    """In place of ``daemon.supervision.link.Link``."""

    def __init__(self, *_: object) -> None:
        self.endpoint = "ipc://nowhere"
        self.dropped = 0
        self.peers: dict[bytes, PlayedPeer] = {}

    def expect(self, codec: object, receive: Callable[[Any], None], *_: object) -> PlayedPeer:
        peer = PlayedPeer(b"p%d" % len(self.peers), receive)
        self.peers[peer.routing_id] = peer
        return peer

    def close(self) -> None:
        self.peers.clear()


class PlayedSpawner:
    """In place of ``daemon.supervision.spawner.Spawner``."""

    mode = "played"

    def __init__(self, link: PlayedLink, outside: Outside) -> None:
        self._link = link
        self._outside = outside
        self._pids = itertools.count(1000)

    def start(self, kinds: frozenset[str]) -> None:
        """Nothing is warmed."""

    async def spawn(
        self, role: str, title: str, routing_id: bytes, kinds: frozenset[str], walls: object, log: object
    ) -> PlayedProcess:
        process = PlayedProcess(next(self._pids))
        peer = self._link.peers[routing_id]
        peer.worker = PlayedWorker(process, peer, self._outside)
        return process

    def reaped(self, process: object) -> None:
        """There are no descendants."""

    async def close(self) -> None:
        """There is no zygote."""


class PlayedWorker:
    """A worker whose mind echoes, and whose gateways are with ``outside``; or a probe that knows every token."""

    def __init__(self, process: PlayedProcess, peer: PlayedPeer, outside: Outside) -> None:
        self.process = process
        self.gateways: list[GatewayState] = []
        self._peer = peer
        self._outside = outside
        self._gateways: list[Gateway] = []
        self._is_open = False
        self._turns: dict[int, list[int]] = {}
        self._words: dict[int, str] = {}
        self._requests = itertools.count(1)
        self._offered: dict[str, int] = {}
        self._webhooks: dict[int, tuple[int, Received]] = {}
        process.exited.add_done_callback(lambda _: outside.living.discard(self))
        if outside.refusing:
            self._later(0.01, lambda: process.end(Exit(1, None)))
        else:
            self._later(0.01, lambda: self._say(Hello(VERSION, process.pid)))

    def send(self, message: msgspec.Struct) -> None:
        """As the daemon sends to the process."""
        self._peer.send(message)

    def take(self, message: object) -> None:
        """A frame of the daemon."""
        if not self.process.alive:
            return
        match message:
            case Prepare():
                self._gateways = message.gateways
                self._later(0.01, lambda: self._say(Prepared()))
            case Open():
                self._open()
            case Stop():
                self._later(0.01, lambda: self.process.end(Exit(0, None)))
            case Identify():
                # What follows the colon is another token of the same bot.
                bot = message.token.reveal().partition(":")[0]
                self._say(Identified(bot_id=f"id-{bot}", bot_name=f"{bot}_bot"))
            case Probe():
                self._say(Probed())
            case Perceive(turn):
                self._perceive(turn, message)
            case Join(turn, perceptions) if turn in self._turns:
                self._turns[turn] += [one.id for one in perceptions]
                self._words |= {one.id: one.content for one in perceptions}
            case Consolidate():
                facts = {"facts": f"{len(message.lines)} lines"}
                self._later(THINKS, lambda: self._say(Consolidated(message.task, facts)))
            case Deliver():
                self._later(SENDS, lambda: self._deliver(message))
            case Say():
                self._outside.shown.append(message)
            case Taken():
                self._taken(message)
            case WebhookRequest():
                self._called(message)

    def offer(self, channel: str) -> None:
        """Hand over what is pending on a channel, unless a batch is under way."""
        items = self._outside.pending[channel]
        if not self._is_open or channel in self._offered or not items or channel not in self._channels():
            return
        request = self._offered[channel] = next(self._requests)
        self._later(UNTAKEN, lambda: self._again(channel, request))
        self._say(Received(request, channel, items[:1]))

    def _channels(self) -> Iterator[str]:
        return (gateway.channel for gateway in self._gateways)

    def _again(self, channel: str, request: int) -> None:
        if self._offered.get(channel) == request:
            del self._offered[channel]
            self.offer(channel)

    def _taken(self, message: Taken) -> None:
        if message.request in self._webhooks:
            number, received = self._webhooks.pop(message.request)
            if not message.ok:
                self._later(1.0, lambda: self._hand_over(number, received))
            return
        channel = next((one for one, request in self._offered.items() if request == message.request), None)
        if channel is None:
            return
        if message.ok:
            del self._offered[channel]
            self._outside.pending[channel].pop(0)
            self.offer(channel)
        else:
            self._later(1.0, lambda: self._again(channel, message.request))

    def _called(self, message: WebhookRequest) -> None:
        item = msgspec.json.decode(message.body, type=Inbound)
        if item.content in self._outside.fatal:
            self._outside.fatal.discard(item.content)
            self.process.kill()
            return
        if item.content in self._outside.unreadable:
            unread = [Unread("it cannot be read", message.number)]
            self._hand_over(message.number, Received(0, message.channel, [], unread=unread))
            return
        self._hand_over(message.number, Received(0, message.channel, [item], [message.number]))

    def _hand_over(self, number: int, received: Received) -> None:
        received = msgspec.structs.replace(received, request=next(self._requests))
        self._webhooks[received.request] = (number, received)
        self._later(UNTAKEN, lambda: self._unanswered(number, received))
        self._say(received)

    def _unanswered(self, number: int, received: Received) -> None:
        if self._webhooks.pop(received.request, None):
            self._hand_over(number, received)

    def _open(self) -> None:
        self._is_open = True
        self._outside.living.add(self)
        self._say(Ready([GatewayState(channel, "connecting") for channel in self._channels()]))
        for channel in self._channels():
            self._later(0.01, partial(self._connected, channel))
        self._beat()

    def _connected(self, channel: str) -> None:
        token = next(one.token.reveal() for one in self._gateways if one.channel == channel)
        self._say(GatewayChanged(GatewayState(channel, "connected", bot_id=f"id-{token}", bot_name=f"{token}_bot")))
        self.offer(channel)

    def tell(self, message: msgspec.Struct, channel: str) -> None:
        """Its gateway of this channel, if it has one, tells the daemon."""
        if channel in self._channels():
            self._say(message)

    def _beat(self) -> None:
        self._say(Heartbeat(0.0, [GatewayState(channel, "connected") for channel in self._channels()]))
        self._later(HEARTBEAT, self._beat)

    def _perceive(self, turn: int, message: Perceive) -> None:
        words = {one.id: one.content for one in message.perceptions}
        if fatal := self._outside.fatal & {*words.values()}:
            self._outside.fatal -= fatal
            self._later(THINKS / 2, self.process.kill)
        self._turns[turn] = list(words)
        self._words |= words
        thinks = THINKS
        if troubling := self._outside.troubling & {*words.values()}:
            self._outside.troubling -= troubling
            self._say(MindDown(turn, "It is away.", "Wait."))
            thinks = 3.0
        self._later(thinks, lambda: self._reply(turn))

    def _reply(self, turn: int) -> None:
        ids = self._turns.pop(turn)
        if refused := [one for one in ids if self._words[one] in self._outside.refused]:
            self._outside.refused -= {self._words[one] for one in refused}
            self._say(Refused(turn, refused, "declined", "It does not like that."))
            return
        self._say(Reply(turn, ids, [self._answer(self._words[one]) for one in ids]))

    def _answer(self, words: str) -> Outgoing:
        if words in self._outside.drawing:
            return Outgoing(f"re: {words}", "image", "drawn.png")
        return Outgoing(f"re: {words}")

    def _deliver(self, message: Deliver) -> None:
        if message.content in self._outside.silent:
            self._outside.silent.discard(message.content)
            return
        if failed := self._outside.failing.pop(message.content, None):
            self._say(msgspec.structs.replace(failed, seq=message.seq))
            return
        self._outside.arrived.append(message)
        self._say(PartSent(message.seq, 1))
        self._say(Delivered(message.seq, f"p{message.seq}"))

    def _say(self, message: msgspec.Struct) -> None:
        if self.process.alive:
            asyncio.get_running_loop().call_soon(self._peer.heard, message)

    def _later(self, seconds: float, call: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_later(seconds, lambda: self.process.alive and call())
