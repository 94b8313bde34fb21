"""The Telegram emulator by hand: what is typed goes to the bot, what the bot sends is printed.

//photo FILE [CAPTION]   //voice FILE   //audio FILE   //file FILE   send a file
//user NAME              speak as another person      //start [PAYLOAD]  press Start
//edit TEXT              change the last message      //press DATA       press a button of the bot's last message
//block   //unblock      block the bot                //quit             end
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from pathlib import Path
from typing import Final

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_entities import render
from tests.emulators.telegram_people import Media, Person, Posted
from tests.emulators.telegram_world import Json

FILES: Final[dict[str, Media]] = {"photo": "photo", "voice": "voice", "audio": "audio", "file": "document"}


class Console:
    """One person at a terminal, under as many names as wanted."""

    def __init__(self, emulator: TelegramEmulator, folder: Path) -> None:
        self.emulator = emulator
        self.folder = folder
        self.people: dict[str, Person] = {}
        self.person = self.speak_as("ann")
        self.last: dict[int, Posted] = {}

    def speak_as(self, name: str) -> Person:
        """Become another person."""
        if name not in self.people:
            self.people[name] = self.emulator.user(username=name)
        return self.people[name]

    def obey(self, line: str) -> bool:
        """Do what a line says; False when it says to end. Raises ValueError or OSError with what is wrong."""
        if not line.startswith("//"):
            if line.strip():
                self._remember(self.person.write(line))
            return True
        command, _, rest = line[2:].partition(" ")
        rest = rest.strip()
        match command:
            case "quit":
                return False
            case "user" if rest:
                self.person = self.speak_as(rest)
            case "start":
                self._remember(self.person.start(rest))
            case "edit" if self.person.id in self.last:
                self.last[self.person.id] = self.person.edit(self.last[self.person.id], rest)
            case "press" if sent := self.emulator.sent(self.person.id):
                self.person.press(sent[-1], rest)
            case "block":
                self.person.block()
            case "unblock":
                self.person.unblock()
            case "photo" | "voice" | "audio" | "file" if rest:
                name, _, caption = rest.partition(" ")
                path = Path(name)
                sent_file = self.person.send(FILES[command], path.read_bytes(), caption=caption, name=path.name)
                self._remember(sent_file)
            case _:
                raise ValueError(__doc__)
        return True

    def _remember(self, posted: Posted) -> None:
        self.last[self.person.id] = posted

    def watch(self) -> None:
        """Print what the bot does, for ever."""
        world = self.emulator.world
        sent, actions, edits, drafts = 0, 0, 0, 0
        while True:
            with world.changed:
                world.changed.wait()
                new_sent, new_actions = world.sent[sent:], world.actions[actions:]
                new_drafts = world.drafts[drafts:]
                changed = [call for call in self.emulator.calls("editMessageText") if call.status == 200][edits:]
            for chat_id, action, _ in new_actions:
                self._say(chat_id, f"({action})")
            for draft in new_drafts:
                self._say(draft.chat_id, f"(writes) {draft.text}")
            for message in new_sent:
                self._say(message.chat_id, self.shown(message.message))
            for call in changed:
                self._say(
                    int(str(call.params["chat_id"])), f"(edits {call.params['message_id']}) {call.params['text']}"
                )
            sent, actions, edits = sent + len(new_sent), actions + len(new_actions), edits + len(changed)
            drafts += len(new_drafts)

    def shown(self, message: Json) -> str:
        """A message as a line; its file is saved to the folder."""
        prefix = "caption_" if "caption" in message else ""
        words = str(message.get("text") or message.get("caption") or "")
        line = render(words, message.get(f"{prefix}entities", []))
        for kind in ("photo", "voice", "audio", "document"):
            if kind in message:
                about = message[kind][-1] if kind == "photo" else message[kind]
                stored = self.emulator.world.files[about["file_id"]]
                path = self.folder / (about.get("file_name") or Path(stored.path).name)
                path.write_bytes(stored.data)
                line = f"[{kind} {path}] {line}"
        for row in message.get("reply_markup", {}).get("inline_keyboard", []):
            line += "\n    " + "  ".join(f"[{button['text']}: {button.get('callback_data', '')}]" for button in row)
        return line

    def _say(self, chat_id: int, line: str) -> None:
        chat = self.emulator.world.chats[chat_id]
        print(f"bot to {chat.username or chat.title or chat.id}: {line}", flush=True)


def main() -> None:
    """Serve until the input ends or //quit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default="", help="the bot's token; made up when left out")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="telegram-")
    with TelegramEmulator(arguments.port) as emulator:
        bot = emulator.add_bot(arguments.token)
        console = Console(emulator, Path(folder))
        threading.Thread(target=console.watch, daemon=True).start()
        print(f"{emulator.url}\n{bot.token}\n(@{bot.username}; files go to {folder}; //help)", flush=True)
        for line in sys.stdin:
            try:
                if not console.obey(line.rstrip("\n")):
                    return
            except (ValueError, OSError) as error:
                print(error, flush=True)
