"""``personad channel`` and ``personad pair`` as a user runs them, with Telegram emulated on loopback."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.cli.command_line import ROOT, command, persona, personad
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_people import Person
from tests.emulators.telegram_world import Bot
from tests.patience import PATIENCE

NAME = "Eve Adams"


@pytest.fixture(scope="module")
def telegram() -> Iterator[TelegramEmulator]:
    """Telegram on loopback."""
    with TelegramEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory, telegram: TelegramEmulator) -> Iterator[DaemonProcess]:
    """One daemon for all tests of this module."""
    state, settings = tmp_path_factory.mktemp("channel") / "state", {"PERSONAD_PROVIDERS_TELEGRAM_URL": telegram.url}
    with closing(DaemonProcess(state, settings)) as process:
        yield process.start_warm("telegram")


@pytest.fixture
def eve(shared_daemon: DaemonProcess, mind: OpenAIEmulator) -> Iterator[str]:
    """Eve Adams, whose mind is the echo; deleted after the test."""
    with persona(shared_daemon, NAME, mind) as persona_id:
        yield persona_id


@pytest.fixture
def bot(telegram: TelegramEmulator, shared_daemon: DaemonProcess, eve: str) -> Bot:
    """A bot that is Eve's channel."""
    bot = telegram.add_bot(username="eve_bot")
    added = personad(shared_daemon, "channel", "add", NAME, "telegram", "--token-env", "TOKEN", TOKEN=bot.token)
    assert added.returncode == 0, added.stderr
    return bot


def listed(shared_daemon: DaemonProcess) -> dict[str, Any]:
    """Return her one channel as ``channel list --json`` prints it."""
    (found,) = json.loads(personad(shared_daemon, "channel", "list", NAME, "--json").stdout)
    assert isinstance(found, dict)
    return found


def code_for(telegram: TelegramEmulator, person: Person, bot: Bot) -> str:
    person.write("hello there", bot=bot)
    shown = str(telegram.wait_for_sent(person.id)[0]["text"])
    found = re.search(r"^[A-Z2-9]{6}$", shown, re.MULTILINE)
    assert found
    assert f"personad pair 'Eve Adams' {found[0]}" in shown
    return found[0]


def test_a_channel_is_added_paired_listed_and_removed(
    shared_daemon: DaemonProcess, eve: str, telegram: TelegramEmulator, tmp_path: Path
) -> None:
    """Each verb prints its result and the next step; the token is never printed."""
    bot, ann = telegram.add_bot(username="way_bot"), telegram.user(username="ann")
    assert "personad channel add 'Eve Adams' KIND" in personad(shared_daemon, "channel", "list", NAME).stdout
    (tmp_path / "token").write_text(bot.token + "\n")
    added = personad(shared_daemon, "channel", "add", "eve adams", "telegram", "--token-file", str(tmp_path / "token"))
    assert added.returncode == 0, added.stderr
    assert added.stdout == (
        "Eve Adams: telegram way_bot added\n"
        "Now write to the bot way_bot on Telegram; it answers with a code for: personad pair 'Eve Adams' CODE\n"
    )
    wait_for(lambda: listed(shared_daemon)["state"] == "connected", "the gateway to connect")
    unpaired = personad(shared_daemon, "channel", "list", NAME).stdout
    assert re.search(r"^telegram +way_bot +no +connected +\d+\.\d s +0 +0 +0 +0 +0$", unpaired, re.MULTILINE)
    assert "write to the bot way_bot" in unpaired
    paired = personad(shared_daemon, "pair", NAME, code_for(telegram, ann, bot).lower())
    assert (paired.returncode, paired.stderr) == (0, "")
    assert paired.stdout == "Eve Adams is connected with ann on telegram, and listens only to that account\n"
    telegram.wait_for_sent(ann.id, 3)
    wait_for(lambda: listed(shared_daemon)["sent"] == 2, "the deliveries to be counted")
    counted = personad(shared_daemon, "channel", "list", NAME).stdout
    assert re.search(r"^telegram +ann +yes +connected +\d+\.\d s +1 +0 +2 +0 +0$", counted, re.MULTILINE)
    assert len(counted.splitlines()) == 2
    whole = personad(shared_daemon, "status").stdout
    assert re.search(r"^Eve Adams +telegram +ann +yes +connected ", whole, re.MULTILINE)
    removed = personad(shared_daemon, "channel", "remove", NAME, "ann")
    assert (removed.returncode, removed.stdout) == (0, "Eve Adams: ann removed\n")
    again = personad(shared_daemon, "channel", "remove", NAME, "ann")
    assert (again.returncode, again.stdout) == (0, "Eve Adams has no channel 'ann'; nothing was removed\n")
    for ended in (added, paired, removed):
        assert bot.token not in ended.stdout + ended.stderr


