"""``personad chat`` from a pipe and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.daemon.cli.command_line import ROOT, command, persona, personad
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.dictated import DictatedMind
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Emulator, Step
from tests.patience import PATIENCE


@pytest.fixture
def own_mind() -> Iterator[Emulator]:
    """A mind that only this test scripts."""
    with OpenAIEmulator() as emulator:
        yield emulator
        emulator.release()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that may be killed, for all tests of this module."""
    with closing(DaemonProcess(tmp_path_factory.mktemp("chat") / "state")) as process:
        yield process.start_warm()


@pytest.fixture
def eve(daemon: DaemonProcess, own_mind: Emulator) -> Iterator[str]:
    """Eve, whose mind is this test's; deleted after the test."""
    with persona(daemon, "Eve", own_mind) as persona_id:
        yield persona_id


class Terminal:
    """``personad chat`` on a pseudo-terminal, read and written like a person does."""

    def __init__(self, daemon: DaemonProcess, *arguments: str) -> None:
        self._controller, terminal = pty.openpty()
        self.process = subprocess.Popen(
            command("chat", *arguments),
            cwd=ROOT,
            env={**daemon.environ(), "TERM": "xterm", "LANG": "C.UTF-8"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        self.screen = ""

    def type(self, text: str) -> None:
        os.write(self._controller, text.encode())

    def wait_for(self, pattern: str) -> None:
        """Read until the screen shows the pattern."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.screen):
            ready, _, _ = select.select([self._controller], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"{pattern!r} did not appear in {self.screen!r}"
            try:
                self.screen += os.read(self._controller, 65_536).decode(errors="replace")
            except OSError as error:
                # Linux reports this once the other side is closed.
                raise AssertionError(f"{pattern!r} did not appear in {self.screen!r}") from error

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._controller)


def test_lines_from_a_pipe_are_answered_one_after_another(daemon: DaemonProcess, eve: str) -> None:
    """Each line is sent after the previous one is answered; blank lines are skipped; only her messages are printed."""
    ended = personad(daemon, "chat", "Eve", stdin="first words\n\nsecond words")

    assert (ended.returncode, ended.stderr) == (0, "")
    first, second = ended.stdout.splitlines()
    assert "first words" in first
    assert "second words" in second


def test_frames_come_as_json(daemon: DaemonProcess, eve: str) -> None:
    """--json prints the frame that the socket carried."""
    frame = json.loads(personad(daemon, "chat", eve, "--json", stdin="hello\n").stdout)

    assert (frame["type"], frame["persona_id"]) == ("chat_message", eve)


def test_no_answer_in_time_is_exit_1(daemon: DaemonProcess, eve: str, own_mind: Emulator) -> None:
    """A mind that hangs costs --timeout seconds, and the person reads that the message is kept."""
    own_mind.script(Step(failure="hang"))
    ended = personad(daemon, "chat", "Eve", "--timeout", "0.5", stdin="hello\n")

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "personad: no answer within 0.5 s; Eve keeps your message and answers when she can\n"


def test_a_refusal_is_told_as_one(daemon: DaemonProcess, eve: str, own_mind: Emulator) -> None:
    """Her notice is printed, the reason is the mind's, and the exit code says that there was no answer."""
    own_mind.script(Step(status=400, code="content_filter", message="The response was filtered"))
    ended = personad(daemon, "chat", "Eve", stdin="hello\n")

    assert ended.returncode == 1
    assert ended.stdout.startswith('I cannot answer "hello"')
    assert ended.stderr.startswith("personad: a message was set aside (")
    assert "The response was filtered" in ended.stderr
    assert "`personad retry` takes it up again" in ended.stderr


def test_a_persona_who_does_not_run_is_refused(daemon: DaemonProcess, eve: str) -> None:
    """Exit 1, with the command to start her."""
    personad(daemon, "stop", "Eve")
    ended = personad(daemon, "chat", "Eve", stdin="hello\n")

    assert (ended.returncode, ended.stderr) == (1, "personad: Eve is not running; start her with: personad start Eve\n")


def test_a_message_that_is_too_long_is_refused_with_its_reason(daemon: DaemonProcess, eve: str) -> None:
    """The daemon's own error text, on one line."""
    ended = personad(daemon, "chat", "Eve", stdin="y" * 70_000)

    assert ended.returncode == 1
    assert "65536" in ended.stderr


def test_her_messages_cannot_control_the_terminal(daemon: DaemonProcess, eve: str, own_mind: Emulator) -> None:
    """Escape sequences and control characters in an answer are shown, not executed; its line breaks stay."""
    own_mind.script(Step(text="one\x1b]0;owned\x07\x1b[2J\rtwo\u202e\nthree"))
    ended = personad(daemon, "chat", "Eve", stdin="hello\n")

    assert ended.stdout == "one\\x1b]0;owned\\x07\\x1b[2J\\rtwo\\u202e\nthree\n"


def test_the_notice_of_an_unreachable_mind_is_not_an_answer(tmp_path: Path, own_mind: Emulator) -> None:
    """The pipe prints the notice and keeps waiting for the answer."""
    daemon = DaemonProcess(tmp_path / "state", {"PERSONAD_MIND_RETRIES": "0"})
    try:
        daemon.start_warm()
        daemon.create(
            "Eve", thinking_model="echo", thinking_provider="openai", thinking_api_key="k", thinking_url=own_mind.url
        )
        own_mind.script(Step(status=500), Step(status=500), Step(text="I am back"))
        ended = personad(daemon, "chat", "Eve", stdin="hello\n")
    finally:
        daemon.close()

    notice, answer = ended.stdout.splitlines()
    assert "mind" in notice
    assert answer == "I am back"
    assert ended.returncode == 0


def test_a_conversation_on_a_terminal(daemon: DaemonProcess, eve: str, own_mind: Emulator) -> None:
    """Earlier messages are shown, her typing and her answer appear, Ctrl-D leaves with exit 0."""
    personad(daemon, "chat", "Eve", stdin="remember the moon\n")
    own_mind.script(Step(text="Good evening", pause=0.3))
    terminal = Terminal(daemon, "Eve")
    try:
        terminal.wait_for(r"Talking to Eve; Ctrl-D leaves\.")
        terminal.wait_for(r"you: remember the moon")
        terminal.wait_for(r"Eve: .*moon")
        terminal.wait_for(r"> $")
        terminal.type("hello there\n")
        terminal.wait_for(r"\(Eve is typing\)")
        terminal.wait_for(r"Eve: Good evening\r\n> ")
        terminal.type("\x04")
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        terminal.close()


def test_words_appear_on_a_terminal_and_a_hush_stops_them(daemon: DaemonProcess) -> None:
    """They are there before the mind has ended; /hush is no message, and what she has said stays with its sign."""
    with DictatedMind() as mind, persona(daemon, "Ada", mind):
        terminal = Terminal(daemon, "Ada")
        try:
            terminal.wait_for(r"Stop her answer: /hush\r\n> ")
            terminal.type("tell me a story\n")
            mind.answer().say("Once upon")
            terminal.wait_for(r"Ada: Once upon\r\n> ")
            mind.answer().say(" a time")
            terminal.wait_for(r"Ada: Once upon a time\r\n> ")
            terminal.type("/hush\n")
            terminal.wait_for(r"Ada: Once upon a time … \(stopped\)\r\n> ")
            terminal.type("/hush\n")
            terminal.wait_for(r"\(she is not answering\)")
        finally:
            terminal.close()
            mind.answer().end()
        assert len(mind.answers) == 1


def test_a_file_is_attached_on_a_terminal(daemon: DaemonProcess, eve: str, tmp_path: Path) -> None:
    """/attach sends the file with its caption, which the next chat shows; an error is shown."""
    file = tmp_path / "morning scan \N{SNOWMAN}.txt"
    file.write_bytes(b"x" * 200_000)
    terminal = Terminal(daemon, "Eve")
    try:
        terminal.wait_for(r"/attach FILE")
        terminal.type(f'/attach "{file}" what\'s this?\n')
        terminal.wait_for(r"Eve: [\s\S]*what's this\?")
        terminal.type("/attach /nowhere/at-all.txt\n")
        terminal.wait_for(r"not sent: .*No such file")
        terminal.type(f"/attach {Path(__file__)}\n")
        terminal.wait_for(r"not sent: No perception capability for \.py")
    finally:
        terminal.close()
    terminal = Terminal(daemon, "Eve")
    try:
        terminal.wait_for(r"you: \[morning scan .*\.txt\] what's this\?")
    finally:
        terminal.close()
    first = daemon.http.get(f"/api/persona/{eve}/conversation").json()["messages"][0]
    assert first["content"] == "what's this?"
    assert daemon.http.get(f"/api/persona/{eve}/media/{first['media']}").content == b"x" * 200_000


def test_a_file_is_attached_from_a_pipe(daemon: DaemonProcess, eve: str, tmp_path: Path) -> None:
    """/attach in a pipe sends the file as on a terminal, and the line after it comes after her answer."""
    file = tmp_path / "morning scan.txt"
    file.write_text("x" * 2000)
    ended = personad(daemon, "chat", "Eve", stdin=f'/attach "{file}" what\'s this?\n/attached is no command\n')

    assert (ended.returncode, ended.stderr) == (0, "")
    first, _, third, _ = daemon.http.get(f"/api/persona/{eve}/conversation").json()["messages"]
    assert (first["title"], first["content"]) == ("morning scan.txt", "what's this?")
    assert daemon.http.get(f"/api/persona/{eve}/media/{first['media']}").content == b"x" * 2000
    assert third["content"] == "/attached is no command"


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("/attach", 2, "a file is sent by: /attach FILE [caption]"),
        ("/attach /nowhere/at-all.txt", 2, "/nowhere/at-all.txt: cannot be read: No such file or directory"),
        ("/attach ~nobody-of-this-name/a.txt", 2, "~nobody-of-this-name/a.txt: cannot be read"),
        ("/attach a\0b.txt look", 2, "cannot be read: embedded null byte"),
        ("/attach /", 2, "/: cannot be read: Is a directory"),
        (f"/attach {__file__}", 1, "No perception capability for .py"),
    ],
)
def test_a_file_that_cannot_be_sent_from_a_pipe(
    daemon: DaemonProcess, eve: str, line: str, code: int, error: str
) -> None:
    """The reason goes to standard error and the exit code, and nothing is sent to her, not even the line."""
    ended = personad(daemon, "chat", "Eve", stdin=f"{line}\n")

    assert (ended.returncode, ended.stdout) == (code, "")
    assert error in ended.stderr
    assert "Traceback" not in ended.stderr
    assert daemon.http.get(f"/api/persona/{eve}/conversation").json() == {"messages": []}


