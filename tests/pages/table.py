"""The commands that a test cannot run as written, and what is done instead. All others are run as written.

The first row whose pattern is found in a command applies. A command without a row is run by the shell, and must
succeed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from tests.pages.stage import Stage


class Row(NamedTuple):
    """How a command is carried out; ``reason`` says why it is not run as written."""

    pattern: re.Pattern[str]
    carry_out: Callable[[Stage, str], str]
    """Carries the command out, and returns what it printed."""
    reason: str


def _row(pattern: str, carry_out: Callable[[Stage, str], str], reason: str) -> Row:
    return Row(re.compile(pattern), carry_out, reason)


INSTEAD: Final = (
    _row(r"^(\w+=\S+ +)?make run$", Stage.serve, "it runs until it is stopped; what it would install is there"),
    _row(r"^sudo make (un)?install\b", Stage.would_make, "it changes the machine, and needs root"),
    _row(r"^sudo -u personad ", Stage.has_verb, "there is no user personad, and the ledger here is whole"),
    _row(
        r"^make (test|fuzz|coverage|lint|types|bench|lock|changelog)\b",
        Stage.would_make,
        "it runs all tests, or installs",
    ),
    _row(r"^\.ci/run\b", Stage.exists, "it runs this test among all others"),
    _row(r"\bpytest\b", Stage.collected, "the tests that it names run on their own"),
    _row(r"-m tests\.(bench|chaos)\b", Stage.has_options, "it takes minutes"),
    _row(r"-m tests\.emulators\.\w+ --port", Stage.begin_provider, "it runs until it is stopped"),
    _row(r"/websockets ws://", Stage.begin_listening, "it runs until it is stopped"),
    _row(r"/persona/\$ID/(read|attach|hear) ", Stage.deliver, "a socket must be open, as README says"),
    _row(r"personad chat ", Stage.chat, "a person types"),
    _row(r"personad channel add ", Stage.type_token, "a person types the bot's token"),
    _row(r"personad channel remove ", Stage.remove, "NAME is what the list shows"),
    _row(r"personad knowledge Adam --\w+ person", Stage.edited, "she has learned nothing about her person yet"),
    _row(r"personad pair ", Stage.pair, "CODE is what the bot shows"),
    _row(r"personad restore ", Stage.restore, "a persona is not restored beside herself: another machine"),
    _row(r"^sudo -u personad ", Stage.known, "the service's user and folders are not there"),
    _row(r"^(sudo )?(systemctl|journalctl|systemd-analyze|loginctl)\b", Stage.known, "a test has no systemd that runs"),
)

PRINTS: Final = (
    (r"/api/personas$", r'"name": ?"Adam"'),
    (r"/(read|attach|hear) ", r'^\{"status": ?"received"\}$'),
    (r"/persona/create ", r'"name": ?"Eve"'),
    (r"/feed ", r'^\{"persona": ?\{'),
    (r"/v1/chat/completions ", r'"content": ?"[^"]*Adam'),
    (r"import openai", r"Adam"),
    (r"/v1/models ", r'"id": ?"Adam"'),
    (r"/v1/channels ", r'"channelType": ?"telegram"'),
    (r"personad chat ", r"Adam"),
    (r"personad feed ", r"Adam: 4 conversations read, 4 new to her"),
    (r"personad channel add ", r"Adam: telegram \S+ added"),
    (r"personad channel list ", r"telegram"),
    (r"personad channel remove ", r"removed"),
    (r"personad pair ", r"ann"),
    (r"personad restore ", r"Adam"),
    (r"--diff person", r"\+- likes walks"),
    (r"--undo person", r"person is as it was in version"),
    (r"personad instruction list", r"When I say good night"),
    (r"personad organ Adam$", r"smollm2"),
    (r"personad --version$", r"^personad \d+\.\d+"),
)
"""What a command prints, as the pages say or as a reader expects."""
