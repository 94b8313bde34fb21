"""A Slack channel: the Events API if there is a public address, else Socket Mode, which needs none.

https://api.slack.com/apis/socket-mode
https://api.slack.com/apis/events-api
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from proto.gateways import MAX_UNREAD_BODY, Inbound, Unread, WebhookRequest
from proto.gateways import Gateway as Channel
from worker.base.log import WorkerLog
from worker.gateways.common import gateway as kernel
from worker.gateways.common.account import CONNECT_TIMEOUT
from worker.gateways.common.link import GatewayLink
from worker.gateways.common.reading import fitted, parsed
from worker.gateways.common.trouble import NETWORK, Trouble, TroubleError, UnreadableError
from worker.gateways.slack.account import Slack
from worker.gateways.slack.inbound import Event, chat_of, inbound, key_of, read
from worker.gateways.slack.outbound import SlackSender

MAX_RECEIVING: Final = 256
"""Events in progress. Further events are not acknowledged, and Slack delivers them again."""

MAX_FRAME: Final = 4 * 1024 * 1024
"""Bytes."""

SOCKET: Final = "Enable Socket Mode for the app (api.slack.com/apps, Socket Mode), and resume the channel."
WAY_IN: Final = (
    "Give the account an app_token_file (Socket Mode), or set hooks.public_url (PERSONAD_HOOKS_PUBLIC_URL) for Slack "
    "to call and restart personad."
)


class Timing(kernel.Timing, frozen=True, kw_only=True):
    """How long the gateway waits, in seconds."""

    ping: float = 15.0
    """Between two pings on the socket."""
    silence: float = 45.0
    """Without any frame before the socket counts as dead."""


class Envelope(msgspec.Struct):
    """A frame of Socket Mode."""

    type: str = ""
    envelope_id: str = ""
    reason: str = ""
    payload: Any = None
    """Any: JSON that is read later."""


class SlackGateway(kernel.Gateway[Slack, SlackSender, Timing]):
    """One Slack app of a persona, open to its workspace."""

    account_type = Slack
    sender_type = SlackSender
    timing_type = Timing

    def __init__(
        self, gateway: Channel, url: str, media: Path, link: GatewayLink, log: WorkerLog, timing: Timing | None = None
    ) -> None:
        super().__init__(gateway, url, media, link, log, timing)
        self._in_hand: dict[tuple[str, str], asyncio.Task[bool]] = {}
        """Events that are not committed yet, by channel and time stamp."""
        self._last: dict[str, asyncio.Task[bool]] = {}
        """The last of these in each conversation."""

    def unusable(self) -> Trouble | None:
        if self.gateway.webhook or self.account.app_token:
            return super().unusable()
        return Trouble("config", "This daemon has no public address for Slack to call.", WAY_IN)

    async def exchange(self) -> float:
        """Hold a socket, or, if Slack calls our webhook, check that the token is still valid."""
        if self.gateway.webhook or not self.identity.id:
            self.introduce(await self.account.test())
        if self.gateway.webhook:
            self.up()
            return self.timing.check
        await self._hold_socket()
        # Slack asks for a new connection now and then. The pause keeps us from reconnecting in a tight loop.
        return self.timing.shortest

    async def read(self, webhooks: Sequence[WebhookRequest]) -> kernel.Reading:
        """Return the messages in these events."""
        await self.known.wait()
        events: list[Event] = []
        unread: list[Unread] = []
        for webhook in webhooks:
            try:
                events.extend(filter(None, [read(parsed(webhook.body), self.identity.id)]))
            except UnreadableError as error:
                self.log.error("slack.unreadable", reason=str(error))
                unread.append(Unread(str(error), webhook.number))
        found = await asyncio.gather(*(self._items(event) for event in events))
        return kernel.Reading([item for items in found for item in items], unread)

    async def _hold_socket(self) -> None:
        """Hold one Socket Mode connection until Slack asks for a new one."""
        url = await self.account.socket_url()
        async with asyncio.timeout(CONNECT_TIMEOUT):
            socket = await self.account.client.ws_connect(url, autoping=False, max_msg_size=MAX_FRAME)
        pinging = self.spawn(self._ping(socket))
        try:
            while self._take(socket, await self._frame(socket)):
                pass
        finally:
            if pinging:
                pinging.cancel()
            await socket.close()

    async def _frame(self, socket: aiohttp.ClientWebSocketResponse) -> Envelope:
        """Return the next text frame. Raises what PROVIDER_ERRORS lists, also when the socket has closed."""
        while True:
            frame = await socket.receive(timeout=self.timing.silence)
            match frame.type:
                case aiohttp.WSMsgType.TEXT:
                    return fitted(parsed(frame.data), Envelope)
                case aiohttp.WSMsgType.PING:
                    await socket.pong(frame.data)
                case aiohttp.WSMsgType.PONG:
                    self.account.answered()
                case _:
                    raise TroubleError(Trouble("transient", "The connection to Slack ended.", NETWORK))

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while not socket.closed:
            await asyncio.sleep(self.timing.ping)
            try:
                await socket.ping()
            except ConnectionError:
                # The reader notices this too, and reports it.
                return

    def _take(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> bool:
        """Handle one frame. Returns False if Slack wants this connection to end."""
        match envelope.type:
            case "hello":
                self.account.answered()
                self.up()
            case "disconnect" if envelope.reason == "link_disabled":
                raise TroubleError(Trouble("config", "Socket Mode is disabled for this Slack app.", SOCKET))
            case "disconnect":
                return False
            case "events_api":
                if len(self._in_hand) < MAX_RECEIVING:
                    self.spawn(self._receive(socket, envelope))
            case _ if envelope.envelope_id:
                # We do not use slash commands and buttons, but Slack expects an acknowledgement.
                self.spawn(self._acknowledge(socket, envelope))
        return True

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> None:
        """Commit an event and acknowledge it. An event that is not committed is delivered again by Slack.

        https://api.slack.com/apis/socket-mode
        """
        try:
            event = read(envelope.payload, self.identity.id)
        except UnreadableError as error:
            done = await self._keep_unread(envelope.payload, str(error))
        else:
            done = event is None or await self._in_turn(event)
        if done:
            await self._acknowledge(socket, envelope)

    async def _keep_unread(self, payload: Any, reason: str) -> bool:
        """Have the daemon keep what cannot be read (Any: JSON). Returns False if it was not kept."""
        self.log.error("slack.unreadable", reason=reason)
        body = msgspec.json.encode(payload)
        if len(body) > MAX_UNREAD_BODY:
            return True
        return await self.taken([], unread=[Unread(reason, key=key_of(payload, body), body=body)])

    async def _acknowledge(self, socket: aiohttp.ClientWebSocketResponse, envelope: Envelope) -> None:
        try:
            await socket.send_json({"envelope_id": envelope.envelope_id})
        except ConnectionError:
            # Slack delivers the event again over the next connection, where its key is already known.
            return

    async def _in_turn(self, event: Event) -> bool:
        """Commit a message after the earlier ones of its conversation, whose files may take a while.

        Slack repeats an event that is not acknowledged within seconds; the repetition waits for the first.
        """
        chat, key = chat_of(event), (event.channel, event.ts)
        if same := self._in_hand.get(key):
            return await same
        mine = asyncio.create_task(self._keep(event, self._last.get(chat)))
        self._in_hand[key] = self._last[chat] = mine
        try:
            return await mine
        finally:
            del self._in_hand[key]
            if self._last.get(chat) is mine:
                del self._last[chat]

    async def _keep(self, event: Event, before: asyncio.Task[bool] | None) -> bool:
        if before:
            await asyncio.wait([before])
        return await self.taken(await self._items(event))

    async def _items(self, event: Event) -> list[Inbound]:
        return await inbound(event, self.identity.id, self.account, self.files)
