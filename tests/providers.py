"""Telegram and Discord alike: their bots, the people who write to them, and what the emulators saw of personad."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Final, Literal, Self

from tests.daemon_process import wait_for
from tests.emulators.discord import DiscordEmulator, Upload
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_people import Posted
from tests.patience import PATIENCE

SEND: Final = "POST /channels/{channel_id}/messages"
_CODE: Final = re.compile(r"^[A-HJKMNP-Z2-9]{6}$", re.MULTILINE)
"""A pairing code on a line of its own: six characters, none that looks like another (I, L, O, 0, 1)."""

MediaKind = Literal["photo", "voice", "document"]


class Chat(ABC):
    """One person's private chat with one bot."""

    def __init__(self, handle: str) -> None:
        self.handle = handle

    @abstractmethod
    def write(self, text: str) -> None:
        """Send a text."""

    @abstractmethod
    def send(self, kind: MediaKind, data: bytes, name: str = "", caption: str = "", size: int = 0) -> None:
        """Send a file; ``size`` makes it look that large."""

    @abstractmethod
    def texts(self) -> list[str]:
        """What the bot wrote, in order."""

    @abstractmethod
    def block(self) -> None:
        """Take no more messages from the bot."""

    @abstractmethod
    def unblock(self) -> None:
        """Take messages again."""

    @property
    def codes(self) -> list[str]:
        """The pairing codes that were shown here, in order."""
        return [code for text in self.texts() for code in _CODE.findall(text)]

    def count(self, word: str) -> int:
        """In how many of the bot's messages this word is."""
        return sum(word in text for text in self.texts())

    def hears(self, *words: str, timeout: float = PATIENCE) -> None:
        """Wait until each of these words is in something that the bot wrote."""
        wait_for(lambda: all(self.count(word) for word in words), f"{words} in {self.handle}'s chat", timeout)

    def ask_for_code(self, text: str = "hello") -> str:
        """Write to the bot, and return the code that it shows."""
        before = len(self.codes)
        self.write(text)
        wait_for(lambda: len(self.codes) > before, f"a code in {self.handle}'s chat; there is {self.texts()}")
        return self.codes[-1]


class Provider(ABC):
    """A provider on loopback; use it as a context manager. Bots are known by their tokens."""

    kind: str
    setting: str
    """The environment variable that points personad to it."""
    emulator: TelegramEmulator | DiscordEmulator

    def __enter__(self) -> Self:
        self.emulator.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.emulator.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.emulator.url

    @abstractmethod
    def add_bot(self, name: str) -> str:
        """Make a bot and return its token."""

    @abstractmethod
    def chat(self, token: str, handle: str) -> Chat:
        """A person, by their handle, in a private chat with a bot."""

    @abstractmethod
    def peak(self, token: str) -> int:
        """The most polls or sessions of a bot that there ever were at once."""

    @abstractmethod
    def requests(self, token: str) -> int:
        """How many requests a bot has made."""

    @abstractmethod
    def downloads(self, token: str) -> int:
        """How many files were fetched."""

    @abstractmethod
    def fail_sends(self, status: int, times: int, retry_after: int = 1) -> None:
        """Refuse the next sends; ``retry_after`` (seconds) goes with 429."""

    @abstractmethod
    def lose_answer(self) -> None:
        """Take the next send, and break the connection instead of answering."""

    @abstractmethod
    def heal(self) -> None:
        """Refuse and lose nothing any more."""

    @abstractmethod
    def revoke(self, token: str) -> None:
        """Make a token worthless."""

    def down(self) -> None:
        """Break all connections and refuse new ones."""
        self.emulator.down()

    def up(self) -> None:
        """Listen again."""
        self.emulator.up()


class TelegramChat(Chat):
    """A private chat on Telegram."""

    def __init__(self, emulator: TelegramEmulator, token: str, handle: str) -> None:
        super().__init__(handle)
        self._emulator = emulator
        self._bot = emulator.bot(token)
        self.person = emulator.user(username=handle)
        self._posted: list[Posted] = []

    def write(self, text: str) -> None:
        self._posted.append(self.person.write(text, bot=self._bot))

    def start(self, payload: str) -> None:
        """Follow a deep link."""
        self.person.start(payload, bot=self._bot)

    def redeliver(self) -> None:
        """Bring every text again, as if the bot had confirmed none; it must not be polling just now."""
        with self._emulator.world.changed:
            again = [{"update_id": posted.update_id, "message": posted.message} for posted in self._posted]
            self._bot.updates.pending = again

    def send(self, kind: MediaKind, data: bytes, name: str = "", caption: str = "", size: int = 0) -> None:
        self.person.send(kind, data, name=name, caption=caption, size=size or None, bot=self._bot)

    def texts(self) -> list[str]:
        with self._emulator.world.changed:
            sent = [one for one in self._emulator.world.sent if (one.chat_id, one.bot) == (self.person.id, self._bot)]
        return [str(one.message.get("text", "")) for one in sent]

    def block(self) -> None:
        self.person.block(self._bot)

    def unblock(self) -> None:
        self.person.unblock(self._bot)


