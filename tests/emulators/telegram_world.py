"""Telegram's state: bots, people, chats, messages, files and each bot's queue of updates."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]
"""Any: a JSON object of the Bot API."""

RARE_UPDATES: Final = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""Left out unless a bot asks for them by name (Bot API, getUpdates)."""


class ApiError(Exception):
    """An error in the Bot API's wording."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


class UpdateQueue:
    """One bot's updates; offsets mean what they mean in telegram-bot-api's source (Client.cpp, TQueue.cpp)."""

    def __init__(self) -> None:
        self.next_id = random.randrange(2_000_001, 2**29)
        self.pending: list[Json] = []
        self._allowed: frozenset[str] = frozenset()

    def allow(self, kinds: Iterable[str]) -> None:
        """Store ``allowed_updates``; an empty list restores the default. Does not touch waiting updates."""
        self._allowed = frozenset(kinds)

    def push(self, kind: str, body: Json) -> int | None:
        """Queue an update and return its id, or None when the bot does not want this kind."""
        wanted = kind in self._allowed if self._allowed else kind not in RARE_UPDATES
        if not wanted:
            return None
        number, self.next_id = self.next_id, self.next_id + 1
        self.pending.append({"update_id": number, kind: body})
        return number

    def take(self, offset: int, limit: int) -> list[Json]:
        """Confirm the updates below ``offset`` and return up to ``limit`` of the rest, which stay unconfirmed."""
        head = self.pending[0]["update_id"] if self.pending else self.next_id
        if offset <= 0:
            offset = max(head, self.next_id + offset) if offset < 0 else head
        if offset > self.next_id + 10 or offset < head - 1_000_000:
            offset = head  # far off in either direction: the server starts at what it has
        self.pending = [update for update in self.pending if update["update_id"] >= offset]
        return self.pending[:limit]

    def jump(self, next_id: int) -> None:
        """Continue from another id, as Telegram does after a quiet week; down only while nothing waits."""
        if self.pending and next_id <= self.pending[-1]["update_id"]:
            raise ValueError("ids may go down only while no update waits")
        self.next_id = next_id


@dataclass(eq=False)
class Bot:
    """A bot account."""

    token: str
    id: int
    username: str
    first_name: str
    reads_groups: bool = False
    """Privacy mode off: it sees every message of its groups."""
    revoked: bool = False
    logged_out: bool = False
    updates: UpdateQueue = field(default_factory=UpdateQueue)
    webhook: Json = field(default_factory=dict)
    commands: list[Json] = field(default_factory=list)
    met: set[int] = field(default_factory=set)
    """People who wrote to it; it cannot begin a conversation with others."""
    blocked_by: set[int] = field(default_factory=set)
    queries: set[str] = field(default_factory=set)
    """Callback queries that wait for an answer."""
    most_polls: int = 0
    """The highest number of getUpdates calls that were open at the same time."""

    def as_user(self) -> Json:
        """The bot as a sender."""
        return {"id": self.id, "is_bot": True, "first_name": self.first_name, "username": self.username}


@dataclass(eq=False)
class Chat:
    """A private chat (its id is the person's) or a group."""

    id: int
    type: str
    title: str = ""
    username: str = ""
    first_name: str = ""
    bots: list[Bot] = field(default_factory=list)
    topics: set[int] = field(default_factory=set)
    """The topics of a private chat with a bot whose owner switched them on."""

    def as_json(self) -> Json:
        """The chat as messages carry it."""
        names = {"title": self.title, "username": self.username, "first_name": self.first_name}
        return {"id": self.id, "type": self.type, **{key: value for key, value in names.items() if value}}


@dataclass(frozen=True, eq=False)
class StoredFile:
    """A file that Telegram keeps."""

    file_id: str
    unique_id: str
    path: str
    data: bytes
    size: int
    """The size as Telegram reports it. It may be more than the data, to stand for a large file."""

    def as_json(self) -> Json:
        """The fields that every kind of file has."""
        return {"file_id": self.file_id, "file_unique_id": self.unique_id, "file_size": self.size}


@dataclass(frozen=True, eq=False)
class Sent:
    """A message that a bot sent and the server accepted."""

    method: str
    chat_id: int
    message: Json
    bot: Bot
    at: float


@dataclass(frozen=True, eq=False)
class Draft:
    """What a bot showed of a message that it was writing. It is no message: a later one or some time takes it away."""

    chat_id: int
    topic: int
    draft_id: int
    text: str
    entities: list[Json]
    bot: Bot
    at: float
    can_stop: bool = False


class World:
    """The whole state. Every method takes the lock, so any thread may call."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.bots: dict[str, Bot] = {}
        self.chats: dict[int, Chat] = {}
        self.files: dict[str, StoredFile] = {}
        self.links: dict[str, StoredFile] = {}
        """Download paths that getFile gave out."""
        self.sent: list[Sent] = []
        self.deleted: list[tuple[int, int]] = []
        self.actions: list[tuple[int, str, float]] = []
        self.drafts: list[Draft] = []
        self.on_update: Callable[[Bot], None] = lambda _bot: None
        self._messages: dict[tuple[int, int, int], Json] = {}
        self._counters: dict[tuple[int, int], int] = {}

    def add_bot(self, token: str, username: str, first_name: str, *, reads_groups: bool = False) -> Bot:
        """Register a bot; an empty ``token`` generates one."""
        with self.changed:
            if not token:
                token = f"{random.randrange(6_000_000_000, 9_000_000_000)}:AA{secrets.token_urlsafe(25)[:33]}"
            number = int(token.partition(":")[0])
            bot = Bot(token, number, username or f"b{number}_bot", first_name, reads_groups)
            self.bots[token] = bot
            return bot

    def add_chat(self, chat: Chat) -> Chat:
        """Register a chat, or return the one with this id."""
        with self.changed:
            return self.chats.setdefault(chat.id, chat)

    def add_file(self, data: bytes, folder: str, suffix: str, size: int | None = None) -> StoredFile:
        """Keep a file; ``size`` pretends another size."""
        with self.changed:
            kind = {"photos": "AgACAgIAAxkB", "voice": "AwACAgIAAxkB"}.get(folder, "BQACAgIAAxkB")
            path = f"{folder}/file_{len(self.files)}{suffix}"
            known = len(data) if size is None else size
            stored = StoredFile(kind + secrets.token_urlsafe(42), "AgAD" + secrets.token_urlsafe(9), path, data, known)
            self.files[stored.file_id] = stored
            return stored

    def push(self, bot: Bot, kind: str, body: Json) -> int | None:
        """Queue an update for a bot and wake its poll."""
        with self.changed:
            number = bot.updates.push(kind, body)
            self.changed.notify_all()
        if number is not None:
            self.on_update(bot)
        return number

    def put_message(self, bot: Bot, chat: Chat, sender: Json, content: Json) -> Json:
        """Store a new message and return it as the Bot API shows it."""
        with self.changed:
            counter = (bot.id, 0) if chat.type == "private" else (0, chat.id)
            number = self._counters.get(counter, random.randrange(1, 9000)) + 1
            self._counters[counter] = number
            basic = {"message_id": number, "from": sender, "chat": chat.as_json(), "date": int(time.time())}
            message = {**basic, **content}
            self._messages[self._key(bot, chat, number)] = message
            return message

    def message(self, bot: Bot, chat: Chat, number: int) -> Json | None:
        """A message as it is now."""
        with self.changed:
            return self._messages.get(self._key(bot, chat, number))

    def change_message(self, bot: Bot, chat: Chat, message: Json) -> None:
        """Replace a message by its edited form."""
        with self.changed:
            self._messages[self._key(bot, chat, message["message_id"])] = message
            self.changed.notify_all()

    def delete_message(self, bot: Bot, chat: Chat, number: int) -> None:
        """Forget a message."""
        with self.changed:
            del self._messages[self._key(bot, chat, number)]
            self.deleted.append((chat.id, number))
            self.changed.notify_all()

    def put_sent(self, bot: Bot, chat: Chat, method: str, content: Json) -> Json:
        """Store a bot's message and notify those who wait for it."""
        with self.changed:
            message = self.put_message(bot, chat, bot.as_user(), content)
            self.sent.append(Sent(method, chat.id, message, bot, time.time()))
            self.changed.notify_all()
            return message

    def put_draft(self, draft: Draft) -> None:
        """Show a draft."""
        with self.changed:
            self.drafts.append(draft)
            self.changed.notify_all()

    @staticmethod
    def _key(bot: Bot, chat: Chat, number: int) -> tuple[int, int, int]:
        return (bot.id if chat.type == "private" else 0, chat.id, number)
