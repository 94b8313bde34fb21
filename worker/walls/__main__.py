"""``python -m worker.walls``: print what this kernel's walls lack, as JSON. ``personad doctor`` asks it."""

from __future__ import annotations

import sys

import msgspec

from worker.walls.landlock import version
from worker.walls.raising import lacking_here


def main() -> None:
    """Print the Landlock ABI and what is missing."""
    sys.stdout.write(msgspec.json.encode({"landlock": version(), "lacking": lacking_here()}).decode() + "\n")


if __name__ == "__main__":
    main()