class Telegram(Provider):
    """Telegram without its rule against floods, unless it is switched on."""

    kind = "telegram"
    setting = "PERSONAD_PROVIDERS_TELEGRAM_URL"

    def __init__(self, port: int = 0) -> None:
        self.emulator: TelegramEmulator = TelegramEmulator(port)
        self.emulator.flood(on=False)

    def add_bot(self, name: str) -> str:
        return self.emulator.add_bot(username=name).token

    def chat(self, token: str, handle: str) -> TelegramChat:
        return TelegramChat(self.emulator, token, handle)

    def peak(self, token: str) -> int:
        return self.emulator.bot(token).most_polls

    def requests(self, token: str) -> int:
        return len(self.emulator.calls(token=token))

    def downloads(self, token: str) -> int:
        return len(self.emulator.calls("getFile", token)) + len(self.emulator.calls("file", token))

    def fail_sends(self, status: int, times: int, retry_after: int = 1) -> None:
        self.emulator.fail(status, "sendMessage", times, retry_after=retry_after)

    def lose_answer(self) -> None:
        self.emulator.fail("lose", "sendMessage")

    def heal(self) -> None:
        self.emulator.heal()

    def revoke(self, token: str) -> None:
        self.emulator.revoke(self.emulator.bot(token))

    def restore(self, token: str) -> None:
        """Make a revoked token good again."""
        self.emulator.bot(token).revoked = False


class DiscordChat(Chat):
    """A direct message channel on Discord."""

    def __init__(self, emulator: DiscordEmulator, token: str, handle: str) -> None:
        super().__init__(handle)
        self._emulator = emulator
        self._person = emulator.add_user(handle)
        self._channel = emulator.dm(self._person, token)

    def write(self, text: str) -> None:
        self._emulator.say(text, channel_id=self._channel)

    def send(self, kind: MediaKind, data: bytes, name: str = "", caption: str = "", size: int = 0) -> None:
        named = name or {"photo": "photo.jpg", "voice": "voice-message.ogg", "document": "file.pdf"}[kind]
        upload = Upload(named, data.ljust(size, b"\0"), duration=1.5 if kind == "voice" else None)
        self._emulator.say(caption, upload, channel_id=self._channel)

    def texts(self) -> list[str]:
        return [message.content for message in self._emulator.sent(self._channel)]

    def block(self) -> None:
        self._person.accepts_dms = False

    def unblock(self) -> None:
        self._person.accepts_dms = True


class Discord(Provider):
    """Discord."""

    kind = "discord"
    setting = "PERSONAD_PROVIDERS_DISCORD_URL"

    def __init__(self, port: int = 0) -> None:
        self.emulator: DiscordEmulator = DiscordEmulator(port=port)

    def add_bot(self, name: str) -> str:
        return self.emulator.add_bot(name).token

    def chat(self, token: str, handle: str) -> DiscordChat:
        return DiscordChat(self.emulator, token, handle)

    def peak(self, token: str) -> int:
        return self.emulator.peak(token)

    def requests(self, token: str) -> int:
        asked = sum(token in entry.headers.get("authorization", "") for entry in self.emulator.requests())
        return asked + self.emulator.identifies(token) + self.emulator.resumes(token)

    def downloads(self, token: str) -> int:
        return len(self.emulator.requests("GET /attachments/{channel_id}/{attachment_id}/{filename}"))

    def fail_sends(self, status: int, times: int, retry_after: int = 1) -> None:
        kind: Literal["rate_limit", "status"] = "rate_limit" if status == 429 else "status"
        self.emulator.fail(SEND, kind, times=times, status=status, retry_after=float(retry_after))

    def lose_answer(self) -> None:
        self.emulator.fail(SEND, "drop", stored=True)

    def heal(self) -> None:
        self.emulator.clear_faults()

    def revoke(self, token: str) -> None:
        self.emulator.revoke(token)
