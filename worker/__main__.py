"""A worker by plain exec, for when there is no zygote.

Run as ``python -m worker DEATH DAEMON_PID``: the death pipe's descriptor and the daemon's pid; the birth is on stdin.
"""

from __future__ import annotations

import os
import sys

import msgspec

from proto.birth import MAX_BIRTH, Birth
from worker.process.child_setup import set_up_child
from worker.process.main import run


def main() -> int:
    """Read the birth, which arrives whole (it is smaller than a pipe), and live."""
    birth = msgspec.msgpack.decode(os.read(0, MAX_BIRTH), type=Birth)
    set_up_child(int(sys.argv[2]), int(sys.argv[1]), 2, birth.title)
    return run(birth, int(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
