"""A Slack app: Socket Mode, which needs no public address, or the Events API where there is one.

slack_sdk's own socket client is left out on purpose: it acknowledges an event before anybody has kept it, and hides
why it reconnects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import aiohttp
import msgspec

from proto.gateways import Deliver, ErrorClass, Gateway, GatewayState, Say, Undelivered, WebhookRequest
from proto.secrets import Secret
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.gateways import GatewayLink
from worker.gateways.common.budget import Budget, Pace
from worker.gateways.common.fetching import Fetcher, Hosts
from worker.gateways.common.media import prefix
from worker.gateways.slack.client import Client
from worker.gateways.slack.errors import PROVIDER_ERRORS, SOCKET, WAY_IN, Trouble, trouble
from worker.gateways.slack.inbound import Event, chat_of, inbound, is_for_her, read
from worker.gateways.slack.outbound import Sender

CHAT_PACE: Final = Pace(rate=0.9, burst=3.0)
APP_PACE: Final = Pace(rate=20.0, burst=20.0)
"""One message a second in a channel with short bursts (Slack's documentation, rate limits)."""

ERROR_CLASSES: Final[dict[str, ErrorClass]] = {"credential": "credential", "config": "config", "wait": "throttle"}
"""What the kinds of trouble are to the channel; every other kind passes by itself."""

FILE_HOSTS: Final = ("slack.com",)
NO_SCOPE: Final = "the app may lack the scope files:read"

MAX_SENDING: Final = 64
MAX_RECEIVING: Final = 256
"""Events in hand; what comes beyond is not acknowledged, and Slack brings it again."""

MAX_FRAME: Final = 4 * 1024 * 1024

State: TypeAlias = Literal["connecting", "connected", "degraded", "stopped"]


class Timing(NamedTuple):
    """How long the gateway waits, in seconds."""

    ping: float = 15.0
    """Between two pings on the socket."""
    silence: float = 45.0
    """Without any frame, after which the socket counts as dead."""
    check: float = 300.0
    """Between two looks at the token, where Slack calls us."""
    shortest: float = 0.5
    longest: float = 60.0
    """Ceilings of the backoff."""
    commit: float = 30.0
    """For the daemon's word that messages are committed."""


class Envelope(msgspec.Struct):
    """A frame of Socket Mode."""

    type: str = ""
    envelope_id: str = ""
    reason: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"null")


