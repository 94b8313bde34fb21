"""What can be seen of a daemon from outside: its processes, its log, its status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil

from tests.daemon_process import DaemonProcess, wait_for
from tests.patience import PATIENCE

# Any in this module: JSON of the log and the status.


def family(daemon: DaemonProcess) -> list[psutil.Process]:
    """Every process below the daemon."""
    return psutil.Process(daemon.pid).children(recursive=True)


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; a zombie that nobody has reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_gone(processes: list[psutil.Process], timeout: float = PATIENCE) -> None:
    """Wait until none of these lives."""

    def none_lives() -> bool:
        return not any(lives(process) for process in processes)

    wait_for(none_lives, f"the end of {processes}", timeout)


def events(daemon: DaemonProcess, name: str = "", persona_id: str = "") -> list[dict[str, Any]]:
    """The events of this name in the log, of one persona or of all, oldest first."""
    found = []
    for line in daemon.log.read_text(errors="replace").splitlines():
        if line.startswith("{"):
            event = json.loads(line)
            if name in ("", event["event"]) and persona_id in ("", event.get("persona")):
                found.append(event)
    return found


def logged(daemon: DaemonProcess, name: str, persona_id: str = "", count: int = 1) -> list[dict[str, Any]]:
    """Wait until the log has this event at least ``count`` times; a thread of the daemon writes it a little later."""

    wait_for(lambda: len(events(daemon, name, persona_id)) >= count, f"{count} of {name} in {daemon.log}")
    return events(daemon, name, persona_id)


def status(daemon: DaemonProcess, persona_id: str) -> dict[str, Any]:
    """Her part of ``/api/status``."""
    personas = daemon.http.get("/api/status").json()["personas"]
    one: dict[str, Any] = next(persona for persona in personas if persona["id"] == persona_id)
    return one


def spawner_mode(daemon: DaemonProcess) -> str:
    """How processes are made just now."""
    mode: str = daemon.http.get("/api/status").json()["spawner"]
    return mode


def worker(daemon: DaemonProcess, persona_id: str) -> psutil.Process:
    """Her process, as soon as she runs."""

    def running() -> psutil.Process | None:
        view = status(daemon, persona_id)
        try:
            return psutil.Process(view["pid"]) if view["state"] == "running" and view["pid"] else None
        except psutil.NoSuchProcess:
            return None

    process: psutil.Process | None = wait_for(running, f"{persona_id} to run; log: {daemon.log}")
    assert process
    return process


def zygote(daemon: DaemonProcess) -> psutil.Process:
    """The warm zygote."""
    wait_for(lambda: spawner_mode(daemon) == "zygote", "a warm zygote")
    return psutil.Process(events(daemon, "zygote.warm")[-1]["pid"])


def lines(daemon: DaemonProcess, persona_id: str) -> list[tuple[str, str]]:
    """Her conversation: (role, content)."""
    return [(message["role"], message["content"]) for message in daemon.conversation(persona_id)]


def config(daemon: DaemonProcess, persona_id: str) -> dict[str, Any]:
    """Her record as it is on disk."""
    record: dict[str, Any] = json.loads(config_file(daemon, persona_id).read_text())
    return record


def config_file(daemon: DaemonProcess, persona_id: str) -> Path:
    """Where her record is."""
    return daemon.state_dir / "personas" / persona_id / "config.json"


def no_stray_was_killed(daemon: DaemonProcess) -> None:
    """The daemon took none of its own processes for a stray."""
    assert not events(daemon, "spawner.strays_ended")
