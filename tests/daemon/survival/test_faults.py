"""A mistake in the daemon's own code is logged and visible, and no conversation stays unanswered because of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.conversations.hubs import SERVICE_RESTART
from proto import exits
from tests.daemon.survival.conftest import create
from tests.daemon_process import ROOT, DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import events, lines, logged, status, worker
from tests.saboteur import at_start

Launch = Callable[..., DaemonProcess]

IN_THE_DAEMON = """
import sys
if "serve" in getattr(sys, "orig_argv", []):
    sys.path.insert(0, {root!r})
    {code}
"""

ANSWERING = """
    from daemon.conversations import publisher
    publish = publisher.Publisher.publish
    def broken(self, persona_id, conversation, messages, *others, **more):
        if any("boom" in message.content for message in messages):
            raise ValueError("a mistake of ours")
        publish(self, persona_id, conversation, messages, *others, **more)
    publisher.Publisher.publish = broken
"""
"""Her answer is committed but not published, and the code after that does not run."""

COMMITTING = """
    from daemon.ledger import Ledger
    answer = Ledger.answer
    async def broken(self, persona_id, perceptions, conversation, messages, *others, **named):
        if any("boom" in message.content for message in messages):
            raise ValueError("a mistake of ours")
        return await answer(self, persona_id, perceptions, conversation, messages, *others, **named)
    Ledger.answer = broken
"""
"""Her answer cannot be committed, however often the mind gives it."""

FALLING = """
    from daemon.supervision import worker_start_and_exit
    exited = worker_start_and_exit.PersonaLifecycle.exited
    times = [0]
    async def broken(self, *, crashed):
        if crashed and not times[0]:
            times[0] = 1
            raise ValueError("a mistake of ours")
        await exited(self, crashed=crashed)
    worker_start_and_exit.PersonaLifecycle.exited = broken
"""
"""The work after a death of her process fails once."""

PRUNING = """
    from daemon.startup import serve
    import asyncio, os
    async def broken(*_):
        while not os.path.exists({flag!r}):
            await asyncio.sleep(0.05)
        raise ValueError("a mistake of ours")
    serve.prune = broken
"""
"""A task of the daemon itself fails as soon as the flag exists."""


WATCHING = """
    from daemon.personas import edit_watch
    import asyncio, os
    async def broken(self):
        while not os.path.exists({flag!r}):
            await asyncio.sleep(0.05)
        raise ValueError("a mistake of ours")
        yield
    edit_watch.EditWatch._changes = broken
"""
"""The watch on edits by hand fails in a way that is not the kernel's."""

WARMING = """
    from daemon.supervision import spawner
    import asyncio, os
    replace = spawner.Spawner._replace
    async def broken(self):
        if os.path.exists({flag!r}):
            raise ValueError("a mistake of ours")
        warm = await replace(self)
        async def kill(zygote):
            while not os.path.exists({flag!r}):
                await asyncio.sleep(0.05)
            zygote.process.kill()
        self._tasks.start(kill(self._zygote))
        return warm
    spawner.Spawner._replace = broken
"""
"""The zygote dies, and replacing it fails in the spawner's own code."""

READING = """
    from daemon.ledger import threads
    import os
    execute = threads.Reader.execute
    def broken(self, batch):
        if os.path.exists({flag!r}):
            raise ValueError("a mistake of ours")
        return execute(self, batch)
    threads.Reader.execute = broken
"""
"""The thread that reads the ledger ends with an exception."""

STUBBORN = """
    from daemon.startup import serve
    from daemon.runtime import tasks
    import asyncio
    tasks.END_TIMEOUT = serve.END_TIMEOUT = 0.5
    async def broken(*_):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
    serve.prune = broken
"""
"""A task of the daemon ignores its cancellation."""


def broken(launch: Launch, folder: Path, code: str, **settings: str) -> DaemonProcess:
    """A daemon with this mistake in it."""
    code = IN_THE_DAEMON.format(root=str(ROOT), code=code.strip())
    return launch(PYTHONPATH=at_start(folder / "site", code), **settings)


def traces(daemon: DaemonProcess, event: str, count: int = 1) -> list[str]:
    """The traces of these events, which there are at least ``count`` of."""
    return [str(one["trace"]) for one in logged(daemon, event, count=count)]


