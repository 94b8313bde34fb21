"""Bots on the emulators, and the people who write to them."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from tests.daemon_process import wait_for
from tests.providers import Chat, Discord, Provider, Telegram

_numbers = itertools.count(1)


class Bot(NamedTuple):
    """A bot at a provider."""

    provider: Provider
    name: str
    token: str

    @property
    def kind(self) -> str:
        """The channel's kind."""
        return self.provider.kind

    def chat(self, handle: str) -> Chat:
        """A person's private chat with the bot."""
        return self.provider.chat(self.token, handle)

    def gateways(self) -> int:
        """How often a gateway of the bot called the provider: polls on Telegram, sessions on Discord."""
        if isinstance(self.provider, Telegram):
            return len(self.provider.emulator.calls("getUpdates", self.token))
        assert isinstance(self.provider, Discord)
        return self.provider.emulator.identifies(self.token)

    def connected(self, after: int = 0) -> None:
        """Wait until its gateway is open; ``after`` is what ``gateways`` was before."""
        wait_for(lambda: self.gateways() > after, f"a gateway of {self.name}")


def new_bot(provider: Provider) -> Bot:
    """Make a bot with a new name."""
    name = f"contract{next(_numbers)}_bot"
    return Bot(provider, name, provider.add_bot(name))


def code_for(chat: Chat, words: str = "hello") -> str:
    """Write to a bot that is not paired, and return the code that it shows: six capitals and digits, as documented."""
    before = len(_codes(chat))
    chat.write(words)
    return wait_for(lambda: _codes(chat)[before:], f"a code in {chat.handle}'s chat; there is {chat.texts()}")[-1]


def _codes(chat: Chat) -> list[str]:
    return [code for text in chat.texts() for code in re.findall(r"\b[A-Z0-9]{6}\b", text)]
