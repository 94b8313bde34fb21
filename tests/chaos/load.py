"""The load of the kill matrix: people who write without pause, and browsers that reconnect."""

from __future__ import annotations

import json
import threading
from collections import Counter
from typing import Any, Final

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.daemon_process import DaemonProcess
from tests.patience import PATIENCE

PAUSE: Final = 0.02
"""Seconds between two tries while the daemon is down, and between two messages of one person."""


class Writer(threading.Thread):
    """Writes messages to one persona, each text unique, and remembers what was received."""

    def __init__(self, daemon: DaemonProcess, persona_id: str, name: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.received: list[str] = []
        self.unsure: list[str] = []
        """Sent, but the connection was lost before the answer: kept or not, both are right."""
        self.unexpected: list[str] = []
        self._daemon = daemon
        self._path = f"/api/persona/{persona_id}/read"
        self._name = name
        self._over = over
        self._stopped = threading.Event()

    def run(self) -> None:
        number = 0
        with httpx.Client(base_url=self._daemon.url, timeout=PATIENCE, trust_env=False) as http:
            while not self._stopped.wait(PAUSE) and not self._over.is_set():
                number += 1
                self._write(http, f"<{self._name}-{number}>")

    def stop(self) -> None:
        """Stop writing."""
        self._stopped.set()
        self.join(PATIENCE)

    def _write(self, http: httpx.Client, text: str) -> None:
        try:
            answer = http.post(self._path, json={"message": text})
        except httpx.ConnectError:
            return
        except httpx.TransportError:
            self.unsure.append(text)
            return
        if answer.status_code == 200:
            self.received.append(text)
        elif answer.status_code not in (400, 409, 503):
            # 400 and 409: the daemon is up again, but her socket or her process is not.
            self.unexpected.append(f"{answer.status_code} {answer.text}")


class Browser(threading.Thread):
    """Listens to one persona until cancelled; after each break it requests what it missed."""

    def __init__(self, daemon: DaemonProcess, persona_id: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.seqs: Counter[int] = Counter()
        self.said: list[str] = []
        self._daemon = daemon
        self._persona_id = persona_id
        self._over = over
        self._last_chat = 0

    def run(self) -> None:
        while not self._over.is_set():
            try:
                with self._daemon.socket(f"/ws/{self._persona_id}?after={self._last_chat}") as socket:
                    while not self._over.is_set():
                        try:
                            self._take(json.loads(socket.recv(timeout=0.5)))
                        except TimeoutError:
                            continue
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, EOFError):
                self._over.wait(PAUSE)

    def _take(self, frame: dict[str, Any]) -> None:
        # Any: JSON. Signals and drafts are not durable, so only her messages are counted.
        if frame["type"] in ("chat_message", "chat_audio", "chat_image"):
            self.seqs[frame["seq"]] += 1
            self.said.append(frame["content"])
            self._last_chat = frame["seq"]