def test_a_terminal_survives_a_daemon_that_is_killed(daemon: DaemonProcess, eve: str) -> None:
    """The connection recovers by itself, and her next message appears once."""
    terminal = Terminal(daemon, "Eve")
    try:
        terminal.wait_for(r"> $")
        daemon.kill()
        terminal.wait_for("the connection was lost")
        terminal.type("lost words\n")
        terminal.wait_for(r"\(not sent: personad is not reachable")
        daemon.start()
        terminal.wait_for("connected again")
        daemon.ready()
        terminal.type("are you there\n")
        terminal.wait_for(r"Eve: .*are you there")
        terminal.type("\x04")
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        terminal.close()
    assert len(re.findall(r"Eve: .*are you there", terminal.screen)) == 1


def test_what_she_says_while_the_connection_is_broken_is_caught_up(
    daemon: DaemonProcess, eve: str, own_mind: Emulator
) -> None:
    """An answer that arrives while the terminal is disconnected appears once it is back."""
    own_mind.script(Step(failure="hang"))
    terminal = Terminal(daemon, "Eve")
    try:
        terminal.wait_for(r"> $")
        terminal.type("the last words\n")
        wait_for(lambda: "the last words" in str(own_mind.journal[-1].body), "her mind to be asked")
        terminal.process.send_signal(signal.SIGSTOP)
        daemon.kill()
        daemon.start()
        wait_for(lambda: _answers(daemon, eve), "her answer")
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait_for("connected again")
        terminal.wait_for(r"Eve: .*the last words")
    finally:
        terminal.close()


