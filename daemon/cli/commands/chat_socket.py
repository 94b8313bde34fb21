"""A persona's messages as they arrive, across broken connections."""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from daemon.cli.client import Client, Persona, UnreachableError
from daemon.ledger import marked

OPEN_TIMEOUT: Final = 10.0
GIVE_UP_SECONDS: Final = 300.0
RETRY_MIN: Final = 0.2
RETRY_MAX: Final = 5.0
MAX_FRAME: Final = 8 * 1024 * 1024
MAX_HEARD: Final = 10_000

NORMAL_CLOSURE: Final = 1000
FINAL_STATUSES: Final = frozenset({400, 401, 403, 404})

SUBPROTOCOL: Final = "personad.v1"

SIGNALS: Final = {
    "Process died": "her process died and is started again",
    "Persona became sick": "she failed too often and is sick; `personad status` shows why",
    "Asleep": "she was stopped; start her with `personad start`",
    "Awake": "she is running",
}


class Heard(NamedTuple):
    """``said`` is her message; ``set_aside`` is a message that she will not answer; ``end`` is the last one.

    ``delta`` is what is new in the answer that she is giving.
    """

    kind: Literal["said", "delta", "typing", "notice", "set_aside", "end"]
    text: str = ""
    frame: Mapping[str, object] | None = None


class ChatSocket:
    """Her socket, read by its own thread; ``heard`` is the queue of what arrived."""

    def __init__(self, client: Client, persona: Persona) -> None:
        self.heard: queue.Queue[Heard] = queue.Queue(MAX_HEARD)
        self._client = client
        self._address = f"{client.socket_url}/ws/{persona.id}"
        self._seq = 0
        self._opened = threading.Event()
        threading.Thread(target=self._run, name="chat-socket", daemon=True).start()

    def wait_until_open(self) -> None:
        """Return once the socket is open or refused for good. Raises UnreachableError when it takes too long."""
        if not self._opened.wait(OPEN_TIMEOUT + 1):
            raise UnreachableError(f"the socket at {self._address} did not open in time; run `personad doctor`")

    def _run(self) -> None:
        lost_at, delay = time.monotonic(), RETRY_MIN
        while True:
            try:
                if self._listen():
                    return
            except InvalidStatus as error:
                if error.response.status_code in FINAL_STATUSES:
                    self._end(_denial(error))
                    return
            except (OSError, InvalidHandshake, ConnectionClosed):
                # The daemon is down or stopping. Frames missed meanwhile are requested with ?after= later.
                pass
            if self._opened.is_set():
                self._opened.clear()
                lost_at, delay = time.monotonic(), RETRY_MIN
                self._put(Heard("notice", "the connection was lost; trying again"))
            if time.monotonic() - lost_at > GIVE_UP_SECONDS:
                self._end("the daemon did not come back")
                return
            time.sleep(random.uniform(delay / 2, delay))
            delay = min(2 * delay, RETRY_MAX)

    def _listen(self) -> bool:
        """Read until the connection ends; return whether it ended for good. Raises what websockets raises."""
        again = self._seq > 0
        address = f"{self._address}?after={self._seq}" if again else self._address
        offered = [Subprotocol(SUBPROTOCOL)]
        if self._client.token:
            offered.append(Subprotocol(f"bearer.{self._client.token}"))
        # Until the first frame arrives, ask from here on: a seq is never below the microseconds since the epoch.
        self._seq = self._seq or time.time_ns() // 1000
        with connect(
            address, subprotocols=offered, open_timeout=OPEN_TIMEOUT, max_size=MAX_FRAME, proxy=None, close_timeout=1
        ) as socket:
            self._opened.set()
            if again:
                self._put(Heard("notice", "connected again"))
            for message in socket:
                self._receive(message)
            if socket.close_code == NORMAL_CLOSURE:
                self._end(socket.close_reason or "the daemon closed the conversation")
                return True
        return False

    def _receive(self, message: str | bytes) -> None:
        try:
            frame = json.loads(message)
        except ValueError:
            return
        if not isinstance(frame, dict):
            return
        seq = frame.get("seq")
        if isinstance(seq, int):
            self._seq = max(self._seq, seq)
        heard = _heard(frame)
        if heard:
            self._put(heard)

    def _put(self, heard: Heard) -> None:
        """Wait when the terminal is too slow; the daemon's own queue bounds the rest."""
        self.heard.put(heard)

    def _end(self, reason: str) -> None:
        self._put(Heard("end", reason))
        self._opened.set()


def _heard(frame: Mapping[str, object]) -> Heard | None:
    kind = frame.get("type")
    if kind in ("chat_message", "chat_audio", "chat_image"):
        content, url = str(frame.get("content", "")), frame.get("url")
        content = marked(content) if frame.get("hushed") else content
        return Heard("said", f"{content} [{url}]".strip() if url else content, frame)
    if kind == "chat_delta":
        return Heard("delta", str(frame.get("text", "")), frame)
    title, details = str(frame.get("title", "")), frame.get("details")
    about = details if isinstance(details, dict) else {}
    channel = about.get("channel")
    on_web = isinstance(channel, dict) and channel.get("type") == "web"
    if title == "Persona wants to type" and on_web:
        return Heard("typing", frame=frame)
    if title == "Perception set aside" and on_web:
        reason = about.get("reason") or "`personad status` shows why"
        return Heard("set_aside", f"a message was set aside ({reason}); `personad retry` takes it up again", frame)
    return Heard("notice", SIGNALS[title], frame) if title in SIGNALS else None


def _denial(error: InvalidStatus) -> str:
    try:
        return str(json.loads(error.response.body or b"")["detail"])
    except (ValueError, TypeError, KeyError):
        return f"the daemon refused the socket with status {error.response.status_code}"
