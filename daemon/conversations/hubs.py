"""The web channel's hubs: they send every frame to browsers, in the order of ``seq``.

``seq`` is one increasing integer for the whole daemon. It is at least the microseconds since the epoch, so that it
also increases across restarts. A chat frame reserves its ``seq`` before its transaction and holds its place until that
is committed; the persona's later frames wait behind it. Chat frames are replayed from the ledger, signals from a ring
in memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Final, NamedTuple

import msgspec

from daemon.conversations.drafts import Draft, Unsent
from daemon.conversations.frames import Ending, SignalFrame, SignalType, chat_frame
from daemon.ledger import Ledger
from daemon.runtime.clock import Clock
from daemon.settings.settings import Limits
from proto.records import Persona
from proto.secrets import MASK, Secret, redact

SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013
NORMAL_CLOSURE: Final = 1000

RING_FRAMES: Final = 256
RING_CHARS: Final = 1_048_576
QUEUE_CHARS: Final = 2_097_152
"""Characters that may wait for one socket; ``limits.socket_queue`` bounds the frames."""
REPLAY_PAGE: Final = 256
CLOSE_TIMEOUT: Final = 1.0


class HubsRefusal(Exception):
    """No more sockets are accepted now; the text says why."""


class SocketClosed(Exception):
    """This socket must be closed with ``code`` and ``reason``."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Socket:
    """One subscriber: the bounded queue between the hubs and the sender of one WebSocket.

    One that ``opens`` opens her web channel as well.
    """

    def __init__(self, persona_id: str | None, until: int, limit: int, *, opens: bool = True) -> None:
        self.persona_id = persona_id
        self.opens = opens
        self.until = until
        """Frames up to this ``seq`` were sent before the subscription; all later ones come to the queue."""
        self._limit = limit
        self._frames: deque[str] = deque()
        self._chars = 0
        self._unsent = Unsent()
        self._wake = asyncio.Event()
        self._closed: SocketClosed | None = None

    def put(self, frame: str) -> None:
        """Queue a frame. A socket that is too slow for its queue is closed; its client reconnects with ``?after=``."""
        if self._closed is not None:
            return
        self._chars += len(frame)
        if len(self._frames) >= self._limit or self._chars > QUEUE_CHARS:
            self.close(TRY_AGAIN_LATER, "too slow: reconnect with ?after= the last seq you have")
            return
        self._frames.append(frame)
        self._wake.set()

    def draft(self, draft: Draft, since: int) -> None:
        """What follows ``since`` in a draft is new. It waits behind the frames, and takes no room in the queue."""
        self._unsent.add(draft, since)
        self._wake.set()

    def offer(self, frame: str) -> None:
        """Queue a frame that may be lost, unless the socket is behind: half of its queue stays free for the others."""
        if len(self._frames) < self._limit // 2 and self._chars + len(frame) <= QUEUE_CHARS // 2:
            self.put(frame)

    def drop_draft(self) -> None:
        """Send nothing more of a draft: the message comes."""
        self._unsent.drop()

    def close(self, code: int, reason: str) -> None:
        """Have the sender close the socket. Queued frames are dropped; the first call wins."""
        if self._closed is None:
            self._closed = SocketClosed(code, reason)
            self._frames.clear()
            self._wake.set()

    async def get(self) -> list[str]:
        """Wait for frames and return all that are queued, and what is new in a draft. Raises SocketClosed."""
        await self._wake.wait()
        self._wake.clear()
        if self._closed is not None:
            raise self._closed
        frames = list(self._frames)
        self._frames.clear()
        self._chars = 0
        return frames + self._unsent.take()


class _Place:
    """A frame's place in a persona's order; ``frame`` is None when nothing is to be sent."""

    __slots__ = ("filled", "frame", "seq")

    def __init__(self, seq: int, frame: str | None = None, *, filled: bool) -> None:
        self.seq = seq
        self.frame = frame
        self.filled = filled


class _Hub:
    """One persona's sockets, and her frames that wait for an earlier place to be filled."""

    def __init__(self) -> None:
        self.sockets: set[Socket] = set()
        self.waiting: deque[_Place] = deque()
        self.running = False
        self.is_open = False
        self.draft: Draft | None = None

    def flush(self) -> None:
        while self.waiting and self.waiting[0].filled:
            frame = self.waiting.popleft().frame
            if frame is not None:
                for socket in self.sockets:
                    socket.put(frame)


