"""Someone at a browser: a socket to one persona and everything that came over it."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.daemon_process import DaemonProcess, wait_for
from tests.patience import PATIENCE


class Listener:
    """Collects the frames of ``/ws/<persona id>`` until it is left or closed by the daemon."""

    def __init__(self, daemon: DaemonProcess, persona_id: str, after: int | None = None) -> None:
        query = "" if after is None else f"?after={after}"
        self.frames: list[dict[str, Any]] = []  # Any: JSON
        self.closed: int | None = None
        """The close code, once the daemon has closed the socket; 1006 when the connection broke."""
        self._stack = ExitStack()
        self._socket = self._stack.enter_context(daemon.socket(f"/ws/{persona_id}{query}"))
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        self._stack.close()
        self._thread.join(PATIENCE)

    @property
    def words(self) -> list[str]:
        """What she said, in order."""
        return [frame["content"] for frame in list(self.frames) if frame["type"] == "chat_message"]

    @property
    def titles(self) -> list[str]:
        """The titles of the signals, in order."""
        return [frame["title"] for frame in list(self.frames) if "title" in frame]

    @property
    def last_seq(self) -> int:
        """The highest ``seq`` seen."""
        return max((frame.get("seq", 0) for frame in list(self.frames)), default=0)

    def hears(self, *words: str, timeout: float = PATIENCE) -> None:
        """Wait until each of these words is in something that she said."""
        wait_for(lambda: all(self.count(word) for word in words), f"{words}; she said {self.words}", timeout)

    def count(self, word: str) -> int:
        """In how many of her messages this word is."""
        return sum(word in said for said in self.words)

    def _collect(self) -> None:
        try:
            while True:
                self.frames.append(json.loads(self._socket.recv()))
        except ConnectionClosed as closed:
            self.closed = closed.rcvd.code if closed.rcvd else 1006
