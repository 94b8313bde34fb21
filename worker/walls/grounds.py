"""What every process reads: its own code, and what the system tells every program."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import proto

SYSTEM: Final = (
    "/usr",
    "/lib",
    "/lib64",
    # Name servers, hosts and certificates. The folder and not the files, because they are replaced while we run.
    "/etc",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
)
NAME_SERVERS: Final = "/etc/resolv.conf"
CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
PARTS_OF_A_PERSONA: Final = ("media", "library", "datasets")
"""What the organ host gets of a persona's folder: files that she was sent, their index, and her datasets."""


def code() -> Iterator[str]:
    """The folders of our own modules, of the installed packages and of Python."""
    yield str(Path(__file__).resolve().parents[1])
    yield from map(os.path.realpath, proto.__path__)
    yield from (sys.prefix, sys.base_prefix)
    yield from (path for name, path in sysconfig.get_paths().items() if name in ("stdlib", "platstdlib"))
    yield from (path for path in sys.path if path.endswith("site-packages"))


@cache
def roots() -> tuple[str, ...]:
    """Everything that any process reads. The zygote asks first, so that no process pays for the search."""
    own = [os.environ[name] for name in CERTIFICATES if os.environ.get(name)]
    found = {os.path.realpath(root) if root != "/proc/self" else root: None for root in (*code(), *SYSTEM, *own)}
    # A root inside another one adds nothing but the time of its rule.
    return tuple(root for root in found if not any(root != other and _within(root, other) for other in found))


def readable(closed: Iterable[str]) -> list[str]:
    """Everything that any process reads, without the places in ``closed``."""
    secrets = [os.path.realpath(place) for place in closed]
    return list(dict.fromkeys(path for root in roots() for path in without(root, secrets)))


def without(root: str, secrets: list[str]) -> Iterator[str]:
    """``root`` itself, or if a secret lies in it, everything in it but the secret."""
    if any(_within(root, secret) for secret in secrets):
        return
    if not any(_within(secret, root) for secret in secrets):
        yield root
        return
    try:
        entries = sorted(entry.path for entry in os.scandir(root) if not entry.is_symlink())
    except OSError:
        return
    for entry in entries:
        yield from without(entry, secrets)


def is_shut(path: str) -> bool:
    """Whether a file exists that these walls do not let this process read.

    A rule holds for a file, not for its name. Where a secret lies in /etc, its other files have rules of their own, and
    one that is replaced while we run, as name servers are, is out of reach for a process that began before.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def parts_of_personas(folder: str) -> Iterator[str]:
    """The parts of each persona's folder that the organ host works in. They are made if they are missing.

    A link among the datasets leads to documents elsewhere, which its owner has put there on purpose.
    """
    for persona in Path(folder).glob("[!.]*"):
        for part in PARTS_OF_A_PERSONA:
            place = persona / part
            try:
                place.mkdir(mode=0o700, exist_ok=True)
            except OSError:
                continue
            yield str(place)
        yield from (str(one.resolve()) for one in (persona / "datasets").glob("*") if one.is_symlink())


def clear(scratch: str) -> None:
    """Make the scratch folder empty, and the place for this process's temporary files."""
    shutil.rmtree(scratch, ignore_errors=True)
    Path(scratch).mkdir(mode=0o700, exist_ok=True)
    tempfile.tempdir = scratch


def _within(place: str, root: str) -> bool:
    return place == root or place.startswith(root.rstrip("/") + "/")
