"""The kill matrix by hand: ``python -m tests.chaos --kills 1000 --seed 7``."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.matrix import run


def main() -> int:
    """Run it and print the summary. If the books do not balance, return 1 and keep the folder with state and log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # the emulator's answers to dead processes
    folder = Path(tempfile.mkdtemp(prefix="personad-chaos-"))
    result = run(folder, arguments.kills, arguments.seed)
    print(result)
    if result.good:
        shutil.rmtree(folder)
        return 0
    print(f"lost {result.lost[:20]}, twice {result.twice[:20]}, invented {result.invented[:20]}")
    print(f"unexpected {result.unexpected[:20]}; state and log: {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
