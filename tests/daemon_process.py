"""A real daemon in a process of its own, for every test that speaks to one as users do."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from proto.records import Channel, Organ, Persona, to_json
from proto.secrets import Secret
from tests.measured import python_path
from tests.patience import PATIENCE

T = TypeVar("T")

ROOT: Final = Path(__file__).parent.parent

PORTS: Final = 1000
"""Ports that one process of a test run chooses from."""
PORT_PARTS: Final = 16


def free_port() -> int:
    """Return a port of the loopback that nobody listens on, and that no connection or emulator is given meanwhile.

    It lies below the kernel's range for those (https://man7.org/linux/man-pages/man7/ip.7.html, ip_local_port_range),
    and each of the test run's processes has a part of its own.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PORT_PARTS
    first = lowest - (part + 1) * PORTS
    while True:
        port = first + secrets.randbelow(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(condition: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
    """Return the condition's first true value; fails after ``timeout`` seconds."""
    deadline, pause = time.monotonic() + timeout, 0.01
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        time.sleep(pause)
        # What takes long is asked for less often: a question may cost the daemon as much as what it waits for.
        pause = min(1.3 * pause, 0.1)
    return value


class DaemonProcess:
    """``python -m daemon serve`` on a state directory and a free port; ``settings`` are ``PERSONAD_`` variables."""

    def __init__(
        self, state_dir: Path, settings: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> None:
        self.state_dir = state_dir
        self.port = free_port()
        self.runtime_dir = Path(tempfile.mkdtemp(prefix="personad-test-", dir="/tmp"))
        self.log = state_dir.with_name(state_dir.name + ".log")
        self.settings = dict(settings or {})
        self.token = ""
        self.arguments: list[str] = []
        self._python = python
        self._process: subprocess.Popen[bytes] | None = None
        self._http: httpx.Client | None = None

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the daemon itself."""
        assert self._process is not None
        return self._process.pid

    @property
    def http(self) -> httpx.Client:
        """A client for it."""
        if self._http is None:
            headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
            self._http = httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False, headers=headers)
        return self._http

    def environ(self) -> dict[str, str]:
        """The daemon's whole environment: nothing of ours gets in."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.state_dir.parent),
            "PERSONAD_STATE_DIR": str(self.state_dir),
            "PERSONAD_RUNTIME_DIR": str(self.runtime_dir),
            "PERSONAD_HTTP_PORT": str(self.port),
            "PYTHONPATH": python_path(),
            **self.settings,
        }

    def spawn(self) -> None:
        """Start it without waiting."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, "-m", "daemon", "serve", *self.arguments],
                cwd=ROOT,
                env=self.environ(),
                stderr=log,
                stdout=log,
            )

    def start(self) -> DaemonProcess:
        """Start it and wait until it answers."""
        self.spawn()
        wait_for(self._answers, f"the daemon to answer; its log: {self.log}")
        return self

    def start_warm(self, *kinds: str) -> DaemonProcess:
        """Start it with the libraries of an OpenAI mind and of these kinds of channels in its zygote.

        Otherwise its zygote would load all of them again whenever one is first used. So a persona that uses all of them
        exists at the start.
        """
        none = {"token": Secret("1:none")}
        nobody = Persona(str(uuid.uuid4()), "Nobody", Organ("m", "openai", Secret("k")))
        nobody.channels = [Channel(kind, kind, none, "2026-01-01T00:00:00.000+00:00") for kind in kinds]
        self.state_dir.mkdir(mode=0o700, exist_ok=True)
        folder = self.state_dir / "personas" / nobody.id
        folder.mkdir(mode=0o700, parents=True)
        (folder / "config.json").write_bytes(to_json(nobody))
        self.start().ready()
        deleted = self.http.post(f"/api/persona/{nobody.id}/delete")
        assert deleted.status_code == 200, f"{deleted.status_code} {deleted.text}; log: {self.log}"
        return self

    def ready(self) -> DaemonProcess:
        """Wait until ``/readyz`` says so."""
        wait_for(lambda: self.http.get("/readyz").status_code == 200, f"readiness; log: {self.log}")
        return self

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for its end and return its exit code."""
        assert self._process is not None
        return self._process.wait(timeout)

    def kill(self) -> None:
        """SIGKILL it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE)

    def stop(self) -> int:
        """SIGTERM it and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        """End it whatever state it is in, and remove what it leaves."""
        if self._http is not None:
            self._http.close()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(PATIENCE)
        shutil.rmtree(self.runtime_dir, ignore_errors=True)

    def create(self, name: str = "Adam", **organs: str) -> str:
        """Create a persona and return her id; without organs she has the embedded mind."""
        organs = organs or {"thinking_model": "smollm2-135m-instruct", "thinking_provider": "embedded"}
        answer = self.http.post("/api/persona/create", json={"name": name, **organs})
        assert answer.status_code == 200, answer.text
        persona_id: str = answer.json()["persona"]["id"]
        return persona_id

    def conversation(self, persona_id: str) -> list[dict[str, Any]]:
        """Her whole conversation, page by page (Any: JSON)."""
        path = f"/api/persona/{persona_id}/conversation"
        page: list[dict[str, Any]] = self.http.get(path, params={"limit": 1000}).json()["messages"]
        messages = page
        while first := next((line["id"] for line in page if "id" in line), None):
            page = self.http.get(path, params={"limit": 1000, "before": first}).json()["messages"]
            messages = page + messages
        return messages

    def socket(
        self,
        path: str,
        *,
        token: str | None = None,
        subprotocols: Sequence[str] = (),
        origin: str | None = None,
        max_queue: int = 16,
    ) -> ClientConnection:
        """Open a WebSocket, such as ``/ws/<id>?after=0``; use it in a ``with``. ``token`` "" sends none."""
        token = self.token if token is None else token
        return connect(
            f"ws://127.0.0.1:{self.port}{path}",
            additional_headers={"authorization": f"Bearer {token}"} if token else None,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            origin=Origin(origin) if origin else None,
            max_queue=max_queue,
            open_timeout=PATIENCE,
            proxy=None,
        )

    def read(self, persona_id: str, message: str, **headers: str) -> httpx.Response:
        """Send her a message."""
        return self.http.post(f"/api/persona/{persona_id}/read", json={"message": message}, headers=headers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the daemon ended with {self._process.returncode}: {self.log.read_text()}"
        try:
            return self.http.get("/livez").status_code in (200, 401)
        except httpx.TransportError:
            return False
