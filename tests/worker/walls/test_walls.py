"""What a worker that was taken over can still reach, on this kernel and on older ones."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.walls import Walls
from tests.daemon_process import ROOT
from tests.hostile import Order, Prey, report
from worker.walls import grounds, landlock
from worker.walls.calls import FORBIDDEN, NONE, PROCESSORS, processor
from worker.walls.filter import Instruction, available, program
from worker.walls.raising import lacking

REFUSED = {"EPERM", "EACCES", "ENOSYS", "EXDEV"}
NEEDS_PORTS = {"connect elsewhere"}
HELD_BY_FILTERS = {
    "truncate the ledger",
    "open a key to others",
    "age a key",
    "mark a key",
    "lay a link for others",
    "signal",
    "signal everybody",
    "signal a group",
    "signal by pidfd",
    "signal a thread",
    "queue a signal",
    "signal by a descriptor",
    "limit",
    "slow down",
    "pin",
    "trace",
    "read memory",
    "take a descriptor",
    "fork",
    "run a program",
    "listen",
    "netlink",
    "another service",
    "io_uring",
    "bpf",
    "perf",
    "unshare",
    "keyring",
    "shared memory",
    "a call of tomorrow",
    "another processor's call",
}
"""What an old kernel without Landlock still refuses."""

needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
needs_filters = pytest.mark.skipif(not available(processor()), reason="this kernel filters no calls")


@pytest.fixture
def prey(tmp_path: Path) -> Iterator[Prey]:
    """The files of two personas, a process of the same user, and two services on this machine."""
    other, own = tmp_path / "state/personas/other", tmp_path / "state/personas/own/media"
    (other / "memory").mkdir(parents=True)
    own.mkdir(parents=True)
    for path in (other / "config.json", other / "memory/person.md", tmp_path / "token"):
        path.write_text("secret")
    (tmp_path / "state/ledger.db").write_bytes(b"x" * 8192)
    sleeper = subprocess.Popen(["sleep", "60"], start_new_session=True)
    api, provider = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    service = socket.socket(socket.AF_UNIX)
    os.chdir(tmp_path)
    service.bind("bus")
    service.listen()
    try:
        yield Prey(
            key=str(other / "config.json"),
            token=str(tmp_path / "token"),
            ledger=str(tmp_path / "state/ledger.db"),
            memory=str(other / "memory/person.md"),
            state=str(tmp_path / "state"),
            pid=sleeper.pid,
            port=api.getsockname()[1],
            service=str(tmp_path / "bus"),
            own=str(own),
            allowed_port=provider.getsockname()[1],
        )
    finally:
        for one in (api, provider, service):
            one.close()
        sleeper.kill()
        sleeper.wait()


def walls(prey: Prey) -> Walls:
    """The walls of the persona whose media folder is her own there."""
    return Walls(write=[prey.own], closed=[prey.state, prey.token], ports=[prey.allowed_port])


def done(struck: dict[str, str]) -> set[str]:
    """Which tries were not refused."""
    return {name for name, came in struck.items() if came not in REFUSED}


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    """Come back to where the test began."""
    before = Path.cwd()
    yield
    os.chdir(before)


@needs_landlock
@needs_filters
def test_a_worker_that_was_taken_over_reaches_nothing(prey: Prey) -> None:
    """Nobody's key, no token, no ledger, no other process, no port but hers; and she can still work."""
    told = report(Order(walls(prey), prey))
    late = NEEDS_PORTS if landlock.version() < landlock.PORTS_SINCE else set()
    assert done(told.struck) == late, told.struck
    assert set(told.worked.values()) == {"done"}, told.worked
    assert Path(prey.key).read_text() == "secret"
    assert Path(prey.ledger).stat().st_size == 8192


def test_without_walls_all_of_it_succeeds(prey: Prey) -> None:
    """The tries are real: a process without walls reads the keys, writes the ledger and signals others."""
    told = report(Order(walls(prey), prey, raised=False))
    assert {"read a key", "read the token", "write the ledger", "write a memory", "signal", "limit"} <= done(
        told.struck
    )
    assert {"fork", "run a program", "connect elsewhere", "another service", "truncate the ledger"} <= done(told.struck)


@needs_landlock
@needs_filters
@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6])
def test_an_older_kernel_loses_the_ports_only(prey: Prey, abi: int) -> None:
    """Debian 12's 6.1 has ABI 2, Debian 13's 6.12 has ABI 6: before 4 every port is open, all else stands."""
    if abi > landlock.version():
        pytest.skip("this kernel is older still")
    told = report(Order(walls(prey), prey, abi))
    assert done(told.struck) == (NEEDS_PORTS if abi < landlock.PORTS_SINCE else set()), told.struck
    assert set(told.worked.values()) == {"done"}, told.worked


@needs_filters
def test_without_landlock_the_filters_stand(prey: Prey) -> None:
    """A kernel without Landlock still lets nobody signal, trace, start programs or change rights of files."""
    told = report(Order(walls(prey), prey, 0))
    assert told.struck.keys() >= HELD_BY_FILTERS
    assert not HELD_BY_FILTERS & done(told.struck), told.struck
    assert set(told.worked.values()) == {"done"}, told.worked


