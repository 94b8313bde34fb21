"""The other side of the chat: people who write to bots, alone or in groups."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tests.emulators import telegram_media
from tests.emulators.telegram_entities import detect, units
from tests.emulators.telegram_world import Bot, Chat, Json, World

Media = Literal["photo", "voice", "audio", "video_note", "document"]

PEOPLE: Final = range(5_000_000_000, 8_000_000_000)
"""Ids of accounts from recent years: they do not fit into 32 bits."""


@dataclass(frozen=True)
class Posted:
    """An action of a person, as one bot gets it."""

    update_id: int | None
    """None if the bot does not want or may not see this update."""
    message: Json
    bot: Bot

    @property
    def message_id(self) -> int:
        """The message's number in its chat."""
        return int(self.message["message_id"])


class Person:
    """A Telegram user. ``chat`` is a group, else the private chat; ``bot`` matters when there are several."""

    def __init__(self, world: World, number: int, username: str, first_name: str, language: str = "en") -> None:
        self.id = number
        self.username = username
        self._world = world
        self._user = {"id": number, "is_bot": False, "first_name": first_name, "language_code": language}
        if username:
            self._user["username"] = username
        self.chat = world.add_chat(Chat(number, "private", username=username, first_name=first_name))

    def write(self, text: str, *, chat: Chat | None = None, bot: Bot | None = None, reply_to: int = 0) -> Posted:
        """Send a text."""
        return self._post({"text": text, **_found(text, "entities")}, chat, bot, reply_to)

    def start(self, payload: str = "", *, bot: Bot | None = None) -> Posted:
        """Press "Start", or follow a deep link with a payload."""
        bot = bot or self._only_bot()
        if self.id in bot.blocked_by:
            self.unblock(bot)
        return self.write(f"/start {payload}".strip(), bot=bot)

    def send(
        self,
        kind: Media,
        data: bytes,
        *,
        caption: str = "",
        name: str = "",
        size: int | None = None,
        duration: int = 3,
        chat: Chat | None = None,
        bot: Bot | None = None,
        album: str = "",
    ) -> Posted:
        """Send a file; ``size`` pretends a size without the data, ``album`` is a media_group_id."""
        content = self._media(kind, data, name, size, duration)
        if caption:
            content |= {"caption": caption, **_found(caption, "caption_entities")}
        if album:
            content["media_group_id"] = album
        return self._post(content, chat, bot, 0)

    def album(self, photos: Sequence[bytes], *, caption: str = "", chat: Chat | None = None) -> list[Posted]:
        """Send photos together: one message each with the same media_group_id, the caption at the first."""
        group = str(random.randrange(10**16, 10**17))
        captions = [caption] + [""] * (len(photos) - 1)
        return [
            self.send("photo", data, caption=words, chat=chat, album=group)
            for data, words in zip(photos, captions, strict=True)
        ]

    def edit(self, posted: Posted, text: str) -> Posted:
        """Change the text of an earlier message."""
        chat = self._world.chats[posted.message["chat"]["id"]]
        kept = {key: value for key, value in posted.message.items() if key != "entities"}
        message = {**kept, "text": text, **_found(text, "entities"), "edit_date": int(time.time())}
        seen = [bot for bot in self._bots(chat, posted.bot) if chat.type == "private" or _may_see(bot, message)]
        numbers = {bot: self._deliver(bot, chat, "edited_message", message) for bot in seen}
        return Posted(numbers.get(posted.bot), message, posted.bot)

    def press(self, message: Json, data: str, *, bot: Bot | None = None) -> str:
        """Press an inline button under a bot's message; returns the callback query's id."""
        bot = bot or self._only_bot()
        number = str(random.randrange(10**17, 10**18))
        query = {"id": number, "from": self._user, "message": message, "chat_instance": secrets.token_hex(8)}
        with self._world.changed:
            bot.queries.add(number)
        self._world.push(bot, "callback_query", {**query, "data": data})
        return number

    def stop_draft(self) -> int | None:
        """Press the button below the last draft in the private chat; returns the update's id.

        https://core.telegram.org/bots/api#messagegenerationstopped
        """
        with self._world.changed:
            draft = next(one for one in reversed(self._world.drafts) if one.chat_id == self.id)
        if not draft.can_stop:
            raise ValueError("this draft has no button")
        topic = {"message_thread_id": draft.topic} if draft.topic else {}
        stopped = {"chat": self.chat.as_json(), "draft_id": draft.draft_id, **topic}
        return self._world.push(draft.bot, "stopped_message_generation", stopped)

    def block(self, bot: Bot | None = None) -> None:
        """Block a bot: it gets ``my_chat_member``, and its sends are answered with 403."""
        self._membership(bot or self._only_bot(), "member", "kicked")

    def unblock(self, bot: Bot | None = None) -> None:
        """Let a blocked bot write again."""
        self._membership(bot or self._only_bot(), "kicked", "member")

    def _membership(self, bot: Bot, old: str, new: str) -> None:
        with self._world.changed:
            (bot.blocked_by.add if new == "kicked" else bot.blocked_by.discard)(self.id)
        member = {"chat": self.chat.as_json(), "from": self._user, "date": int(time.time())}
        for key, status in (("old_chat_member", old), ("new_chat_member", new)):
            until = {"until_date": 0} if status == "kicked" else {}
            member[key] = {"user": bot.as_user(), "status": status, **until}
        self._world.push(bot, "my_chat_member", member)

    def _media(self, kind: Media, data: bytes, name: str, size: int | None, duration: int) -> Json:
        match kind:
            case "photo":
                return telegram_media.photo(self._world, data, size)
            case "voice":
                return telegram_media.voice(self._world, data, duration, size)
            case "audio":
                return telegram_media.audio(self._world, data, name or "song.mp3", duration, size)
            case "video_note":
                return telegram_media.video_note(self._world, data, duration, size)
            case "document":
                return telegram_media.document(self._world, data, name, size)

    def _post(self, content: Json, chat: Chat | None, bot: Bot | None, reply_to: int) -> Posted:
        chat = chat or self.chat
        bots = self._bots(chat, bot)
        if reply_to and (replied := self._world.message(bots[0], chat, reply_to)):
            content = {**content, "reply_to_message": {k: v for k, v in replied.items() if k != "reply_to_message"}}
        message = self._world.put_message(bots[0], chat, self._user, content)
        numbers: dict[Bot, int | None] = {}
        for reader in bots:
            if chat.type == "private":
                with self._world.changed:
                    reader.met.add(self.id)
            if chat.type == "private" or _may_see(reader, message):
                numbers[reader] = self._deliver(reader, chat, "message", message)
        return Posted(numbers.get(bots[0]), message, bots[0])

    def _deliver(self, bot: Bot, chat: Chat, kind: str, message: Json) -> int | None:
        self._world.change_message(bot, chat, message)
        return self._world.push(bot, kind, message)

    def _bots(self, chat: Chat, bot: Bot | None) -> list[Bot]:
        if chat.type == "private":
            return [bot or self._only_bot()]
        return sorted(chat.bots, key=lambda member: member is not bot)

    def _only_bot(self) -> Bot:
        bots = list(self._world.bots.values())
        if len(bots) != 1:
            raise ValueError("say which bot: there is more than one" if bots else "add a bot first")
        return bots[0]


def make_group(world: World, title: str, bots: Sequence[Bot], kind: Literal["group", "supergroup"]) -> Chat:
    """A group with these bots as members."""
    number = random.randrange(1_500_000_000, 2_900_000_000)
    chat_id = -1_000_000_000_000 - number if kind == "supergroup" else -number
    return world.add_chat(Chat(chat_id, kind, title=title, bots=list(bots)))


def _found(text: str, key: str) -> Json:
    assert units(text) <= 4096, "Telegram's apps split a text that is longer than 4096"
    entities = detect(text, [])
    return {key: entities} if entities else {}


def _may_see(bot: Bot, message: Json) -> bool:
    """Privacy mode: a bot sees only commands, mentions and answers to it, unless the mode is off."""
    text = str(message.get("text") or message.get("caption") or "")
    answered = message.get("reply_to_message", {}).get("from", {}).get("id") == bot.id
    command = text.startswith("/") and ("@" not in text.split(maxsplit=1)[0] or f"@{bot.username}" in text)
    return bot.reads_groups or answered or command or f"@{bot.username}" in text
