"""The routes of channels as a user calls them, and what is visible of a channel afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tests.daemon_process import DaemonProcess
from tests.emulators.discord import DiscordEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_people import Person
from tests.emulators.telegram_world import Bot
from tests.observed import status

Make = Callable[..., str]
"""Create a persona with a name, and return her id."""

INVALID = "Pairing code is invalid or has expired."
NOT_ACTIVE = "Persona is not active."


def add(shared_daemon: DaemonProcess, persona_id: str, kind: str, token: str) -> httpx.Response:
    """Add a channel with a bot's token."""
    body = {"kind": kind, "credentials": {"token": token}}
    return shared_daemon.http.post(f"/api/persona/{persona_id}/channels", json=body)


def remove(shared_daemon: DaemonProcess, persona_id: str, name: str) -> httpx.Response:
    """Remove the channels with this name, which may have any characters."""
    return shared_daemon.http.delete(f"/api/persona/{persona_id}/channels/{quote(name, safe='')}")


def pair(shared_daemon: DaemonProcess, persona_id: str, code: str) -> httpx.Response:
    """Claim a code."""
    return shared_daemon.http.post(f"/api/persona/{persona_id}/pair", json={"code": code})


def config_file(shared_daemon: DaemonProcess, persona_id: str) -> Path:
    """Her record's file, which may be edited by hand."""
    return shared_daemon.state_dir / "personas" / persona_id / "config.json"


def channels_on_disk(shared_daemon: DaemonProcess, persona_id: str) -> list[dict[str, Any]]:
    """Her channels as they are saved."""
    return json.loads(config_file(shared_daemon, persona_id).read_text())["channels"] or []


def channel(shared_daemon: DaemonProcess, persona_id: str) -> dict[str, Any]:
    """The health of her only channel."""
    (found,) = status(shared_daemon, persona_id)["channels"]
    assert isinstance(found, dict)
    return found


def new_token(emulator: TelegramEmulator | DiscordEmulator, name: str) -> str:
    """A bot's token."""
    if isinstance(emulator, TelegramEmulator):
        return emulator.add_bot(username=name).token
    return emulator.add_bot(name).token


def code_for(telegram: TelegramEmulator, person: Person, bot: Bot, words: str = "hello") -> str:
    """Write to an unverified bot and return the code that it shows."""
    before = len(telegram.sent(person.id))
    person.write(words, bot=bot)
    text = str(telegram.wait_for_sent(person.id, before + 1)[-1]["text"])
    found = re.search(r"^[A-Z2-9]{6}$", text, re.MULTILINE)
    assert found, text
    return found[0]
