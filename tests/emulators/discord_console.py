"""The Discord emulator by hand: typed lines are a person's messages, and what the bot sends is printed."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.emulators.discord_objects import VOICE_MESSAGE, Account, Message, Upload

if TYPE_CHECKING:
    from tests.emulators.discord import DiscordEmulator

HELP: Final = "Type to write to the bot. //photo FILE  //voice FILE  //user NAME  //quit"


def converse(emulator: DiscordEmulator) -> None:
    """Read lines until ``//quit`` or the end of a terminal's input; without a terminal, serve until interrupted."""
    print(HELP, flush=True)
    people = {emulator.person.username: emulator.person}
    person = emulator.person
    _follow(emulator, person)
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        match command:
            case "":
                continue
            case "//quit":
                return
            case "//user":
                person = people.get(rest) or _newcomer(emulator, rest)
                people[rest] = person
            case "//photo" | "//voice":
                _send_file(emulator, person, Path(rest).expanduser(), voice=command == "//voice")
            case _:
                emulator.say(line.rstrip("\n"), channel_id=emulator.dm(person))
    if not sys.stdin.isatty():
        threading.Event().wait()


def _newcomer(emulator: DiscordEmulator, name: str) -> Account:
    person = emulator.add_user(name)
    _follow(emulator, person)
    return person


def _follow(emulator: DiscordEmulator, person: Account) -> None:
    """Print what the bot sends to a person, from a thread that ends with the program."""

    def follow() -> None:
        channel_id, seen = emulator.dm(person), 0
        while True:
            try:
                sent = emulator.wait_for_sent(channel_id, seen + 1, 3600.0)
            except TimeoutError:
                continue
            for message in sent[seen:]:
                print(f"{message.author.username} -> {person.username}: {_describe(message)}", flush=True)
            seen = len(sent)

    threading.Thread(target=follow, daemon=True).start()


def _send_file(emulator: DiscordEmulator, person: Account, path: Path, *, voice: bool) -> None:
    try:
        data = path.read_bytes()
    except OSError as error:
        print(f"cannot read {path}: {error.strerror}", flush=True)
        return
    upload = Upload("voice-message.ogg" if voice else path.name, data, duration=1.0 if voice else None)
    emulator.say("", upload, channel_id=emulator.dm(person), flags=VOICE_MESSAGE if voice else 0)


def _describe(message: Message) -> str:
    files = [f"[{attachment.upload.filename}: {attachment.url}]" for attachment in message.attachments]
    return " ".join([message.content, *files]).strip()
