"""``python -m tests.bench [row ...] [--json]``: measure the rows and print one table at the end."""

from __future__ import annotations

import argparse
import sys
import time
import traceback

from tests.bench.machine import Machine
from tests.bench.rows import ROWS
from tests.bench.table import Line, as_json, as_text


def main() -> int:
    """Measure; return 1 when a row could not be measured, whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"one of {', '.join(ROWS)}; all when none is named")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.rows if name not in ROWS]:
        parser.error(f"there is no row {unknown[0]!r}: choose from {', '.join(ROWS)}")
    machine = Machine()
    lines: list[Line] = []
    failed = False
    for name in arguments.rows or ROWS:
        begun = time.monotonic()
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        try:
            lines += ROWS[name]()
        except Exception as error:  # noqa: BLE001 (one failed row must not stop the others; its error is shown)
            failed = True
            traceback.print_exc()
            lines.append(Line(name, personad=f"failed: {type(error).__name__}"))
        print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print(as_json(lines, machine) if arguments.json else as_text(lines, machine))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