class Slot:
    """A reserved place in the order of her frames: publish it once its transaction is committed, or drop it."""

    __slots__ = ("_hub", "_place")

    def __init__(self, hub: _Hub, place: _Place) -> None:
        self._hub = hub
        self._place = place

    @property
    def seq(self) -> int:
        return self._place.seq

    def publish(self, frame: Mapping[str, object] | bytes | str) -> None:
        """Send ``frame``; a mapping is encoded with this slot's ``seq``. A filled slot ignores this."""
        if isinstance(frame, Mapping):
            frame = msgspec.json.encode({**frame, "seq": self.seq})
        self._fill(frame.decode() if isinstance(frame, bytes) else frame)

    def drop(self) -> None:
        """Send nothing and let later frames pass. A filled slot ignores this."""
        self._fill(None)

    def _fill(self, frame: str | None) -> None:
        if not self._place.filled:
            self._place.frame = frame
            self._place.filled = True
            self._hub.flush()


class _Signal(NamedTuple):
    seq: int
    persona_id: str | None
    frame: str


class _Ring:
    """The last signals, bounded in frames and in characters."""

    def __init__(self) -> None:
        self._signals: deque[_Signal] = deque()
        self._chars = 0

    def add(self, signal: _Signal) -> None:
        self._signals.append(signal)
        self._chars += len(signal.frame)
        while len(self._signals) > RING_FRAMES or self._chars > RING_CHARS:
            self._chars -= len(self._signals.popleft().frame)

    def between(self, persona_id: str | None, after: int, until: int) -> deque[_Signal]:
        return deque(
            signal
            for signal in self._signals
            if after < signal.seq <= until and persona_id in (None, signal.persona_id)
        )