class SlackGateway:
    """One Slack app of a persona, open to its workspace."""

    def __init__(
        self, gateway: Gateway, url: str, media: Path, link: GatewayLink, log: WorkerLog, timing: Timing | None = None
    ) -> None:
        self.channel = gateway.channel
        self._gateway = gateway
        self._url = url
        self._folder = media
        self._link = link
        self._log = log
        self._timing = timing or Timing()
        self._app_token = gateway.credentials.get("app_token", Secret(""))
        self._state: State = "connecting"
        self._trouble = Trouble("network", "", "")
        self._answered: float | None = None
        self._bot_id = self._bot_name = ""
        self._client: Client | None = None
        self._files: Fetcher | None = None
        self._sender: Sender | None = None
        self._group: asyncio.TaskGroup | None = None
        self._receiving_from: asyncio.Task[None] | None = None
        self._sending = 0
        self._turns: dict[str, asyncio.Task[bool]] = {}
        self._known = asyncio.Event()
        self._budget = Budget(CHAT_PACE, APP_PACE, asyncio.get_running_loop().time)

    def state(self) -> GatewayState:
        """How it stands; the round trip is the last frame or answer that came from Slack."""
        now = asyncio.get_running_loop().time()
        age = None if self._answered is None else now - self._answered
        return GatewayState(
            self.channel,
            self._state,
            self._trouble.reason,
            self._trouble.hint,
            age,
            self._bot_id,
            self._bot_name,
            ERROR_CLASSES.get(self._trouble.kind, "transient") if self._trouble.reason else None,
        )

    async def run(self) -> None:
        """Receive and send until cancelled; tokens that Slack refuses end both, and say so."""
        token = self._gateway.token
        client = self._client = Client(self._url, token)
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        self._files = Fetcher(
            "Slack", lambda: client.session, headers, Hosts(self._url, FILE_HOSTS, FILE_HOSTS), self._folder, NO_SCOPE
        )
        self._sender = Sender(
            client, self._gateway.token, self._budget, self._folder, self._link.send, self._stop, self._log
        )
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._receiving_from = group.create_task(self._receive(client))
            try:
                await asyncio.Event().wait()
            finally:
                self._group = None

    def deliver(self, message: Deliver) -> None:
        """Send a message of the outbox, if the app is connected."""
        if self._sender is None or not self._start(self._sender.deliver(message)):
            self._link.send(Undelivered(message.seq, f"Slack is not connected ({self._state})."))

    def say(self, message: Say) -> None:
        """Send a text once, if the app is connected."""
        if self._sender is None or not self._start(self._sender.say(message)):
            self._log.warning("slack.say_failed", reason=f"not connected ({self._state})")

    def webhook(self, message: WebhookRequest) -> None:
        """Take one event that Slack brought over HTTP, which the daemon has verified and kept."""
        if self._group:
            self._group.create_task(self._from_webhook(message))

    def bound(self, account: str, chat: str) -> None:
        """Slack is open to its workspace: nobody is paired."""

    def typing(self, chat: str) -> None:
        """Slack shows no typing of apps (its documentation has none for bots outside of assistant threads)."""

    async def close(self) -> None:
        """Leave all connections."""
        if self._client:
            await self._client.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Run a send beside the rest; False when there is no connection or too much in hand."""
        if not self._group or self._state not in ("connected", "degraded") or self._sending >= MAX_SENDING:
            work.close()
            return False
        self._sending += 1
        self._group.create_task(work).add_done_callback(self._sent)
        return True

    def _sent(self, _: asyncio.Task[None]) -> None:
        self._sending -= 1

    # Receiving

    async def _receive(self, client: Client) -> None:
        backoff = Backoff(self._timing.shortest, self._timing.longest)
        if not self._gateway.webhook and not self._app_token.reveal():
            self._stop(Trouble("config", "This daemon has no public address that Slack could call.", WAY_IN))
        while self._state != "stopped":
            try:
                if not self._bot_id:
                    self._bot_id, self._bot_name, _ = await client.me()
                    self._known.set()
                if self._gateway.webhook:
                    await self._keep_looking(client)
                else:
                    await self._hold_socket(client)
                    # Slack asks for a new connection now and then; one that asks at once, again and again, waits too.
                    await asyncio.sleep(self._timing.shortest)
                backoff = Backoff(self._timing.shortest, self._timing.longest)
            except (*PROVIDER_ERRORS, msgspec.DecodeError) as error:
                found = trouble(error, self._gateway.token, self._app_token)
                if found.kind in ("credential", "config"):
                    self._stop(found)
                    return
                self._change("degraded", found)
                await asyncio.sleep(max(backoff.next(), found.retry_after))

    async def _keep_looking(self, client: Client) -> None:
        """Slack calls us: all there is to do is to see that the token still holds."""
        while True:
            await client.me()
            self._connected()
            await asyncio.sleep(self._timing.check)

    async def _hold_socket(self, client: Client) -> None:
        """One connection of Socket Mode, until Slack asks for another one."""
        url = await client.socket_url(self._app_token)
        async with client.session.ws_connect(url, autoping=False, max_msg_size=MAX_FRAME) as socket:
            pinging = asyncio.create_task(self._ping(socket))
            try:
                while True:
                    frame = await socket.receive(timeout=self._timing.silence)
                    match frame.type:
                        case aiohttp.WSMsgType.TEXT:
                            if not self._take(socket, msgspec.json.decode(frame.data, type=Envelope)):
                                return
                        case aiohttp.WSMsgType.PING:
                            await socket.pong(frame.data)
                        case aiohttp.WSMsgType.PONG:
                            self._answered = asyncio.get_running_loop().time()
                        case _:
                            raise ConnectionError("the connection to Slack ended")
            finally:
                pinging.cancel()

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while not socket.closed:
            await asyncio.sleep(self._timing.ping)
            try:
                await socket.ping()
            except ConnectionError:
                # The reader finds out, and says so.
                return

    def _take(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> bool:
        """One frame; False when Slack wants this connection to end."""
        match envelope.type:
            case "hello":
                self._connected()
            case "disconnect":
                if envelope.reason == "link_disabled":
                    self._stop(Trouble("config", "Socket Mode is switched off for this Slack app.", SOCKET))
                return False
            case "events_api":
                if self._group and len(self._turns) < MAX_RECEIVING:
                    self._group.create_task(self._from_socket(socket, envelope))
            case _ if envelope.envelope_id and self._group:
                # Slash commands and buttons are not ours, but they want to be acknowledged.
                self._group.create_task(self._acknowledge(socket, envelope))
        return True

    async def _from_socket(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> None:
        """An event is acknowledged once it is committed; if it is not, Slack brings it again."""
        event = self._read(envelope.payload)
        if event is None or await self._in_turn(event, ()):
            await self._acknowledge(socket, envelope)

    async def _acknowledge(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> None:
        try:
            await socket.send_json({"envelope_id": envelope.envelope_id})
        except ConnectionError:
            # Slack brings it again over the next connection, where its key is known.
            return

    async def _from_webhook(self, message: WebhookRequest) -> None:
        """An event that the daemon keeps until we say that its messages are committed."""
        await self._known.wait()
        event = self._read(message.body)
        backoff = Backoff(self._timing.shortest, self._timing.longest)
        while True:
            if await (self._in_turn(event, (message.number,)) if event else self._committed([], (message.number,))):
                return
            await asyncio.sleep(backoff.next())

    def _read(self, body: bytes | msgspec.Raw) -> Event | None:
        """The event, if it is one for her."""
        try:
            event = read(body)
        except msgspec.DecodeError as error:
            self._log.error("slack.unreadable", reason=str(error))
            return None
        return event if event and is_for_her(event, self._bot_id) else None

    async def _in_turn(self, event: Event, webhooks: tuple[int, ...]) -> bool:
        """Commit a message after those before it in its conversation, whose files may take a while."""
        chat, before = chat_of(event), self._turns.get(chat_of(event))
        mine = self._turns[chat] = asyncio.create_task(self._keep(event, webhooks, before))
        try:
            return await mine
        finally:
            if self._turns.get(chat) is mine:
                del self._turns[chat]

    async def _keep(self, event: Event, webhooks: tuple[int, ...], before: asyncio.Task[bool] | None) -> bool:
        if before:
            await asyncio.wait([before])
        assert self._client
        assert self._files
        items = await inbound(event, self._bot_id, self._client, self._files, prefix(self._gateway))
        return await self._committed(items, webhooks)

    async def _committed(self, items: list[Any], webhooks: tuple[int, ...]) -> bool:
        try:
            async with asyncio.timeout(self._timing.commit):
                return await self._link.received(self.channel, items, webhooks)
        except (ConnectionError, TimeoutError):
            return False

    # State

    def _connected(self) -> None:
        self._answered = asyncio.get_running_loop().time()
        if self._state != "connected":
            self._change("connected", Trouble("network", "", ""))

    def _stop(self, found: Trouble) -> None:
        """Only a person can help: no further request is made."""
        self._change("stopped", found)
        if self._receiving_from and self._receiving_from is not asyncio.current_task():
            self._receiving_from.cancel()

    def _change(self, state: State, found: Trouble) -> None:
        if (state, found.reason) == (self._state, self._trouble.reason) or self._state == "stopped":
            return
        self._state, self._trouble = state, found
        self._link.changed(self.state())
