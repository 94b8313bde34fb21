"""The organ host dies during calls: the next one answers them, once."""

from __future__ import annotations

import signal
from collections.abc import Callable

import psutil
import pytest

from tests.daemon_process import DaemonProcess, wait_for
from tests.listener import Listener
from tests.observed import family, lines, lives, logged, no_stray_was_killed, status, worker

Launch = Callable[..., DaemonProcess]


def host(daemon: DaemonProcess) -> psutil.Process:
    """Wait for the organ host."""
    pid = wait_for(lambda: daemon.http.get("/api/status").json()["organ_host"]["pid"], "the organ host")
    return psutil.Process(pid)


@pytest.mark.slow
def test_killed_while_it_thinks(launch: Launch) -> None:
    """Two personas wait for the embedded model when it dies; each gets one answer and keeps her process."""
    daemon = launch()
    personas = [daemon.create(name) for name in ("Adam", "Eve")]
    workers = [worker(daemon, persona_id).pid for persona_id in personas]
    with Listener(daemon, personas[0]) as one, Listener(daemon, personas[1]) as other:
        for persona_id in personas:
            assert daemon.read(persona_id, "Tell me a long story about the sea.").status_code == 200
        first = host(daemon)
        first.send_signal(signal.SIGKILL)
        for persona_id in personas:
            wait_for(lambda p=persona_id: status(daemon, p)["inbox"] == 0, "an answer")  # type: ignore[misc]
        assert host(daemon).pid != first.pid
        for listener in (one, other):
            answers = [said for said in listener.words if "cannot reach my mind" not in said]
            assert len(answers) == 1
    assert [worker(daemon, persona_id).pid for persona_id in personas] == workers
    assert [role for role, _ in lines(daemon, personas[0])].count("person") == 1
    assert all(lives(process) for process in family(daemon))
    assert logged(daemon, "organ_host.died")
    no_stray_was_killed(daemon)


@pytest.mark.slow
def test_an_idle_host_leaves(launch: Launch) -> None:
    """After a while without calls it ends, and the next call starts another."""
    daemon = launch(organs_idle_timeout="0.3")
    persona_id = daemon.create("Adam")
    with Listener(daemon, persona_id) as listener:
        for count in (1, 2):
            daemon.read(persona_id, "Tell me something.")
            wait_for(lambda n=count: len(listener.words) == n, "an answer")  # type: ignore[misc]
            wait_for(
                lambda: daemon.http.get("/api/status").json()["organ_host"]["pid"] is None, "the end of the organ host"
            )


def test_what_the_library_lost(launch: Launch) -> None:
    """The host is killed and her index of documents deleted: she still quotes the document by its own title."""
    daemon = launch()
    reader = {"researcher_model": "library", "researcher_provider": "embedded"}
    persona_id = daemon.create("Adam", thinking_model="smollm2-135m-instruct", thinking_provider="embedded", **reader)
    with Listener(daemon, persona_id) as listener:
        sent = {"file": ("manual.txt", b"The boiler holds 40 litres.")}
        assert daemon.http.post(f"/api/persona/{persona_id}/attach", files=sent).status_code == 200
        listener.hears("I have read your document")
    daemon.kill()
    (daemon.state_dir / "personas" / persona_id / "library" / "library.db").unlink()
    daemon.start().ready()
    with Listener(daemon, persona_id) as listener:
        assert daemon.read(persona_id, "How many litres has the boiler?").status_code == 200
        listener.hears('manual.txt, line 1: "The boiler holds 40 litres."')
