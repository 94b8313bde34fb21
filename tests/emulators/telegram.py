"""Telegram's Bot API on loopback: an emulator for tests and for trying a gateway by hand.

In a test: ``with TelegramEmulator() as telegram: bot = telegram.add_bot()``, then point the client at ``telegram.url``
with ``bot.token``. By hand: ``python -m tests.emulators.telegram --port 8081``. From another process: ``/_control/``
(see telegram_control). Words and numbers follow the Bot API's documentation and telegram-bot-api's source. It knows
the methods in telegram_methods and getUpdates; every other one is answered 404. It calls no webhooks, fetches no URLs
and refuses the legacy ``Markdown`` parse mode.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Literal, Self, TypeVar

from tests.emulators.telegram_control import Controls
from tests.emulators.telegram_faults import DESCRIPTIONS, Fault, Faults, FloodRule, Kind
from tests.emulators.telegram_methods import Methods
from tests.emulators.telegram_people import PEOPLE, Person, make_group
from tests.emulators.telegram_server import BotApi, Call, LoopbackServer
from tests.emulators.telegram_world import ApiError, Bot, Chat, Json, World
from tests.patience import PATIENCE

T = TypeVar("T")

DRAFT_LASTS: Final = 30.0
"""Seconds."""


class TelegramEmulator:
    """A Bot API server on 127.0.0.1 in its own thread. Every method may be called from any thread."""

    def __init__(self, port: int = 0) -> None:
        self.world = World()
        self.faults = Faults()
        self.methods = Methods(self.world)
        self.api = BotApi(self.world, self.methods, self.faults)
        self.server = LoopbackServer([*Controls(self).routes(), *self.api.routes], self.api, port)
        self.methods.end_poll = self.api.end_poll
        self.world.on_update = lambda bot: self._soon(lambda: self.api.wake(bot))
        self._people: dict[int, Person] = {}

    @property
    def url(self) -> str:
        """The base URL, without a path."""
        return f"http://127.0.0.1:{self.server.port}"

    def start(self) -> Self:
        """Listen."""
        self.server.start()
        return self

    def close(self) -> None:
        """Break all connections and stop."""
        self.server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def add_bot(
        self, token: str = "", username: str = "", first_name: str = "Persona", *, reads_groups: bool = False
    ) -> Bot:
        """Register a bot as BotFather does; without a ``token`` it gets a new one."""
        return self.world.add_bot(token, username, first_name, reads_groups=reads_groups)

    def bot(self, token: str = "") -> Bot:
        """A bot by its token; the only one when the token is left out."""
        bots = self.world.bots
        if not token and len(bots) != 1:
            raise ValueError("say which bot" if bots else "add a bot first")
        return bots[token] if token else next(iter(bots.values()))

    def user(self, user_id: int | None = None, username: str = "", first_name: str = "") -> Person:
        """A person; the same id gives the same person."""
        number = random.choice(PEOPLE) if user_id is None else user_id
        with self.world.changed:
            if number not in self._people:
                name = first_name or username.capitalize() or "Ann"
                self._people[number] = Person(self.world, number, username, name)
            return self._people[number]

    def group(self, title: str, bots: Sequence[Bot] = (), kind: Literal["group", "supergroup"] = "supergroup") -> Chat:
        """A group; without ``bots`` every bot is in it."""
        return make_group(self.world, title, bots or list(self.world.bots.values()), kind)

    def revoke(self, bot: Bot) -> None:
        """Make a token invalid, as BotFather's /revoke does: every call is answered 401."""
        bot.revoked = True
        self._soon(lambda: self.api.end_poll(bot, ApiError(401, DESCRIPTIONS[401])))

    def fail(
        self,
        how: int | Kind,
        method: str = "*",
        times: int | None = 1,
        *,
        token: str = "",
        chat_id: int | None = None,
        retry_after: int = 5,
        description: str = "",
        seconds: float = 1.0,
    ) -> None:
        """Let the next calls fail; ``how`` is an HTTP status or a kind of Fault, ``times`` None means until healed."""
        kind, code = ("status", how) if isinstance(how, int) else (how, 0)
        self.faults.add(
            Fault(kind, code, method, times, token, chat_id, retry_after, description, seconds)  # type: ignore[arg-type]  # mypy widens the literal
        )

    def heal(self) -> None:
        """End all faults and let hanging calls go on."""
        self.faults.clear()
        self._soon(self.api.heal)

    def flood(self, rule: FloodRule | None = None, *, on: bool = True) -> None:
        """Switch the flood limit on (with other numbers by ``rule``) or off."""
        self.methods.flood = (rule or FloodRule()) if on else None

    def down(self) -> None:
        """Take the server down: connections break and new ones are refused, until ``up``."""
        self.server.wait(self.server.vanish())

    def up(self) -> None:
        """Bring the server back on the same port with everything it knew."""
        self.server.wait(self.server.listen())

    def calls(self, method: str = "", token: str = "") -> list[Call]:
        """The journal: every call in the order of arrival; downloads have the method ``file``."""
        with self.world.changed:
            return [c for c in self.api.calls if method in ("", c.method) and token in ("", c.token)]

    def sent(self, chat_id: int) -> list[Json]:
        """The messages that bots sent to a chat, as they were when sent."""
        with self.world.changed:
            return [sent.message for sent in self.world.sent if sent.chat_id == chat_id]

    def drafts(self, chat_id: int) -> list[str]:
        """The drafts that bots showed in a chat, one after the other."""
        with self.world.changed:
            return [draft.text for draft in self.world.drafts if draft.chat_id == chat_id]

    def draft(self, chat_id: int, at: float | None = None) -> str | None:
        """The draft that a person sees in a chat, now or at a time (epoch seconds); None if there is none.

        It is gone after 30 s, or when its bot sends a message (https://core.telegram.org/bots/api#sendmessagedraft).
        """
        now = time.time() if at is None else at
        with self.world.changed:
            shown = next((one for one in reversed(self.world.drafts) if one.chat_id == chat_id and one.at <= now), None)
            if shown is None or now - shown.at > DRAFT_LASTS:
                return None
            later = (one for one in self.world.sent if one.chat_id == chat_id and one.bot is shown.bot)
            return None if any(shown.at <= one.at <= now for one in later) else shown.text

    def actions(self, chat_id: int) -> list[str]:
        """The chat actions ("typing") that bots showed in a chat."""
        with self.world.changed:
            return [action for chat, action, _ in self.world.actions if chat == chat_id]

    def file_data(self, file_id: str) -> bytes:
        """The bytes of a file that a person sent."""
        return self.world.files[file_id].data

    def wait_until(self, condition: Callable[[], T], timeout: float = PATIENCE, what: str = "it") -> T:
        """Block until the condition is true, looking whenever something happens; raises TimeoutError."""
        with self.world.changed:
            found = self.world.changed.wait_for(condition, timeout)
        if not found:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        return found

    def wait_for_sent(self, chat_id: int, count: int = 1, timeout: float = PATIENCE) -> list[Json]:
        """Block until a chat got this many messages, and return them."""
        self.wait_until(lambda: len(self.sent(chat_id)) >= count, timeout, f"{count} messages in chat {chat_id}")
        return self.sent(chat_id)

    def wait_for_calls(self, method: str, count: int = 1, timeout: float = PATIENCE, token: str = "") -> list[Call]:
        """Block until a method was called this often, and return the calls."""
        self.wait_until(lambda: len(self.calls(method, token)) >= count, timeout, f"{count} calls of {method}")
        return self.calls(method, token)

    async def until_drafted(self, chat_id: int, text: str, timeout: float = PATIENCE) -> None:
        """Wait until a draft with these words was shown in a chat."""
        await self.until(lambda: any(text in draft for draft in self.drafts(chat_id)), timeout, f"the draft {text!r}")

    async def until(self, condition: Callable[[], T], timeout: float = PATIENCE, what: str = "it") -> T:
        """``wait_until`` for a test with its own event loop."""
        return await asyncio.to_thread(self.wait_until, condition, timeout, what)

    async def until_sent(self, chat_id: int, count: int = 1, timeout: float = PATIENCE) -> list[Json]:
        """``wait_for_sent`` for a test with its own event loop."""
        return await asyncio.to_thread(self.wait_for_sent, chat_id, count, timeout)

    async def until_called(self, method: str, count: int = 1, timeout: float = PATIENCE, token: str = "") -> list[Call]:
        """``wait_for_calls`` for a test with its own event loop."""
        return await asyncio.to_thread(self.wait_for_calls, method, count, timeout, token)

    def _soon(self, work: Callable[[], None]) -> None:
        self.server.loop.call_soon_threadsafe(work)


if __name__ == "__main__":
    from tests.emulators.telegram_console import main

    main()
