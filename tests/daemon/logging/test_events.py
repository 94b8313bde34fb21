"""The operator's list of log events matches the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
LIST = ROOT / "etc" / "events.md"
LEVELS = {"debug", "info", "warning", "error"}
NAME = re.compile(r"[a-z_]+(\.[a-z_]+)+")


def logged() -> Iterator[tuple[str, str]]:
    """Yield the name and level of every logged event."""
    for path in [*ROOT.glob("daemon/**/*.py"), *ROOT.glob("worker/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            function, first = node.func, node.args[0]
            named = isinstance(first, ast.Constant) and isinstance(first.value, str) and NAME.fullmatch(first.value)
            if named and isinstance(function, ast.Attribute) and function.attr in LEVELS:
                yield named[0], function.attr


def test_the_operators_list_is_in_the_order_of_the_alphabet() -> None:
    """A row is found by its first name, and the names in a row that has several are of one room."""
    rows = [
        re.findall(r"`([a-z_.]+)`", names)
        for names in re.findall(r"^\| (`.+?`) \| \w+ \|", LIST.read_text(), re.MULTILINE)
    ]
    names = [first for first, *_ in rows]

    assert names == sorted(names)
    assert [row for row in rows if len({name.partition(".")[0] for name in row}) > 1] == []


def test_every_event_is_in_the_operators_list() -> None:
    """etc/events.md has a row for each event that is logged, with its level, and no row for any other."""
    rows = re.findall(r"^\| (`.+?`) \| (\w+) \|", LIST.read_text(), re.MULTILINE)
    listed = {(name, level) for names, level in rows for name in re.findall(r"`([a-z_.]+)`", names)}
    # The sink logs this event itself.
    found = set(logged()) | {("log.dropped", "warning")}

    assert found - listed == set(), "add these to etc/events.md"
    assert listed - found == set(), "these are no longer logged: remove them from etc/events.md"