def test_an_answer_that_cannot_be_committed(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """The message that leads to the mistake is set aside like one that kills her; everything else is answered."""
    daemon = broken(launch, tmp_path, COMMITTING)
    persona_id = create(daemon, brain)
    with Listener(daemon, persona_id) as listener:
        assert daemon.read(persona_id, "boom").status_code == 200
        wait_for(lambda: status(daemon, persona_id)["poison"] == 1, "the words to be set aside")
    wait_for(lambda: status(daemon, persona_id)["state"] == "running", "her next process")
    with Listener(daemon, persona_id) as listener:
        assert daemon.read(persona_id, "pear").status_code == 200
        listener.hears("pear")
    view = status(daemon, persona_id)
    assert (view["inbox"], view["poison"]) == (0, 1)
    assert view["restarts"] >= 3
    told = traces(daemon, "persona.fault", 3)
    assert all("a mistake of ours" in trace for trace in told)
    assert len(told) == 3


def test_an_answer_that_cannot_be_shown(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """The answer is committed, so listeners get it after a reconnect; the mind is not asked twice, and she goes on."""
    daemon = broken(launch, tmp_path, ANSWERING)
    persona_id = create(daemon, brain)
    with Listener(daemon, persona_id) as listener:
        assert daemon.read(persona_id, "boom").status_code == 200
        wait_for(lambda: listener.closed == SERVICE_RESTART, "the socket to be closed")
        last = listener.last_seq
    wait_for(lambda: status(daemon, persona_id)["generation"] == 2, "her next process")
    wait_for(lambda: status(daemon, persona_id)["state"] == "running", "her next process")
    with Listener(daemon, persona_id, after=last) as listener:
        assert daemon.read(persona_id, "pear").status_code == 200
        listener.hears("boom", "pear")
    assert brain.times("boom") == 1
    assert lines(daemon, persona_id) == [(who, word) for word in ("boom", "pear") for who in ("person", "assistant")]


def test_a_death_that_cannot_be_dealt_with(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """Status never shows running without a process, and the next process answers the message in hand."""
    daemon = broken(launch, tmp_path, FALLING)
    persona_id = create(daemon, brain)
    brain.hold("apple")
    with daemon.socket(f"/ws/{persona_id}"):
        daemon.read(persona_id, "apple")
        wait_for(lambda: brain.times("apple") == 1, "the question")
        worker(daemon, persona_id).send_signal(signal.SIGKILL)

        def is_back() -> bool:
            view = status(daemon, persona_id)
            assert (view["state"] == "running") <= (view["pid"] is not None)
            return (view["generation"], view["state"]) == (2, "running")

        wait_for(is_back, "her next process")
    with Listener(daemon, persona_id, after=0) as listener:
        wait_for(lambda: brain.times("apple") == 2, "the question again")
        brain.let_go("apple")
        listener.hears("apple")
    assert daemon.http.get("/readyz").status_code == 200
    assert len(traces(daemon, "persona.fault")) == 1


def test_a_task_that_ignores_its_cancellation(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """The daemon is asked to stop, and ends all the same; the log names the task."""
    daemon = broken(launch, tmp_path, STUBBORN)
    create(daemon, brain)
    assert daemon.stop() == exits.FAULT
    assert [one["task"] for one in events(daemon, "task.stuck")] == ["broken"]
    assert len(events(daemon, "daemon.stopped")) == 1


@pytest.mark.parametrize(
    ("fault", "held"),
    [(PRUNING, False), (PRUNING, True), (WATCHING, True), (WARMING, True), (READING, True)],
    ids=["prune", "prune-held", "watch", "zygote", "thread"],
)
def test_a_task_of_the_daemon_fails(
    launch: Launch, brain: ScriptedMind, tmp_path: Path, fault: str, held: bool
) -> None:
    """The daemon stops in order with 70, so that systemd restarts it; then what was accepted is answered.

    A thread of the daemon is like a task.
    """
    flag = tmp_path / "flag"
    daemon = broken(launch, tmp_path, fault.format(flag=str(flag)))
    persona_id = create(daemon, brain)
    if held:
        brain.hold("apple")
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "apple")
        if held:
            wait_for(lambda: brain.times("apple") == 1, "the question")
        else:
            listener.hears("apple")
        flag.touch()
        if fault == READING:
            daemon.http.get("/api/status")
        assert daemon.wait() == exits.FAULT
    assert "a mistake of ours" in traces(daemon, "daemon.crashed")[0]
    del daemon.settings["PYTHONPATH"]
    brain.let_go("apple")
    daemon.start().ready()
    wait_for(lambda: len(lines(daemon, persona_id)) == 2, "the answer")
