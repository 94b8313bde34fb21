"""A worker that somebody has taken over, in a running daemon: it reaches neither the daemon nor another persona."""

from __future__ import annotations

import json
import signal
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from proto.records import EMBEDDED, EMBEDDED_MIND, Organ, Persona, to_json
from tests.daemon_process import DaemonProcess, wait_for
from tests.hostile import Prey
from tests.listener import Listener
from tests.observed import worker
from tests.saboteur import at_start
from worker.walls.calls import processor
from worker.walls.filter import available
from worker.walls.landlock import PORTS_SINCE, version

Launch = Callable[..., DaemonProcess]

TAKEN_OVER = """\
import json, pathlib, signal
import msgspec
from tests.hostile import Prey, strike, work

def act(*_):
    prey = msgspec.json.decode(pathlib.Path({prey!r}).read_bytes(), type=Prey)
    pathlib.Path({told!r}).write_text(json.dumps({{"worked": work(prey), "struck": strike(prey)}}))

signal.signal(signal.SIGUSR1, act)
"""


def write_persona(state: Path, persona: Persona) -> Path:
    """Put her on the disk before the daemon starts, and return her folder."""
    folder = state / "personas" / persona.id
    (folder / "media").mkdir(mode=0o700, parents=True)
    (folder / "config.json").write_bytes(to_json(persona))
    return folder


@pytest.mark.skipif(not version() or not available(processor()), reason="this kernel has not all of the walls")
def test_a_worker_that_was_taken_over_reaches_nobody(tmp_path: Path, launch: Launch) -> None:
    """No key, no token, no ledger, no memory; no signal to the daemon, no trace, not its API; and she still answers."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    taken, other = (Persona(str(uuid.uuid4()), name, Organ(EMBEDDED_MIND, EMBEDDED)) for name in ("Taken", "Other"))
    own, others = write_persona(state, taken) / "media", write_persona(state, other)
    token = tmp_path / "token"
    token.write_text("a" * 43)
    token.chmod(0o600)
    code = TAKEN_OVER.format(prey=str(own / "prey"), told=str(own / "told"))
    with socket.create_server(("127.0.0.1", 0)) as provider, socket.socket(socket.AF_UNIX) as service:
        service.bind(str(tmp_path / "bus"))
        service.listen()
        daemon = launch(
            state,
            start=False,
            PYTHONPATH=at_start(tmp_path / "code", code),
            http_token_file=str(token),
            providers_local_url=f"http://127.0.0.1:{provider.getsockname()[1]}",
        )
        daemon.token = "a" * 43
        daemon.start().ready()
        (others / "memory").mkdir(mode=0o700, exist_ok=True)
        (others / "memory/person.md").write_text("- Name: Ada")
        prey = Prey(
            key=str(others / "config.json"),
            token=str(token),
            ledger=str(state / "ledger.db"),
            memory=str(others / "memory/person.md"),
            state=str(state),
            pid=daemon.pid,
            port=daemon.port,
            service=str(tmp_path / "bus"),
            own=str(own),
            allowed_port=provider.getsockname()[1],
        )
        (own / "prey").write_bytes(msgspec.json.encode(prey))
        worker(daemon, taken.id).send_signal(signal.SIGUSR1)
        wait_for((own / "told").exists, "the strike")
        told = wait_for(lambda: json.loads((own / "told").read_text() or "null"), "the end of it")
    refused = {"EPERM", "EACCES", "ENOSYS", "EXDEV"}
    reached = {name for name, came in told["struck"].items() if came not in refused}
    assert reached == (set() if version() >= PORTS_SINCE else {"connect elsewhere"}), told["struck"]
    assert set(told["worked"].values()) == {"done"}, told["worked"]
    assert (others / "memory/person.md").read_text() == "- Name: Ada"
    with Listener(daemon, taken.id) as listener:
        assert daemon.read(taken.id, "What is your name?").status_code == 200
        listener.hears("Taken")