def test_json_prints_the_daemons_answers(shared_daemon: DaemonProcess, eve: str, telegram: TelegramEmulator) -> None:
    """--json prints the API's answer unchanged, for pair unmasked; a name may hold any text."""
    bot, ann = telegram.add_bot(username="json_bot"), telegram.user(username="ann/2 50%")
    added = personad(shared_daemon, "channel", "add", NAME, "telegram", "--token-env", "T", "--json", T=bot.token)
    assert json.loads(added.stdout) == {"kind": "telegram"}
    paired = json.loads(personad(shared_daemon, "pair", NAME, code_for(telegram, ann, bot), "--json").stdout)
    assert paired["persona"]["id"] == eve
    assert paired["channel"]["credentials"] == {"token": bot.token}
    removed = personad(shared_daemon, "channel", "remove", NAME, "ann/2 50%", "--json")
    assert json.loads(removed.stdout) == {"removed": "ann/2 50%"}


def test_the_token_is_asked_for_on_a_terminal(
    shared_daemon: DaemonProcess, eve: str, telegram: TelegramEmulator
) -> None:
    """The token is typed without echo; without a terminal, the error names the options."""
    token = telegram.add_bot(username="typed_bot").token
    refused = personad(shared_daemon, "channel", "add", NAME, "telegram", stdin=token)
    assert refused.returncode == 2
    assert "--token-file" in refused.stderr
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        command("channel", "add", NAME, "telegram"),
        cwd=ROOT,
        env=shared_daemon.environ(),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as asking:
        os.close(terminal)
        screen = os.read(controller, 1000)
        assert b"Token of the Telegram bot: " in screen
        os.write(controller, token.encode() + b"\n")
        while b"CODE" not in screen:
            screen += os.read(controller, 1000)
        assert asking.wait(PATIENCE) == 0
    os.close(controller)
    assert b"typed_bot added" in screen
    assert token.encode() not in screen


def test_what_is_wrong_is_said_with_what_to_do(
    shared_daemon: DaemonProcess, bot: Bot, telegram: TelegramEmulator
) -> None:
    """The daemon's refusals are exit 1; a revoked token and a stopped persona are shown with what to do."""
    wrong = personad(shared_daemon, "channel", "add", NAME, "discord", "--token-env", "T", T="nonsense")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("personad: discord validation failed: ")
    assert "nonsense" not in wrong.stderr
    invalid = personad(shared_daemon, "pair", NAME, "nope")
    assert (invalid.returncode, invalid.stderr) == (1, "personad: Pairing code is invalid or has expired.\n")
    telegram.revoke(bot)
    wait_for(lambda: listed(shared_daemon)["state"] == "stopped", "the revoked token to show")
    assert re.search(
        r"^telegram eve_bot: .*@BotFather", personad(shared_daemon, "channel", "list", NAME).stdout, re.MULTILINE
    )
    assert re.search(
        r"^Eve Adams: telegram eve_bot: .*@BotFather", personad(shared_daemon, "status").stdout, re.MULTILINE
    )
    personad(shared_daemon, "stop", NAME)
    closed = personad(shared_daemon, "channel", "list", NAME).stdout
    assert "telegram eve_bot: closed, because she is not running; start her: personad start 'Eve Adams'\n" in closed


def test_status_lists_dead_letters(shared_daemon: DaemonProcess, bot: Bot, telegram: TelegramEmulator) -> None:
    """Messages that could not be delivered are listed with the reason."""
    ann = telegram.user(username="gone_ann")
    assert personad(shared_daemon, "pair", NAME, code_for(telegram, ann, bot)).returncode == 0
    telegram.wait_for_sent(ann.id, 3)
    ann.block(bot)
    ann.write("are you there?", bot=bot)
    wait_for(lambda: listed(shared_daemon)["dead"], "the dead letter")
    shown = personad(shared_daemon, "status").stdout
    assert "Given up without delivery:\n" in shown
    assert re.search(
        r"^\d{4}-\S+ Eve Adams to telegram gone_ann: '.*are you there\?.*': .*blocked", shown, re.MULTILINE
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["channel"],
        ["channel", "add", "Eve"],
        ["channel", "add", "Eve", "icq"],
        ["channel", "add", "Eve", "telegram", "123:abc"],
        ["channel", "add", "Eve", "telegram", "--token-file", "a", "--token-env", "b"],
        ["channel", "remove", "Eve"],
        ["pair", "Eve"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2(shared_daemon: DaemonProcess, arguments: list[str]) -> None:
    """argparse prints usage and an error; a token is never an argument."""
    ended = personad(shared_daemon, *arguments)
    assert ended.returncode == 2
    assert "usage: personad" in ended.stderr
