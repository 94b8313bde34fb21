"""Records that people edit by hand: what they say is what happens, and the daemon writes nothing of its own there."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.daemon.cli.command_line import personad
from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import config, config_file, events, status, worker

Launch = Callable[..., DaemonProcess]


def write(daemon: DaemonProcess, persona_id: str, record: dict[str, Any]) -> str:
    """Save her record as an editor does; return its text."""
    text = json.dumps(record, indent=4)
    file = config_file(daemon, persona_id)
    draft = file.with_name("draft")
    draft.write_text(text)
    draft.rename(file)
    return text


def is_in(daemon: DaemonProcess, persona_id: str, state: str) -> None:
    """Wait for her state."""
    wait_for(lambda: status(daemon, persona_id)["state"] == state, state)


@pytest.mark.parametrize("rest", ["hibernate", "sick"])
def test_the_status_by_hand_is_obeyed(daemon: DaemonProcess, brain: ScriptedMind, rest: str) -> None:
    """A status other than active stops her, active starts her, and the file stays as it was written."""
    persona_id = create(daemon, brain)
    for wanted, state in ((rest, "stopped"), ("active", "running"), (rest, "stopped"), ("active", "running")):
        text = write(daemon, persona_id, {**config(daemon, persona_id), "status": wanted})
        is_in(daemon, persona_id, state)
        assert status(daemon, persona_id)["status"] == wanted
        assert config_file(daemon, persona_id).read_text() == text
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        listener.hears("apple")


def test_what_was_wanted_last_survives_a_restart(launch: Launch, brain: ScriptedMind) -> None:
    """A stop by command, and a start after a hibernate by hand, hold when the daemon restarts; edits start nobody."""
    daemon = launch()
    stopped, started = create(daemon, brain), create(daemon, brain, "Eve")
    assert daemon.http.post(f"/api/persona/{stopped}/stop").json() == {"status": "stopped"}
    write(daemon, started, {**config(daemon, started), "status": "hibernate"})
    is_in(daemon, started, "stopped")
    assert daemon.http.post(f"/api/persona/{started}/start").json() == {"status": "started"}
    for how in (daemon.stop, daemon.kill):
        how()
        daemon.start().ready()
        assert status(daemon, started)["state"] == "running"
        assert status(daemon, stopped)["state"] == "stopped"
    write(daemon, stopped, {**config(daemon, stopped), "name": "Renamed"})
    wait_for(lambda: status(daemon, stopped)["name"] == "Renamed", "the edit")
    assert status(daemon, stopped)["generation"] == 0
    write(daemon, stopped, {**config(daemon, stopped), "status": "active"})
    is_in(daemon, stopped, "running")


def test_a_command_writes_no_record_that_somebody_is_at_work_on(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """A file with a fault stays as it is: she is stopped and the answer says for how long; mended, it is obeyed."""
    persona_id = create(daemon, brain)
    text = write(daemon, persona_id, {**config(daemon, persona_id), "birthday": 5})
    wait_for(lambda: status(daemon, persona_id)["fault"], "the fault")
    answer = daemon.http.post(f"/api/persona/{persona_id}/stop")
    assert answer.status_code == 400
    assert "until the daemon starts again" in answer.json()["detail"]
    assert f"{persona_id}/config.json" in answer.json()["detail"]
    assert status(daemon, persona_id)["state"] == "stopped"
    assert daemon.http.post(f"/api/persona/{persona_id}/start").json() == {"status": "started"}
    assert config_file(daemon, persona_id).read_text() == text
    write(daemon, persona_id, {**json.loads(text), "birthday": "2026-04-17", "status": "hibernate"})
    is_in(daemon, persona_id, "stopped")


@pytest.mark.parametrize("slot", ["thinking", "ear"])
def test_a_provider_that_does_not_exist_takes_nobody_down(
    daemon: DaemonProcess, brain: ScriptedMind, slot: str
) -> None:
    """A typo there is a fault of the file: she runs on with her last good record, and the fault names the place."""
    persona_id = create(daemon, brain)
    process, record = worker(daemon, persona_id), config(daemon, persona_id)
    text = write(daemon, persona_id, {**record, slot: {**record["thinking"], "provider": "opnai"}})
    fault = wait_for(lambda: status(daemon, persona_id)["fault"], "the fault")
    assert f"$.{slot}.provider" in fault
    assert "openai" in fault
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        listener.hears("apple")
    assert worker(daemon, persona_id).pid == process.pid
    assert config_file(daemon, persona_id).read_text() == text
    write(daemon, persona_id, record)
    wait_for(lambda: not status(daemon, persona_id)["fault"], "the end of the fault")
    assert status(daemon, persona_id)["state"] == "running"


def test_who_failed_too_often_runs_again_when_her_record_is_mended(launch: Launch, brain: ScriptedMind) -> None:
    """She is shown as sick while her file says active; an edit tries her again."""
    daemon = launch(supervisor_failures="1")
    persona_id = create(daemon, brain)
    text = config_file(daemon, persona_id).read_text()
    worker(daemon, persona_id).send_signal(signal.SIGKILL)
    is_in(daemon, persona_id, "failed")
    wait_for(lambda: events(daemon, "persona.sick"), "the event")
    assert (status(daemon, persona_id)["status"], config(daemon, persona_id)["status"]) == ("sick", "active")
    assert config_file(daemon, persona_id).read_text() == text
    write(daemon, persona_id, {**config(daemon, persona_id), "idle_timeout": 1800})
    is_in(daemon, persona_id, "running")
    assert status(daemon, persona_id)["status"] == "active"


def test_a_record_that_is_broken_at_the_start(launch: Launch, brain: ScriptedMind) -> None:
    """It shows in status, in the list and in readiness; when it is mended, she runs without a command."""
    daemon = launch()
    persona_id = create(daemon, brain)
    record = config(daemon, persona_id)
    assert daemon.stop() == 0
    config_file(daemon, persona_id).write_text('{"id":')
    daemon.start()
    [broken] = daemon.http.get("/api/status").json()["broken"]
    assert broken["id"] == persona_id
    ready = daemon.http.get("/readyz")
    assert (ready.status_code, persona_id in ready.json()["checks"]["personas"]["reason"]) == (503, True)
    for verb in ("list", "status"):
        assert broken["fault"] in personad(daemon, verb).stdout
    write(daemon, persona_id, record)
    wait_for(lambda: daemon.http.get("/api/status").json()["personas"], "her")
    is_in(daemon, persona_id, "running")
    daemon.ready()
    assert daemon.http.get("/api/status").json()["broken"] == []
