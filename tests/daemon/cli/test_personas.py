"""The commands that create, list, start, stop and delete personas, and the status."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.daemon.cli.command_line import ROOT, personad
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from tests.listener import Listener
from tests.patience import PATIENCE

KEY = "sk-proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z"


def test_a_persona_is_created_listed_and_deleted(
    shared_daemon: DaemonProcess, mind: OpenAIEmulator, tmp_path: Path
) -> None:
    """create, list and delete by name; the key comes from a file and is never printed."""
    (tmp_path / "key").write_text(KEY + "\n")
    mine = ["--provider", "openai", "--model", "echo", "--url", mind.url, "--api-key-file", str(tmp_path / "key")]
    made = personad(shared_daemon, "create", "Dora", *mine, "--json")

    assert made.returncode == 0, made.stderr
    assert KEY not in made.stdout + made.stderr
    persona_id = json.loads(made.stdout)["id"]
    assert mind.journal[-1].headers["authorization"] == f"Bearer {KEY}"
    listed = personad(shared_daemon, "list")
    assert re.search(rf"^Dora +running +active +{persona_id}$", listed.stdout, re.MULTILINE)
    [view] = [
        one for one in json.loads(personad(shared_daemon, "list", "--json").stdout)["personas"] if one["name"] == "Dora"
    ]
    assert view["id"] == persona_id
    deleted = personad(shared_daemon, "delete", "Dora", "--yes")
    assert (deleted.returncode, deleted.stdout) == (0, "Dora: deleted\n")
    assert persona_id not in personad(shared_daemon, "list").stdout


def test_the_key_can_come_from_a_variable(shared_daemon: DaemonProcess, mind: OpenAIEmulator) -> None:
    """--api-key-env names the variable; an unset one is wrong usage."""
    mine = ["--provider", "openai", "--model", "echo", "--url", mind.url, "--api-key-env", "MY_KEY"]
    missing = personad(shared_daemon, "create", "Dora", *mine)
    made = personad(shared_daemon, "create", "Dora", *mine, MY_KEY=KEY)

    assert missing.returncode == 2
    assert "MY_KEY" in missing.stderr
    assert made.returncode == 0, made.stderr
    assert mind.journal[-1].headers["authorization"] == f"Bearer {KEY}"
    personad(shared_daemon, "delete", "Dora", "--yes")


def test_a_persona_is_stopped_started_and_restarted(shared_daemon: DaemonProcess, eve: str) -> None:
    """Each verb prints her new status; she is named in any case or by id."""
    assert personad(shared_daemon, "stop", "Eve").stdout == "Eve: stopped\n"
    refused = personad(shared_daemon, "stop", "eve")
    assert (refused.returncode, refused.stderr) == (1, "personad: Persona is not running.\n")
    assert personad(shared_daemon, "start", eve).stdout == "Eve: started\n"
    assert personad(shared_daemon, "start", "Eve").stdout == "Eve: already running\n"
    restarted = personad(shared_daemon, "restart", "eve", "--json")
    assert json.loads(restarted.stdout) == {"id": eve, "name": "Eve", "status": "restarted"}


def test_a_name_that_two_have_is_answered_with_their_ids(
    shared_daemon: DaemonProcess, eve: str, mind: OpenAIEmulator
) -> None:
    """An ambiguous name changes nothing and the error lists the ids; an id always works."""
    organs = {
        "thinking_model": "echo",
        "thinking_provider": "openai",
        "thinking_api_key": "k",
        "thinking_url": mind.url,
    }
    other = shared_daemon.create("Eve", **organs)
    refused = personad(shared_daemon, "stop", "Eve")

    assert refused.returncode == 1
    assert eve in refused.stderr
    assert other in refused.stderr
    assert personad(shared_daemon, "delete", other, "--yes").returncode == 0
    assert personad(shared_daemon, "stop", "Eve").returncode == 0


def test_an_unknown_name_is_refused(shared_daemon: DaemonProcess) -> None:
    """The error says how to list the personas."""
    for verb in ("start", "stop", "restart", "chat", "logs"):
        refused = personad(shared_daemon, verb, "Nobody")
        assert refused.returncode == 1
        assert refused.stderr == "personad: there is no persona 'Nobody'; `personad list` shows them\n"


def test_delete_asks_and_takes_only_yes(shared_daemon: DaemonProcess, eve: str) -> None:
    """Without a terminal it requires --yes; on one it asks for the word."""
    refused = personad(shared_daemon, "delete", "Eve", stdin="yes\n")

    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert eve in personad(shared_daemon, "list").stdout


def test_status_shows_the_daemon_and_each_persona(shared_daemon: DaemonProcess, eve: str) -> None:
    """One line for the daemon, one per persona; --json prints the daemon's answer."""
    status = personad(shared_daemon, "status")

    assert status.returncode == 0
    assert re.match(
        rf"personad \S+ at {shared_daemon.url}: up .+, pid {shared_daemon.pid}, \d+\.\d MiB\n", status.stdout
    )
    assert re.search(r"^Eve +running +active +ok +0 +0 +\d+ +\d+\.\d MiB$", status.stdout, re.MULTILINE)
    whole = json.loads(personad(shared_daemon, "status", "--json").stdout)
    assert whole["pid"] == shared_daemon.pid
    assert [one["name"] for one in whole["personas"]] == ["Eve"]


