"""The stage of a channel test: one persona, her channels, and the people who write to her."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.observed import status
from tests.providers import Chat, Provider

CONNECTED: Final = "We are connected"

_numbers = itertools.count(1)


@contextmanager
def ledger(daemon: DaemonProcess) -> Iterator[sqlite3.Connection]:
    """The ledger's file, to read, or to change while the daemon does not run."""
    (file,) = daemon.state_dir.glob("*.db")
    with closing(sqlite3.connect(file)) as connection, connection:
        yield connection


class Stage:
    """A persona whose mind is ``brain``. Any in this class: JSON of the API."""

    def __init__(self, daemon: DaemonProcess, brain: ScriptedMind, provider: Provider) -> None:
        self.daemon = daemon
        self.brain = brain
        self.provider = provider
        self.name = f"Eve{next(_numbers)}"
        self.id = daemon.create(
            self.name, thinking_model="m", thinking_provider="openai", thinking_api_key="k", thinking_url=brain.url
        )
        self.token = ""

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.post("delete")

    def post(self, verb: str, body: object = None) -> httpx.Response:
        """Call one of her routes."""
        return self.daemon.http.post(f"/api/persona/{self.id}/{verb}", json=body)

    def add(self, provider: Provider | None = None) -> str:
        """Give her a channel of a new bot, wait until it is connected, and return the bot's token.

        Discord keeps no messages for a bot that has never connected.
        """
        provider = provider or self.provider
        self.token = provider.add_bot(f"bot{next(_numbers)}")
        answer = self.post("channels", {"kind": provider.kind, "credentials": {"token": self.token}})
        assert (answer.status_code, answer.json()) == (200, {"kind": provider.kind})
        self.connected()
        return self.token

    def pair(self, code: str) -> httpx.Response:
        """Claim a code."""
        return self.post("pair", {"code": code})

    def paired(self, provider: Provider | None = None, handle: str = "") -> Chat:
        """Give her a channel, and pair it with a new person; returns after the confirmation in the chat."""
        provider = provider or self.provider
        chat = provider.chat(self.add(provider), handle or f"alice{next(_numbers)}")
        answer = self.pair(chat.ask_for_code("first words"))
        assert answer.status_code == 200, answer.text
        chat.hears(CONNECTED, "first words")
        return chat

    def remove(self, name: str) -> httpx.Response:
        """Remove the channels of this name."""
        return self.daemon.http.delete(f"/api/persona/{self.id}/channels/{quote(name, safe='')}")

    def view(self) -> dict[str, Any]:
        """Her part of the status."""
        return status(self.daemon, self.id)

    def channel(self) -> dict[str, Any]:
        """The health of her only channel."""
        (only,) = self.view()["channels"]
        assert isinstance(only, dict)
        return only

    def connected(self) -> None:
        """Wait until all her channels are connected."""
        wait_for(lambda: {one["state"] for one in self.view()["channels"]} == {"connected"}, "her channels")

    def dead_letters(self) -> list[dict[str, Any]]:
        """Her dead letters."""
        letters = self.daemon.http.get("/api/status").json()["dead_letters"]
        return [letter for letter in letters if letter["persona"] == self.id]

    def lines(self) -> list[dict[str, Any]]:
        """Her conversation."""
        return self.daemon.conversation(self.id)

    @property
    def media(self) -> Path:
        """Her media folder."""
        return self.daemon.state_dir / "personas" / self.id / "media"