def _answers(daemon: DaemonProcess, persona_id: str) -> list[str]:
    messages = daemon.http.get(f"/api/persona/{persona_id}/conversation").json()["messages"]
    return [message["content"] for message in messages if message["role"] == "assistant"]


def test_a_terminal_hears_that_she_is_deleted(daemon: DaemonProcess, eve: str) -> None:
    """The terminal shows that the conversation is over."""
    terminal = Terminal(daemon, "Eve")
    try:
        terminal.wait_for(r"> $")
        assert personad(daemon, "delete", "Eve", "--yes").returncode == 0
        terminal.wait_for(r"this persona was deleted")
        terminal.type("\x04")
        assert terminal.process.wait(PATIENCE) == 0
    finally:
        terminal.close()


def test_delete_asks_on_a_terminal(daemon: DaemonProcess, eve: str) -> None:
    """Any answer but yes deletes nothing."""
    for word, left in (("no", 1), ("yes", 0)):
        controller, terminal = pty.openpty()
        process = subprocess.Popen(
            command("delete", "Eve"), cwd=ROOT, env=daemon.environ(), stdin=terminal, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        os.write(controller, word.encode() + b"\n")
        assert process.wait(PATIENCE) == left
        os.close(controller)
        assert len(daemon.http.get("/api/personas").json()["personas"]) == left
