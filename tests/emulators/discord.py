"""Discord's REST API v10, CDN and gateway on loopback, for tests and for use by hand.

By hand: ``python -m tests.emulators.discord --port 8091``; type as a person, read what the bot answers.
Everything in ``DiscordEmulator`` may be called from any thread, also while the server is down; waits block, so a test
with a loop of its own awaits them by ``asyncio.to_thread``. The same is at ``/_control/`` as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.emulators.discord_console import converse
from tests.emulators.discord_control import routes
from tests.emulators.discord_journal import Fault, Frame, Kind, Request
from tests.emulators.discord_objects import VOICE_MESSAGE, Account, Bot, Channel, Message, Upload
from tests.emulators.discord_rest import API
from tests.emulators.discord_server import Server
from tests.patience import PATIENCE

__all__ = ["VOICE_MESSAGE", "DiscordEmulator", "Upload"]

T = TypeVar("T")


class DiscordEmulator:
    """Discord on 127.0.0.1, at first with one bot and one person, with its own thread and event loop."""

    def __init__(self, *, port: int = 0, token: str = "", name: str = "persona", privileged: int = 0) -> None:
        """``token`` of the first bot is generated if empty; ``privileged`` are the intents switched on for it."""
        self._loop = asyncio.new_event_loop()
        self._server = Server(port, routes())
        self._thread = threading.Thread(target=self._loop.run_forever, name="discord emulator", daemon=True)
        self.bot = self._server.world.add_bot(token, name, privileged)
        self.person = self._server.world.add_account("alice")

    def start(self) -> DiscordEmulator:
        """Listen; raises OSError if the port is taken."""
        self._thread.start()
        self._await(self._server.up())
        return self

    def close(self) -> None:
        """Break all connections and end the thread."""
        self._await(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def __enter__(self) -> DiscordEmulator:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The base URL of the REST API, as in personad's ``PERSONAD_PROVIDERS_DISCORD_URL``."""
        return self._server.world.base + API

    @property
    def token(self) -> str:
        """The first bot's token."""
        return self.bot.token

    @property
    def channel_id(self) -> int:
        """The DM of the first bot and the first person."""
        return self.dm(self.person)

    # Accounts

    def add_bot(self, name: str, token: str = "", privileged: int = 0) -> Bot:
        return self._do(lambda server: server.world.add_bot(token, name, privileged))

    def add_user(self, name: str, *, accepts_dms: bool = True) -> Account:
        def work(server: Server) -> Account:
            account = server.world.add_account(name)
            account.accepts_dms = accepts_dms
            return account

        return self._do(work)

    def set_privileged(self, intents: int, token: str = "") -> None:
        """Switch privileged intents on or off, as the owner does in the portal."""
        self._do(lambda server: setattr(self._bot(server, token), "privileged", intents))

    def dm(self, person: Account, token: str = "") -> int:
        """Return the id of the DM between a bot and a person. Bots are not notified of a new one."""
        return self._do(lambda server: server.world.dm(self._bot(server, token), person)[0].id)

    def add_guild(self, token: str = "") -> int:
        """Return the id of the text channel of a new guild that has the bot. The bot sees it at its next identify."""
        return self._do(lambda server: server.world.add_guild(self._bot(server, token)).id)

    # What people do

    def say(self, text: str, *uploads: Upload, channel_id: int = 0, **fields: Any) -> Message:
        """A person writes in a channel, by default in the first DM.

        ``fields`` (Any) are a message's own: ``author`` (needed in a guild), ``flags``, ``webhook_id``, ``reply_to``.
        """
        wanted = channel_id or self.channel_id
        return self._do(lambda server: server.say(server.world.channels[wanted], text, list(uploads), **fields))

    def edit(self, message: Message, text: str) -> None:
        """A person changes a message."""
        self._do(lambda server: server.edit(message, text))

    def messages(self, channel_id: int = 0) -> list[Message]:
        """All messages of a channel, oldest first."""
        wanted = channel_id or self.channel_id
        return self._do(lambda server: list(server.world.channels[wanted].messages))

    def sent(self, channel_id: int = 0) -> list[Message]:
        """What the bot wrote in a channel, oldest first."""
        wanted = channel_id or self.channel_id
        return self._do(lambda server: sent_by_bot(server.world.channels[wanted]))

    # Failures

    def fail(self, route: str = "*", kind: Kind = "status", *, times: int = 1, **fields: Any) -> None:
        """Let the next requests fail; ``fields`` (Any) are those of ``Fault``: status, retry_after, stored, token.

        aiohttp repeats a GET, gateway connections among them, whose connection was dropped: one drop shows nothing.
        """
        fault = Fault(route, kind, times, **fields)
        self._do(lambda server: server.journal.faults.append(fault))

    def clear_faults(self) -> None:
        self._do(lambda server: server.journal.faults.clear())

    def release(self) -> None:
        """Let hanging requests and connections go on."""
        self._do(lambda server: server.journal.release())

    def limit(self, route: str, count: int, seconds: float) -> None:
        """Tighten a route's rate limit. The real one allows five sends in five seconds per channel."""
        self._do(lambda server: server.limits.set(route, count, seconds))

    def configure(
        self,
        *,
        heartbeat_interval: float | None = None,
        acks: bool | None = None,
        compress: bool | None = None,
        resume_window: float | None = None,
        global_limit: int | None = None,
        announce_channels: bool | None = None,
        files: str | None = None,
    ) -> None:
        """Change how the server behaves; times in seconds, ``global_limit`` in requests a second.

        ``files`` is a base URL that attachments are said to be at.
        """

        def work(server: Server) -> None:
            gateway = server.gateway
            gateway.heartbeat_interval = heartbeat_interval or gateway.heartbeat_interval
            gateway.acks = gateway.acks if acks is None else acks
            gateway.compress = gateway.compress if compress is None else compress
            gateway.resume_window = gateway.resume_window if resume_window is None else resume_window
            server.limits.everywhere = global_limit or server.limits.everywhere
            server.world.files = server.world.files if files is None else files
            if announce_channels is not None:
                server.rest.announce_channels = announce_channels

        self._do(work)

    def revoke(self, token: str = "") -> None:
        """Make the token invalid everywhere at once."""
        self._do(lambda server: server.revoke(self._bot(server, token)))

    def down(self, seconds: float = 0.0) -> None:
        """Refuse and break all connections until ``up``, or for this many seconds."""
        self._await(self._server.down(seconds))

    def up(self) -> None:
        """Listen again on the same port."""
        self._await(self._server.up())

    # The gateway

    def close_gateways(self, code: int, token: str = "") -> int:
        """Close a token's gateway connections, or all of them. Return how many there were."""
        return self._do(lambda server: server.close_gateways(token, code))

    def drop_gateways(self, token: str = "") -> int:
        """Break them without a close frame."""
        return self._do(lambda server: server.drop_gateways(token))

    def refuse_identify(self, *codes: int) -> None:
        """Close the next identifies or resumes with these codes."""
        self._do(lambda server: server.gateway.refusals.extend(codes))

    def reconnect(self, token: str = "") -> int:
        """Send opcode 7."""
        return self._do(lambda server: server.reconnect(token))

    def invalidate(self, *, resumable: bool, token: str = "") -> int:
        """Send opcode 9; a session that is not resumable is forgotten."""
        return self._do(lambda server: server.invalidate(token, resumable=resumable))

    def forget_sessions(self, token: str = "") -> None:
        """Break a bot's connections and forget its sessions, so that its next resume gets opcode 9."""
        self._do(lambda server: server.gateway.forget(self._bot(server, token).token))

    def dispatch(self, event: str, data: object, token: str = "") -> None:
        """Send any event unchanged, even a malformed one."""
        self._do(lambda server: server.dispatch(self._bot(server, token), event, data))

    def gateways(self, token: str = "") -> int:
        """Return the number of identified connections, of one token if given."""
        return self._do(lambda server: len(server.gateway.connected(token)))

    def peak(self, token: str = "") -> int:
        """Return the most identified connections that a token ever had at once. It must never be two."""
        return self._do(lambda server: server.gateway.peaks[self._bot(server, token).token])

    def identifies(self, token: str = "") -> int:
        return self._do(lambda server: server.gateway.identifies[self._bot(server, token).token])

    def resumes(self, token: str = "") -> int:
        """Return how often a resume was requested, granted or not."""
        return self._do(lambda server: server.gateway.resumes[self._bot(server, token).token])

    # Observations

    def requests(self, route: str = "") -> list[Request]:
        """Return the REST and CDN requests, of one ``METHOD /template`` if given."""
        return self._do(lambda server: [entry for entry in server.journal.requests if route in ("", entry.route)])

    def frames(self, op: int | None = None) -> list[Frame]:
        return self._do(lambda server: [frame for frame in server.journal.frames if op in (None, frame.op)])

    def typings(self, channel_id: int = 0) -> int:
        """Return how often the bot showed that it types."""
        wanted = channel_id or self.channel_id
        return self._do(lambda server: server.rest.typing.get(wanted, 0))

    def wait_for_sent(self, channel_id: int = 0, count: int = 1, timeout: float = PATIENCE) -> list[Message]:
        """Block until the bot has written this many messages in a channel, and return them. Raises TimeoutError."""
        wanted = channel_id or self.channel_id
        channel = self._do(lambda server: server.world.channels[wanted])
        self.wait(lambda _: len(sent_by_bot(channel)) >= count, f"{count} messages of the bot", timeout)
        return self.sent(wanted)

    def wait_for_gateways(self, count: int = 1, token: str = "", timeout: float = PATIENCE) -> None:
        """Block until exactly this many connections are identified. Raises TimeoutError."""
        self.wait(lambda server: len(server.gateway.connected(token)) == count, f"{count} gateways", timeout)

    def wait_for_requests(self, route: str, count: int = 1, timeout: float = PATIENCE) -> list[Request]:
        """Block until a route was called this often, answered or not. Raises TimeoutError."""

        def reached(server: Server) -> bool:
            return sum(entry.route == route for entry in server.journal.requests) >= count

        self.wait(reached, f"{count} times {route}", timeout)
        return self.requests(route)

    def wait(self, condition: Callable[[Server], bool], what: str, timeout: float = PATIENCE) -> None:
        """Block until a condition of the server's state holds. Raises TimeoutError with ``what``."""
        until = self._server.journal.until(lambda: condition(self._server), timeout, what)
        self._await(until, timeout + PATIENCE)

    def _bot(self, server: Server, token: str) -> Bot:
        return server.world.bots[token] if token else self.bot

    def _do(self, work: Callable[[Server], T]) -> T:
        async def run() -> T:
            return work(self._server)

        return self._await(run())

    def _await(self, coroutine: Coroutine[object, object, T], timeout: float = PATIENCE) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)


def sent_by_bot(channel: Channel) -> list[Message]:
    return [message for message in channel.messages if message.author is channel.bot.account]


def main() -> None:
    """Serve until ``//quit`` or an interrupt."""
    parser = argparse.ArgumentParser(description=DiscordEmulator.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default="", help="the bot's token; made up when not given")
    arguments = parser.parse_args()
    with DiscordEmulator(port=arguments.port, token=arguments.token) as emulator:
        print(f"base URL  {emulator.url}\ntoken     {emulator.token}", flush=True)
        converse(emulator)


if __name__ == "__main__":
    main()