def test_status_imports_nothing_heavy(shared_daemon: DaemonProcess) -> None:
    """A verb starts fast because it does not import the daemon's libraries."""
    heavy = {"starlette", "uvicorn", "uvloop", "zmq", "websockets", "watchfiles", "asyncio", "anyio"}
    program = f"import sys; from daemon.cli.main import main; main(['status']); print({heavy} & sys.modules.keys())"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=shared_daemon.environ(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    assert ended.stdout.splitlines()[-1] == "set()"


def test_what_is_set_aside_is_shown_and_retried(shared_daemon: DaemonProcess, eve: str, mind: OpenAIEmulator) -> None:
    """`status` shows which message and why, `retry` takes it up again, and says so when there is nothing."""
    refused = Step(status=400, code="content_filter", message="The response was filtered")
    assert personad(shared_daemon, "retry", "Eve").stdout == "Eve: nothing is set aside\n"
    with Listener(shared_daemon, eve) as listener:
        mind.script(refused)
        shared_daemon.read(eve, "a delicate question")
        listener.hears("I cannot answer")
        [line] = [
            line for line in personad(shared_daemon, "status").stdout.splitlines() if "delicate question'" in line
        ]
        assert "filtered" in line
        number = line.split()[1].rstrip(":")
        assert personad(shared_daemon, "retry", "Eve", number).stdout == "Eve: 1 message waiting again\n"
        wait_for(lambda: "a delicate question" in listener.words, "the answer")
        again = personad(shared_daemon, "retry", "Eve", number, "--drop")
        assert (again.returncode, "set aside" in again.stderr) == (1, True)
    assert personad(shared_daemon, "retry", "Eve", "0").returncode == 2


def test_usage_and_budgets_are_shown_and_changed(shared_daemon: DaemonProcess, eve: str) -> None:
    """What she used by model and purpose; a limit that cannot be taken is refused with what one is."""
    used = personad(shared_daemon, "usage", "Eve")
    as_json = json.loads(personad(shared_daemon, "usage", "Eve", "--json").stdout)
    set_ = personad(shared_daemon, "budget", "Eve", "--day", "0 tokens", "--visitors-month", "7 tokens")
    bad = personad(shared_daemon, "budget", "Eve", "--day", "much")
    reversed_ = personad(shared_daemon, "usage", "Eve", "--from", "2026-02-01", "--to", "2026-01-01")
    everybody = personad(shared_daemon, "usage")
    personad(shared_daemon, "budget", "Eve", "--day", "", "--visitors-month", "")

    assert re.search(r"^\d{4}-\d\d-\d\d +openai/echo +test +\d+ ", used.stdout, re.MULTILINE), used.stdout
    assert {row["purpose"] for row in as_json[eve]["rows"]} >= {"test"}
    assert re.search(r"^a day +0 tokens +hers$", set_.stdout, re.MULTILINE)
    assert re.search(r"^a month, visitors +7 tokens +hers$", set_.stdout, re.MULTILINE)
    assert re.search(r"^a month +unlimited +settings$", set_.stdout, re.MULTILINE)
    assert (bad.returncode, '"200000 tokens"' in bad.stderr) == (1, True)
    assert (reversed_.returncode, "exchange them" in reversed_.stderr) == (1, True)
    assert "Eve, " in everybody.stdout