@needs_landlock
@needs_filters
def test_the_organ_host_has_no_network(prey: Prey, tmp_path: Path) -> None:
    """It reads strangers' files: no socket but a pair, and of a persona's folder only what she was sent."""
    told = report(
        Order(
            Walls(personas=str(tmp_path / "state/personas"), closed=[prey.state], scratch=str(tmp_path / "scratch")),
            prey,
        )
    )
    assert done(told.struck) == set(), told.struck
    assert told.worked.pop("connect") in REFUSED
    told.worked.pop("hosts")
    assert set(told.worked.values()) == {"done"}, told.worked
    assert (tmp_path / "state/personas/other/library").is_dir()


@needs_landlock
def test_a_secret_inside_a_readable_folder_is_left_out(tmp_path: Path) -> None:
    """Of /etc everything is readable but the folder with the secret; files beside it and other folders are."""
    for path in ("etc/personad/twilio", "etc/personad/more/inner", "etc/ssl/cert", "etc/hosts"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    secrets = [str(tmp_path / "etc/personad/twilio")]
    found = [path.removeprefix(str(tmp_path)) for path in grounds.without(str(tmp_path / "etc"), secrets)]
    assert found == ["/etc/hosts", "/etc/personad/more", "/etc/ssl"]
    assert list(grounds.without(str(tmp_path / "etc"), [str(tmp_path / "state")])) == [str(tmp_path / "etc")]
    assert list(grounds.without(str(tmp_path / "etc"), [str(tmp_path)])) == []


REPLACED = """
import os, sys
from proto.walls import Walls
from worker.walls.grounds import is_shut
from worker.walls.raising import raise_walls
folder, named = sys.argv[1], sys.argv[1] + "/named"
raise_walls(Walls(read=[named], write=[folder + "/new"]))
print(is_shut(named), is_shut(folder + "/gone"))
sys.stdin.readline()
print(is_shut(named))
"""


@needs_landlock
def test_a_file_that_is_replaced_is_shut(tmp_path: Path) -> None:
    """A rule for a single file goes with the old one; the process can tell, and one that is gone is not shut."""
    (tmp_path / "named").write_text("a")
    process = subprocess.Popen(
        [sys.executable, "-c", REPLACED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    with process:
        assert process.stdin
        assert process.stdout
        before = process.stdout.readline()
        (tmp_path / "draft").write_text("b")
        (tmp_path / "draft").rename(tmp_path / "named")
        process.stdin.write("\n")
        process.stdin.flush()
        after = process.stdout.readline()
    assert (before, after) == ("False False\n", "True\n")


@pytest.mark.parametrize(
    ("abi", "filters", "words"),
    [
        (7, True, []),
        (6, True, []),
        (2, True, ["no Landlock for ports"]),
        (0, True, ["no Landlock:"]),
        (6, False, ["no seccomp filters"]),
        (2, False, ["no Landlock for ports", "signal the daemon"]),
    ],
)
def test_what_a_kernel_lacks_is_said(abi: int, filters: bool, words: list[str]) -> None:
    """Debian 13 lacks nothing; Debian 12 lacks ports; each sentence says what to do."""
    said = lacking(abi, filters=filters)
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))
    assert all(";" in sentence for sentence in said)


@pytest.mark.parametrize("machine", sorted(PROCESSORS))
def test_a_filter_decides_each_call_on_both_processors(machine: str) -> None:
    """The program for each processor, run by a machine of the test: what is forbidden is, and the rest is not."""
    chosen = PROCESSORS[machine]
    steps = program(chosen, (socket.AF_UNIX,), me=os.getpid())
    for name, numbers in FORBIDDEN.items():
        if numbers[chosen.column] != NONE:
            assert decide(steps, chosen.audit, numbers[chosen.column]) == 0x50001, name
    read, futex = ((0, 202), (63, 98))[chosen.column]
    assert decide(steps, chosen.audit, read) == decide(steps, chosen.audit, futex) == 0x7FFF0000
    assert decide(steps, 0x40000003, read) == 0x80000000
    clone = (56, 220)[chosen.column]
    assert decide(steps, chosen.audit, clone, 0x3D0F00) == 0x7FFF0000
    assert decide(steps, chosen.audit, clone, 0x11) == 0x50001
    kill = (62, 129)[chosen.column]
    assert decide(steps, chosen.audit, kill, os.getpid()) == decide(steps, chosen.audit, kill, 0) == 0x7FFF0000
    assert decide(steps, chosen.audit, kill, 1) == decide(steps, chosen.audit, kill, 0xFFFFFFFF) == 0x50001


def decide(steps: list[Instruction], audit: int, number: int, argument: int = 0) -> int:
    """Run a filter's program as the kernel does."""
    held, at = 0, 0
    while True:
        operation, yes, no, operand = steps[at]
        match operation:
            case 0x06:
                return operand
            case 0x20:
                held = {0: number, 4: audit, 16: argument}.get(operand, 0)
            case 0x15:
                at += yes if held == operand else no
            case 0x35:
                at += yes if held >= operand else no
            case 0x45:
                at += yes if held & operand else no
        at += 1
