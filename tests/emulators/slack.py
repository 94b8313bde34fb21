"""Slack's web API, files and Socket Mode on loopback, with one workspace, one app and its people.

Everything in ``SlackEmulator`` may be called from any thread; waits block, so a test with a loop of its own awaits them
by ``asyncio.to_thread``. Shapes and error codes are those of Slack's documentation.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiohttp import WSMsgType, web

from tests.patience import PATIENCE

T = TypeVar("T")

BOT: Final = "U0BOT"
TEAM: Final = "T0TEAM"


@dataclass
class Fault:
    """The failure of a call of ``method``: an error code, a status, or no answer although the work was done.

    ``slow`` only does the work so many seconds later.
    """

    method: str
    error: str = ""
    status: int = 200
    retry_after: int | None = None
    mute: bool = False
    slow: float = 0.0


@dataclass
class Posted:
    """Something that the app sent."""

    channel: str
    text: str
    thread: str
    files: list[bytes] = field(default_factory=list)


@dataclass
class Pending:
    """An event until it is acknowledged."""

    payload: dict[str, Any]
    sent: float = 0.0
    attempts: int = 0


class SlackEmulator:
    """One workspace, with its own thread and event loop."""

    def __init__(self, *, again_after: float = 0.3) -> None:
        """``again_after`` is when an unacknowledged event is repeated, in seconds."""
        self.bot_token, self.app_token = f"xoxb-{secrets.token_hex(12)}", f"xapp-1-{secrets.token_hex(12)}"
        self.signing_secret = secrets.token_hex(16)
        self.posted: list[Posted] = []
        self.calls: list[str] = []
        self.acknowledged: list[str] = []
        self.refused = ""
        """The error of every call, for an app whose tokens are no longer valid."""
        self.most_sockets = 0
        self.files_at = ""
        """The base URL of files, "" for this server."""
        self.threads: dict[tuple[str, str], list[dict[str, Any]]] = {}
        """The messages of threads that the app may read, by channel and time stamp."""
        self.shared_files: dict[str, dict[str, Any]] = {}
        """What another organization shares, by the file's id."""
        self.statuses: dict[tuple[str, str], str] = {}
        """What the app's status says in each thread where it has one, by channel and time stamp."""
        self.statuses_set: list[tuple[str, str, str]] = []
        self.surprises: dict[str, object] = {}
        """Fields that every answer gets, or gets another value in."""
        self._again_after = again_after
        self._faults: deque[Fault] = deque()
        self._people: dict[str, str] = {}
        self._live: set[tuple[str, str]] = set()
        """Messages of people, by channel and time stamp."""
        self._files: dict[str, bytes] = {}
        self._uploads: dict[str, bytes] = {}
        self._pending: dict[str, Pending] = {}
        self._sockets: set[web.WebSocketResponse] = set()
        self._count = 0
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slack emulator", daemon=True)
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The base of the web API, as an operator sets it."""
        return f"http://127.0.0.1:{self._port}/api/"

    def __enter__(self) -> SlackEmulator:
        self._thread.start()
        self._await(self._up())
        return self

    def __exit__(self, *_: object) -> None:
        self._await(self._down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    # What people do

    def person(self, name: str) -> str:
        """A new person; returns the user id."""
        user = f"U{len(self._people) + 1:04}"
        self._people[user] = name
        return user

    def direct(self, user: str) -> str:
        """The channel of a person's direct messages with the app."""
        return f"D{user[1:]}"

    def file(self, name: str, data: bytes, size: int | None = None) -> dict[str, Any]:
        """A file to send with ``say``; ``size`` is its declared size, None for the real one."""
        self._files[name] = data
        url = f"{self.files_at or f'http://127.0.0.1:{self._port}'}/files/{name}"
        told = len(data) if size is None else size
        return {"id": f"F{len(self._files)}", "name": name, "size": told, "url_private_download": url}

    def message(self, user: str, text: str, **fields: Any) -> dict[str, Any]:
        """A message event, in the person's direct messages unless ``channel`` is given (then it is a mention)."""
        channel = fields.pop("channel", "")
        kind = {"type": "app_mention"} if channel else {"type": "message", "channel_type": "im"}
        self._count += 1
        ts = f"{int(time.time())}.{self._count:06}"
        channel = channel or self.direct(user)
        self._live |= {(channel, ts), (channel, fields.get("thread_ts", ts))}
        return {**kind, "channel": channel, "user": user, "text": text, "ts": ts, **fields}

    def say(self, user: str, text: str, **fields: Any) -> str:
        """A person writes, over Socket Mode; returns the event's id."""
        return self.deliver(self.message(user, text, **fields))

    def deliver(self, event: dict[str, Any]) -> str:
        """Send any event over Socket Mode until it is acknowledged."""
        payload = self.payload(event)
        self._call(lambda: self._pending.update({payload["event_id"]: Pending(payload)}))
        return str(payload["event_id"])

    def payload(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event payload, the same over the socket and over HTTP."""
        return {
            "type": "event_callback",
            "team_id": TEAM,
            "api_app_id": "A0APP",
            "event_id": f"Ev{secrets.token_hex(5)}",
            "event_time": int(time.time()),
            "event": event,
        }

    def signed(self, payload: dict[str, Any], at: int | None = None) -> tuple[bytes, dict[str, str]]:
        """The body and the headers of Slack's request to an Events API URL."""
        body, stamp = json.dumps(payload).encode(), str(int(time.time()) if at is None else at)
        mac = hmac.new(self.signing_secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mac}"}
        return body, {**headers, "Content-Type": "application/json"}

    # Failures

    def fail(self, method: str, **fault: Any) -> None:
        """Let the next call of a method fail."""
        self._faults.append(Fault(method, **fault))

    def ask_to_reconnect(self, reason: str = "refresh_requested") -> None:
        """Send a disconnect frame on all sockets."""
        frame = json.dumps({"type": "disconnect", "reason": reason})
        self._await(self._broadcast(frame))

    def break_sockets(self) -> None:
        """End all sockets without a close frame."""
        self._await(self._close_sockets())

    def forget_events(self) -> None:
        """Give up on unacknowledged events, as Slack does after its repetitions."""
        self._call(self._pending.clear)

    # What a test looks at

    @property
    def sockets(self) -> int:
        """How many sockets are open."""
        return len(self._sockets)

    def texts(self, channel: str) -> list[str]:
        """Return what the app sent in a channel."""
        return [one.text for one in self.posted if one.channel == channel]

    def wait(self, condition: Callable[[], T | None], what: str = "the condition") -> T:
        """Wait until the condition is true."""
        deadline = time.monotonic() + PATIENCE
        with self._news:
            while not (found := condition()):
                if not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"waited {PATIENCE:g} s for {what}")
        return found

    # The server

    async def _up(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/api/{method}", self._api)
        app.router.add_get("/api/{method}", self._api)
        app.router.add_get("/link", self._socket)
        app.router.add_get("/files/{name}", self._download)
        app.router.add_post("/upload/{id}", self._upload)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._bringing = asyncio.create_task(self._bring())

    async def _down(self) -> None:
        self._bringing.cancel()
        await self._close_sockets()
        if self._runner:
            await self._runner.cleanup()

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        data = {**request.query, **{name: str(value) for name, value in (await request.post()).items()}}
        if request.content_type == "application/json":
            data |= await request.json()
        self.calls.append(method)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        wanted = self.app_token if method == "apps.connections.open" else self.bot_token
        fault = self._fault(method)
        if self.refused or token != wanted:
            answer = {"ok": False, "error": self.refused or "invalid_auth"}
        elif fault and not (fault.mute or fault.slow):
            answer = {"ok": False, "error": fault.error}
        else:
            await asyncio.sleep(fault.slow if fault else 0)
            answer = self._do(method, data)
            kept = ("url",) if method == "apps.connections.open" else ()
            answer |= {name: value for name, value in self.surprises.items() if name not in kept}
        if fault and fault.mute and request.transport:
            request.transport.abort()
        headers = {"Retry-After": str(fault.retry_after)} if fault and fault.retry_after is not None else {}
        self._ring()
        return web.json_response(answer, status=fault.status if fault else 200, headers=headers)

    def _do(self, method: str, data: dict[str, str]) -> dict[str, Any]:
        match method:
            case "auth.test":
                return {"ok": True, "user": "persona", "user_id": BOT, "team": "The Team", "team_id": TEAM}
            case "apps.connections.open":
                return {"ok": True, "url": f"ws://127.0.0.1:{self._port}/link?ticket={secrets.token_hex(4)}"}
            case "users.info":
                name = self._people.get(data["user"], "")
                return {"ok": bool(name), "user": {"name": name, "profile": {"display_name": name}}}
            case "conversations.replies":
                said = self.threads.get((data["channel"], data["ts"]))
                earlier = [one for one in said or [] if float(one["ts"]) < float(data["latest"])]
                return {"ok": True, "messages": earlier} if said else {"ok": False, "error": "missing_scope"}
            case "files.info":
                return {"ok": data["file"] in self.shared_files, "file": self.shared_files.get(data["file"])}
            case "chat.postMessage":
                self._post(Posted(data["channel"], data["text"], data.get("thread_ts") or ""))
                return {"ok": True, "channel": data["channel"], "ts": f"{time.time():.6f}"}
            case "assistant.threads.setStatus":
                return self._set_status(data)
            case "files.getUploadURLExternal":
                id_ = f"F{secrets.token_hex(4)}"
                return {"ok": True, "file_id": id_, "upload_url": f"http://127.0.0.1:{self._port}/upload/{id_}"}
            case "files.completeUploadExternal":
                files = [self._uploads[one["id"]] for one in json.loads(data["files"])]
                text, thread = data.get("initial_comment", ""), data.get("thread_ts") or ""
                self._post(Posted(data["channel_id"], text, thread, files))
                return {"ok": True, "files": [{"id": one["id"]} for one in json.loads(data["files"])]}
        return {"ok": False, "error": "unknown_method"}

    def _post(self, message: Posted) -> None:
        """Show a message of the app, which removes its status in the thread."""
        self.posted.append(message)
        self.statuses.pop((message.channel, message.thread), None)

    def _set_status(self, data: dict[str, str]) -> dict[str, Any]:
        """Show a status in a thread; an empty one removes it.

        https://docs.slack.dev/reference/methods/assistant.threads.setStatus
        """
        place = (data["channel_id"], data.get("thread_ts", ""))
        if place[0] not in {channel for channel, _ in self._live}:
            return {"ok": False, "error": "channel_not_found"}
        if place not in self._live:
            return {"ok": False, "error": "invalid_thread_ts"}
        self.statuses_set.append((*place, data["status"]))
        self.statuses[place] = data["status"]
        if not data["status"]:
            del self.statuses[place]
        return {"ok": True}

    async def _download(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.bot_token}":
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        return web.Response(body=self._files[request.match_info["name"]], content_type="application/octet-stream")

    async def _upload(self, request: web.Request) -> web.Response:
        self._uploads[request.match_info["id"]] = await request.read()
        return web.Response(text="OK")

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.add(socket)
        self.most_sockets = max(self.most_sockets, len(self._sockets))
        for pending in self._pending.values():
            pending.sent = 0.0
        await socket.send_json({"type": "hello", "num_connections": len(self._sockets)})
        self._ring()
        try:
            async for frame in socket:
                if frame.type == WSMsgType.TEXT:
                    envelope = json.loads(frame.data)["envelope_id"]
                    if self._pending.pop(envelope, None):
                        self.acknowledged.append(envelope)
                    self._ring()
        finally:
            self._sockets.discard(socket)
            self._ring()
        return socket

    async def _bring(self) -> None:
        """Send unacknowledged events again and again."""
        while True:
            now = time.monotonic()
            for id_, pending in list(self._pending.items()):
                if self._sockets and now - pending.sent > self._again_after:
                    frame = {"type": "events_api", "envelope_id": id_, "payload": pending.payload}
                    pending.sent, pending.attempts = now, pending.attempts + 1
                    socket = next(iter(self._sockets))
                    if not socket.closed:
                        await socket.send_json({**frame, "retry_attempt": pending.attempts - 1})
            await asyncio.sleep(0.01)

    async def _broadcast(self, frame: str) -> None:
        for socket in list(self._sockets):
            await socket.send_str(frame)

    async def _close_sockets(self) -> None:
        for socket in list(self._sockets):
            await socket.close()

    def _fault(self, method: str) -> Fault | None:
        fault = next((one for one in self._faults if one.method == method), None)
        if fault:
            self._faults.remove(fault)
        return fault

    def _ring(self) -> None:
        with self._news:
            self._news.notify_all()

    def _call(self, work: Callable[[], Any]) -> None:
        async def run() -> None:
            work()

        self._await(run())

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)
