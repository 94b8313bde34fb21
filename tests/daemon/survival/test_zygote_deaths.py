"""Without a zygote, or with one that dies, hangs or cannot warm, personas start and behave the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.observed import all_gone, events, family, logged, no_stray_was_killed, spawner_mode, worker, zygote
from tests.saboteur import at_start

Launch = Callable[..., DaemonProcess]

NO_ZYGOTE = """\
import sys
if "worker.process.zygote" in sys.orig_argv:
    raise SystemExit("no zygote today")
"""

IN_A_FORK = """\
import os, pathlib, signal, sys
if "worker.process.zygote" in sys.orig_argv:
    open_ = os.pidfd_open
    def pidfd_open(pid, flags=0):
        if pathlib.Path({marker!r}).exists():
            os.unlink({marker!r})
            os.kill({victim}, signal.SIGKILL)
        return open_(pid, flags)
    os.pidfd_open = pidfd_open
"""
"""While the marker exists, the process between zygote and worker kills somebody before it announces the worker."""


def talk(daemon: DaemonProcess, persona_id: str, word: str) -> None:
    """Send a message and wait for her answer."""
    with Listener(daemon, persona_id) as listener:
        assert daemon.read(persona_id, word).status_code == 200
        listener.hears(word)


@pytest.mark.slow
def test_the_running_live_on(launch: Launch, brain: ScriptedMind) -> None:
    """After SIGKILL of the zygote running personas keep their processes, starts work, and a new zygote warms."""
    daemon = launch()
    one, other = create(daemon, brain, "One"), create(daemon, brain, "Other")
    for round_ in range(3):
        before, dead = worker(daemon, one), zygote(daemon)
        dead.send_signal(signal.SIGKILL)
        answer = daemon.http.post(f"/api/persona/{other}/restart")
        assert (answer.status_code, answer.json()) == (200, {"status": "restarted"})
        talk(daemon, one, f"apple{round_}.")
        talk(daemon, other, f"pear{round_}.")
        assert worker(daemon, one).pid == before.pid
        all_gone([dead])
        wait_for(lambda n=round_: len(events(daemon, "zygote.warm")) == n + 2, "a new zygote")  # type: ignore[misc]
    no_stray_was_killed(daemon)


def test_a_zygote_that_hangs_is_replaced(launch: Launch, brain: ScriptedMind) -> None:
    """A stopped zygote takes no requests: it is killed, and the process is started by exec."""
    daemon = launch()
    persona_id = create(daemon, brain)
    hung = zygote(daemon)
    hung.send_signal(signal.SIGSTOP)
    answer = daemon.http.post(f"/api/persona/{persona_id}/restart")
    assert (answer.status_code, answer.json()) == (200, {"status": "restarted"})
    all_gone([hung])
    talk(daemon, persona_id, "apple")
    wait_for(lambda: spawner_mode(daemon) == "zygote", "a new zygote")
    no_stray_was_killed(daemon)


@pytest.mark.parametrize("victim", ["os.getpid()", "os.getppid()"])
def test_a_death_in_the_middle_of_a_fork(launch: Launch, brain: ScriptedMind, tmp_path: Path, victim: str) -> None:
    """Whether the process between or the zygote dies, she starts at once, and nothing that runs is left behind."""
    marker = tmp_path / "now"
    daemon = launch(PYTHONPATH=at_start(tmp_path / "site", IN_A_FORK.format(marker=str(marker), victim=victim)))
    one, other = create(daemon, brain, "One"), create(daemon, brain, "Other")
    zygote(daemon)
    marker.touch()
    worker(daemon, one).send_signal(signal.SIGKILL)
    wait_for(lambda: not marker.exists(), "the fork")
    talk(daemon, one, "apple")
    wait_for(lambda: spawner_mode(daemon) == "zygote", "a zygote")
    known = {worker(daemon, one).pid, worker(daemon, other).pid, zygote(daemon).pid}
    worker(daemon, other).send_signal(signal.SIGKILL)
    talk(daemon, other, "pear")
    known.add(worker(daemon, other).pid)
    wait_for(lambda: {process.pid for process in family(daemon)} <= known, "an end of all others")
    # The worker that nobody announced ends by itself; a slow machine sees it still doing so, and ends it.
    ended = {pid for event in events(daemon, "spawner.strays_ended") for pid in event["pids"].split(", ")}
    assert not ended & {str(pid) for pid in known}


def test_births_by_exec_behave_the_same(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """If no zygote can warm, the log says so; a worker still has its group and its log, and ends as usual."""
    daemon = launch(PYTHONPATH=at_start(tmp_path / "site", NO_ZYGOTE))
    persona_id = create(daemon, brain)
    assert spawner_mode(daemon) == "exec"
    assert logged(daemon, "zygote.failed")
    talk(daemon, persona_id, "apple")
    first = worker(daemon, persona_id)
    assert (os.getpgid(first.pid), os.getsid(first.pid)) == (first.pid, first.pid)
    assert first.ppid() == daemon.pid
    assert not {"PERSONAD_STATE_DIR", "PERSONAD_HTTP_PORT"} & first.environ().keys()
    first.send_signal(signal.SIGUSR2)
    wait_for(lambda: "Current thread" in daemon.log.read_text(), "its stacks in the log")
    brain.hold("pear")
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "pear")
        wait_for(lambda: brain.times("pear") == 1, "the question")
        first.send_signal(signal.SIGKILL)
        wait_for(lambda: brain.times("pear") == 2, "the question again")
        brain.let_go("pear")
        listener.hears("pear")
        assert listener.words == ["pear"]
    everyone = family(daemon)
    worker(daemon, persona_id).send_signal(signal.SIGSTOP)
    daemon.kill()
    all_gone(everyone)


def test_descriptors_run_out(launch: Launch, brain: ScriptedMind) -> None:
    """A daemon without descriptors can start no process: she waits, the log says why, and she returns by herself."""

    daemon = launch()
    persona_id = create(daemon, brain)
    victim = worker(daemon, persona_id)
    front = psutil.Process(daemon.pid)
    most = front.rlimit(psutil.RLIMIT_NOFILE)
    front.rlimit(psutil.RLIMIT_NOFILE, (5, most[1]))
    victim.send_signal(signal.SIGKILL)
    wait_for(lambda: events(daemon, "worker.failed", persona_id), "the reason in the log")
    # Long enough for all that looks around after a death: none of it may end the daemon.
    wait_for(lambda: events(daemon, "spawner.strays_unknown"), "the search for strays to fail")
    front.rlimit(psutil.RLIMIT_NOFILE, most)
    wait_for(lambda: worker(daemon, persona_id).pid != victim.pid, "her next process")
    talk(daemon, persona_id, "apple")
