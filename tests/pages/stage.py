"""A machine for one page: an empty home, a daemon as ``make run`` starts it, and its providers on loopback.

Any in this module: JSON of the API.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final, Self

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_people import Person
from tests.emulators.telegram_world import Bot
from tests.pages.markdown import ROOT
from tests.patience import PATIENCE

EXPORT: Final = ROOT / "tests/fixtures/exports/chatgpt.json"
VENV: Final = Path(sys.prefix)


class MadeDaemon(DaemonProcess):
    """``make run`` without installing anything."""

    def spawn(self) -> None:
        """Start it; make passes a signal on and waits for the daemon's end."""
        make = ["make", "--no-print-directory", f"--old-file={VENV}/.runtime-installed", f"VENV={VENV}", "run"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(make, cwd=ROOT, env=self.environ(), stdout=log, stderr=log)


class Stage:
    """Use it in a ``with``. A command's output is that of both streams."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stack = ExitStack()
        self._openai, self._anthropic, self._telegram = OpenAIEmulator(), AnthropicEmulator(), TelegramEmulator()
        self._daemon = MadeDaemon(home / "state")
        self._serves = False
        self._listener: subprocess.Popen[str] | None = None
        self._variables: dict[str, str] = {}
        self._console = ""
        """The address of a provider that the page itself started."""
        self._token = ""
        """The token that a person would type next; if empty, a new bot's."""

    def __enter__(self) -> Self:
        self._stack.enter_context(closing(self._daemon))
        for emulator in (self._openai, self._anthropic, self._telegram):
            self._stack.enter_context(emulator)
        self._daemon.settings.update(
            {
                "PERSONAD_PROVIDERS_OPENAI_URL": f"{self._openai.url}/v1",
                "PERSONAD_PROVIDERS_LOCAL_URL": f"{self._openai.url}/v1",
                "PERSONAD_PROVIDERS_ANTHROPIC_URL": self._anthropic.url,
                "PERSONAD_PROVIDERS_TELEGRAM_URL": self._telegram.url,
                "PERSONAD_HOOKS_PORT": "0",
            }
        )
        # An HTTP error is a failed command.
        (self._home / ".curlrc").write_text("fail-with-body\n")
        shutil.copy(EXPORT, self._home / "conversations.json")
        for name, text in (("report.pdf", "%PDF-1.4"), ("question.m4a", "clip"), ("FILE", "key")):
            (self._home / name).write_text(text)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # How commands are carried out.

    def filled_in(self, command: str) -> str:
        """Fill in what the page leaves to its reader, and the places of a test."""
        if "$ID" in command:
            (adam, *_) = self._personas()
            self._variables["ID"] = adam["id"]
        if "$TOKEN" in command and "TOKEN" not in self._variables:
            self._variables["TOKEN"] = self.run(".venv/bin/personad token 2>/dev/null").strip()
        if "123456789:AA..." in command:
            command = command.replace("123456789:AA...", self._new_bot().token)
        command = command.replace(".venv/bin/", f"{VENV}/bin/")
        command = command.replace("//127.0.0.1:5000", f"//127.0.0.1:{self._daemon.port}")
        command = command.replace("http://127.0.0.1:8080", self._openai.url)
        return command.replace("MODEL", "echo").replace("KEY", "k")

    def run(self, command: str) -> str:
        """Run the command as written in the home folder; it must succeed."""
        self._ready()
        ended = subprocess.run(
            ["/bin/sh", "-c", self.filled_in(command)],
            cwd=self._home,
            env=self._environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}"
        return ended.stdout

    # Replacements for running a command.

    def edited(self, command: str) -> str:
        """Run the command after an edit of what Adam knows about her person."""
        (adam, *_) = self._personas()
        with (self._home / "state" / "personas" / adam["id"] / "memory" / "person.md").open("a") as file:
            file.write("- likes walks\n")
        return self.run(command)

    def serve(self, command: str) -> str:
        """Replace the running daemon with ``make run``, with the settings before it; Adam exists afterwards."""
        if self._serves:
            self._daemon.stop()
        given = dict(word.split("=", 1) for word in shlex.split(command) if "=" in word)
        # The page's provider has its usual port; the test's has a free one.
        self._daemon.settings.update(dict.fromkeys(given, self._console))
        self._daemon.start().ready()
        self._serves = True
        wait_for(self._personas, "the first persona")
        assert [persona["name"] for persona in self._personas()] == ["Adam"]
        return self._daemon.log.read_text()

    def would_make(self, command: str) -> str:
        """Have make print what it would do; a folder or file in its variables must exist."""
        words = shlex.split(command, comments=True)
        words = words[words.index("make") + 1 :]
        for word in words:
            name, _, value = word.partition("=")
            assert name != "ARGS" or value.startswith("-") or (ROOT / value).exists(), command
        ended = subprocess.run(
            ["make", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def exists(self, command: str) -> str:
        """Assert that the script exists and is executable."""
        assert os.access(ROOT / shlex.split(command, comments=True)[0], os.X_OK)
        return ""

    def known(self, command: str) -> str:
        """Do nothing: the command cannot be tried."""
        return command

    def collected(self, command: str) -> str:
        """Assert that the tests that it names are found."""
        return self._python(f"{command} --collect-only -q -p no:cacheprovider")

    def has_options(self, command: str) -> str:
        """Assert that the module knows the options."""
        words = shlex.split(command, comments=True)
        helped = self._python(" ".join(words[: words.index("-m") + 2]) + " --help")
        assert all(word in helped for word in words if word.startswith("--")), helped
        return helped

    def has_verb(self, command: str) -> str:
        """Assert that the installed command, wherever it stands in the line, knows the verb and its options."""
        words = shlex.split(command, comments=True)
        installed = next(at for at, word in enumerate(words) if word.endswith("/bin/personad"))
        verb, *options = words[installed + 1 :]
        helped = self.run(f".venv/bin/personad {verb} --help")
        assert all(option in helped for option in options), helped
        return helped

    def begin_provider(self, command: str) -> str:
        """Start an emulator on a free port; the token that it prints is typed next."""
        command = re.sub(r"--port \d+", "--port 0", self.filled_in(command))
        process = self._begin(f"exec {command}", ROOT)
        assert process.stdout is not None
        url, self._token = (process.stdout.readline().strip() for _ in range(2))
        assert url.startswith("http://127.0.0.1:")
        self._console = url
        return self._token

    def begin_listening(self, command: str) -> str:
        """Start a client of a socket; ``heard`` checks what it receives."""
        self._ready()
        self._listener = self._begin(f"exec {self.filled_in(command)}", self._home)
        assert self._listener.stdout is not None
        first = self._listener.stdout.readline()
        assert "Connected to" in first, first
        return first

    def heard(self) -> None:
        """Wait for a chat frame on the socket that the page opened, if it opened one."""
        if self._listener is None:
            return
        assert self._listener.stdout is not None
        assert any('"chat_message"' in line for line in self._listener.stdout), "the socket was closed"
        self._listener = None

    def deliver(self, command: str) -> str:
        """Run the command while one of her sockets is open, if the page itself opened none."""
        if self._listener is None:
            self.begin_listening(".venv/bin/websockets ws://127.0.0.1:5000/ws/$ID")
        return self.run(command)

    def chat(self, command: str) -> str:
        """Ask for her name through a pipe."""
        return self.run(f"echo 'What is your name?' | {command}")

    def type_token(self, command: str) -> str:
        """Type a bot's token on a terminal when it is asked for."""
        self._ready()
        token = self._token or self._new_bot().token
        controller, terminal = pty.openpty()
        try:
            process = self._begin(f"exec {self.filled_in(command)}", self._home, terminal)
            assert process.stdout is not None
            asked = ""
            while not asked.endswith("bot: "):
                character = process.stdout.read(1)
                assert character, asked
                asked += character
            os.write(controller, f"{token}\n".encode())
            printed = asked + process.stdout.read()
        finally:
            os.close(controller)
            os.close(terminal)
        assert process.wait(PATIENCE) == 0, printed
        assert token not in printed
        return printed

    def pair(self, command: str) -> str:
        """Write to the bot as its owner would, and claim the code that it shows."""
        ann = self._telegram.user(username="ann")
        return self.run(command.replace("CODE", self._code(ann, self._telegram.bot())))

    def remove(self, command: str) -> str:
        """Remove the channel that the list shows."""
        (channel,) = self._personas()[0]["channels"]
        return self.run(command.replace("NAME", shlex.quote(channel["name"])))

    def restore(self, command: str) -> str:
        """Restore her on another machine."""
        folder = self._home / "elsewhere"
        folder.mkdir()
        with closing(DaemonProcess(folder / "state")) as other:
            other.start()
            said = self.run(f"PERSONAD_HTTP_PORT={other.port} {command}")
            assert [one["name"] for one in other.http.get("/api/personas").json()["personas"]] == ["Adam"]
        return said

    # Helpers.

    def _ready(self) -> None:
        if not self._serves:
            self.serve("make run")

    def _environ(self) -> dict[str, str]:
        return {**self._daemon.environ(), **self._variables, "LANG": "C.UTF-8"}

    def _personas(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._daemon.http.get("/api/personas").json()["personas"]
        return found

    def _new_bot(self) -> Bot:
        return self._telegram.add_bot(username="adam_bot")

    def _code(self, person: Person, bot: Bot) -> str:
        person.write("hello", bot=bot)
        (message, *_) = self._telegram.wait_for_sent(person.id, 1)
        found = re.search(r"^[A-Z2-9]{6}$", str(message["text"]), re.MULTILINE)
        assert found, message
        return found[0]

    def _python(self, command: str) -> str:
        words = shlex.split(command, comments=True)
        assert words[0] in (".venv/bin/python", "python"), command
        ended = subprocess.run(
            [sys.executable, *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def _begin(self, command: str, folder: Path, stdin: int = subprocess.PIPE) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=self._environ(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Without its own terminal it would ask on the terminal that runs the tests.
            start_new_session=True,
        )
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        return process