class Hubs:
    """The hubs of all personas. ``last_seq`` is the ledger's last one."""

    def __init__(self, ledger: Ledger, limits: Limits, last_seq: int, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._limits = limits
        self._seq = last_seq
        self._hubs: dict[str, _Hub] = {}
        self._system: set[Socket] = set()
        self._ring = _Ring()
        self._sockets: set[Socket] = set()
        self._closing = False
        self._empty = asyncio.Event()

    @property
    def sockets(self) -> int:
        """How many sockets are connected."""
        return len(self._sockets)

    def reserve(self, persona_id: str) -> Slot:
        """Reserve the next ``seq`` for a chat frame; her later frames wait until the slot is filled."""
        hub = self._hub(persona_id)
        place = _Place(self._next_seq(), filled=False)
        hub.waiting.append(place)
        return Slot(hub, place)

    def signal(self, kind: SignalType, title: str, persona: Persona | None, details: Mapping[str, object]) -> None:
        """Send a signal to her sockets and ``/ws/system``. Secrets in ``details`` are masked, also inside texts."""
        shown = dict(details)
        if persona is not None:
            shown["persona"] = {"id": persona.id, "name": persona.name}
        seq = self._next_seq()
        frame = SignalFrame(kind, title, self._clock.time_ns(), shown, seq)
        text = redact(msgspec.json.encode(frame, enc_hook=_mask).decode())
        self._ring.add(_Signal(seq, persona.id if persona else None, text))
        for socket in self._system:
            socket.put(text)
        if persona is not None:
            hub = self._hub(persona.id)
            hub.waiting.append(_Place(seq, text, filled=True))
            hub.flush()

    def draft(self, persona_id: str, turn: int, offset: int, text: str) -> None:
        """Show what is said so far in a turn: ``text`` follows the first ``offset`` characters."""
        hub = self._hub(persona_id)
        if hub.draft is None or hub.draft.turn != turn:
            hub.draft = Draft(persona_id, turn)
        since = hub.draft.put(offset, text)
        for socket in hub.sockets:
            socket.draft(hub.draft, since)

    def offer(self, persona_id: str, frame: str) -> None:
        """Send a frame that is neither stored nor sent again to the sockets that keep up."""
        for socket in self._hub(persona_id).sockets:
            socket.offer(frame)

    def end_draft(self, persona_id: str, turn: int, *, said: bool) -> None:
        """A turn ended: nothing of its draft is sent any more. Unless its message follows, sockets are told so."""
        hub = self._hub(persona_id)
        hub.draft, over = None, Draft(persona_id, turn)
        for socket in hub.sockets:
            socket.drop_draft()
            if not said:
                socket.draft(over, 0)

    def started(self, persona_id: str) -> None:
        """She runs: her web channel is open only if a socket that opens it is connected."""
        hub = self._hub(persona_id)
        hub.running = True
        hub.is_open = any(socket.opens for socket in hub.sockets)

    def stopped(self, persona_id: str) -> None:
        """She no longer runs: her web channel is closed. Her sockets stay and get signals."""
        hub = self._hub(persona_id)
        hub.running = hub.is_open = False

    def resync(self, persona_id: str) -> None:
        """Close her sockets after a fault: clients that reconnect with ``?after=`` get frames that were not sent."""
        hub = self._hub(persona_id)
        hub.waiting.clear()
        for socket in hub.sockets:
            socket.close(SERVICE_RESTART, "a fault: reconnect with ?after= the last seq you have")

    def is_open(self, persona_id: str) -> bool:
        """Whether a socket has opened her web channel since she was started; it stays open without that socket."""
        hub = self._hubs.get(persona_id)
        return hub is not None and hub.is_open

    def forget(self, persona_id: str) -> None:
        """Close a deleted persona's sockets."""
        hub = self._hubs.pop(persona_id, None)
        for socket in hub.sockets if hub else ():
            socket.close(NORMAL_CLOSURE, "this persona was deleted")

    def connect(self, persona_id: str | None, *, opens: bool = True) -> Socket:
        """Subscribe a socket to a persona's frames, or with None to all signals. Raises HubsRefusal.

        One that does not ``opens`` leaves her web channel as it is.
        """
        if self._closing:
            raise HubsRefusal("personad is stopping; try again when it runs.")
        if len(self._sockets) >= self._limits.sockets:
            raise HubsRefusal(f"All {self._limits.sockets} sockets are in use; close one or raise limits.sockets.")
        if persona_id is None:
            socket = Socket(None, self._seq, self._limits.socket_queue)
            self._system.add(socket)
        else:
            hub = self._hub(persona_id)
            until = hub.waiting[0].seq - 1 if hub.waiting else self._seq
            socket = Socket(persona_id, until, self._limits.socket_queue, opens=opens)
            hub.sockets.add(socket)
            if hub.draft:
                socket.draft(hub.draft, 0)
            hub.is_open = hub.running and (opens or hub.is_open)
        self._sockets.add(socket)
        self._empty.clear()
        return socket

    def disconnect(self, socket: Socket) -> None:
        """Forget a disconnected socket."""
        self._sockets.discard(socket)
        self._system.discard(socket)
        if socket.persona_id in self._hubs:
            self._hubs[socket.persona_id].sockets.discard(socket)
        if not self._sockets:
            self._empty.set()

    async def replay(self, socket: Socket, after: int) -> AsyncIterator[str]:
        """Yield the frames that a socket missed after ``after``, in order of ``seq``, up to the start of its queue."""

        signals = self._ring.between(socket.persona_id, after, socket.until)
        async for seq, frame in self._stored(socket, after):
            while signals and signals[0].seq < seq:
                yield signals.popleft().frame
            yield frame
        for signal in signals:
            yield signal.frame

    async def close(self) -> None:
        """Close every socket with 1012 (service restart) and accept no more."""
        self._closing = True
        for socket in self._sockets:
            socket.close(SERVICE_RESTART, "personad is stopping")
        if self._sockets:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._empty.wait()
            except TimeoutError:
                # The peer of the remaining sockets does not read; the server drops them with the listener.
                return

    async def _stored(self, socket: Socket, after: int) -> AsyncIterator[tuple[int, str]]:
        if socket.persona_id is None:
            return
        while True:
            page = await self._ledger.frames(socket.persona_id, after, REPLAY_PAGE)
            for stored in page:
                if stored.seq > socket.until:
                    return
                after = stored.seq
                said = (stored.kind, stored.content, stored.media, Ending(None, hushed=stored.hushed))
                yield stored.seq, chat_frame(socket.persona_id, stored.seq, *said)
            if len(page) < REPLAY_PAGE:
                return

    def _hub(self, persona_id: str) -> _Hub:
        return self._hubs.setdefault(persona_id, _Hub())

    def _next_seq(self) -> int:
        self._seq = max(self._seq + 1, self._clock.time_ns() // 1000)
        return self._seq


def _mask(value: object) -> object:
    """Encode what msgspec cannot: a secret as its mask, everything else as its text."""

    return MASK if isinstance(value, Secret) else str(value)
