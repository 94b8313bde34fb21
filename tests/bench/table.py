"""The table: what, baseline, personad, ratio, goal, met."""

from __future__ import annotations

from typing import Final

import msgspec

from tests.bench.machine import Machine

COLUMNS: Final = ("what", "baseline", "personad", "ratio", "goal", "met?")


class Line(msgspec.Struct):
    """One line; ``ratio`` is personad's figure over the baseline's, ``met`` is None without a goal.

    ``figures`` holds the raw numbers for programs: seconds, bytes, or requests per second, as their names say.
    """

    what: str
    baseline: str = ""
    personad: str = ""
    ratio: float | None = None
    goal: str = ""
    met: bool | None = None
    figures: dict[str, float] = {}

    def cells(self) -> tuple[str, ...]:
        """Return its texts, in the order of COLUMNS."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}" if self.ratio < 10 else f"{self.ratio:.0f}"
        met = {None: "", True: "yes", False: "NO"}[self.met]
        return (self.what, self.baseline, self.personad, ratio, self.goal, met)


def as_text(lines: list[Line], machine: Machine) -> str:
    """Format the table with aligned columns, and the machine under it."""
    rows = [COLUMNS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    texts = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    texts.insert(1, "-|-".join("-" * width for width in widths))
    return "\n".join([*texts, "", machine.line()])


def as_json(lines: list[Line], machine: Machine) -> str:
    """Format the same for programs."""
    return msgspec.json.format(msgspec.json.encode({"lines": lines, "machine": machine.line()}), indent=2).decode()
