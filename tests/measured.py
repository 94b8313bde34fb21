"""Whether this run measures coverage, and how the processes that tests start are measured with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FOLDER: Final = str(Path(__file__).parent / "measuring")
"""On the PYTHONPATH of a run that measures; see ``sitecustomize`` in it."""

ACTIVE: Final = FOLDER in os.environ.get("PYTHONPATH", "").split(os.pathsep)


def python_path(*folders: Path) -> str:
    """The PYTHONPATH of a process with an environment of its own."""
    return os.pathsep.join([*map(str, folders), *([FOLDER] if ACTIVE else [])])


def first() -> str:
    """Code for a ``sitecustomize`` that stands before the measuring one, of which Python runs the first only."""
    return f"import runpy\nrunpy.run_path({FOLDER + '/sitecustomize.py'!r})\n" if ACTIVE else ""
