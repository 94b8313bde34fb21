"""Patterns that are searched for look at no stretch of text again from each of its places.

Such a pattern takes the square of what a person or a model repeats: 32,768 line breaks held the worker for ten
seconds. Nothing is timed here; the patterns themselves are read.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parent.parent

# The standard library's own reader of patterns; it has no public name.
_parser: Final = importlib.import_module("re._parser")
_compiler: Final = importlib.import_module("re._compiler")

SEARCHING: Final = frozenset({"search", "sub", "subn", "finditer", "findall", "split"})
REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
ZERO_WIDTH: Final = frozenset({"AT", "ASSERT", "ASSERT_NOT"})
NEVER_FAILS: Final = {
    "worker.embedded.speech._ADDRESS": "its own beginning is a possible end, so only the last one of a stretch can fail"
}
MANY: Final = 200
"""A repetition of fewer characters is bounded."""


class Searched(NamedTuple):
    """A pattern of a module that is not only matched from the start of a text."""

    place: str
    pattern: re.Pattern[Any]  # of text or of bytes


def searched() -> Iterator[Searched]:
    """Every constant of a module that holds a pattern, and whose name is used to search."""
    for file in sorted(one for room in ("proto", "daemon", "worker") for one in (ROOT / room).rglob("*.py")):
        source = file.read_text()
        if "re.compile" not in source:
            continue
        used = {
            node.func.value.id
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in SEARCHING
            and isinstance(node.func.value, ast.Name)
        }
        if not used:
            continue
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        module = importlib.import_module(name)
        for constant in sorted(used):
            if isinstance(pattern := getattr(module, constant, None), re.Pattern):
                yield Searched(f"{name}.{constant}", pattern)


def goes_over_itself(pattern: re.Pattern[Any]) -> bool:
    """Whether a search may run over a stretch, fail, and run over it again from the next place.

    That is so where an unbounded repetition can run over places at which the pattern may begin, and where something
    behind it can fail.
    """
    parsed = _parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    return any(_branch(list(branch), parsed.state, pattern) for branch in _branches(list(parsed)))


def _branches(items: list[Any]) -> list[list[Any]]:
    """The alternatives at the beginning, with what follows them."""
    if not items:
        return [[]]
    operation, argument = items[0]
    if str(operation) == "BRANCH":
        return [one for branch in argument[1] for one in _branches([*branch, *items[1:]])]
    if str(operation) in ("SUBPATTERN", "ATOMIC_GROUP"):
        return _branches([*(argument[3] if str(operation) == "SUBPATTERN" else argument), *items[1:]])
    return [items]


def _branch(items: list[Any], state: Any, pattern: re.Pattern[Any]) -> bool:
    begins: list[Any] = []
    left = list(items)
    while left:
        operation, argument = left.pop(0)
        name = str(operation)
        if name in ("SUBPATTERN", "ATOMIC_GROUP"):
            left[:0] = argument[3] if name == "SUBPATTERN" else argument
            continue
        if name in ZERO_WIDTH:
            behind = name != "AT" and argument[0] < 0
            if behind or (name == "AT" and str(argument) == "AT_BEGINNING_STRING"):
                return False
            if name == "AT" and str(argument) == "AT_BEGINNING":
                if not pattern.flags & re.MULTILINE:
                    return False
                begins.append("\n")
            continue
        if name in REPEATS:
            least, most, repeated = argument
            if most < MANY:
                if least:
                    begins.append(repeated)
                continue
            return any(map(_may_fail, left)) and all(_runs_over(repeated, begin, state, pattern) for begin in begins)
        begins.append([(operation, argument)])
    return False


def _may_fail(item: Any) -> bool:
    """Whether a text may have something else at this place; what may be absent never fails."""
    name, argument = str(item[0]), item[1]
    return name not in REPEATS or bool(argument[0])


def _runs_over(repeated: Any, begin: Any, state: Any, pattern: re.Pattern[Any]) -> bool:
    """Whether the repetition takes some character with which ``begin`` is content."""
    alphabet = [chr(code) for code in range(0x250)]
    run = _compiled(repeated, state, pattern)
    if begin == "\n":
        return bool(run("\n"))
    start = _compiled(begin, state, pattern)
    return any(run(one) and start(one) for one in alphabet)


def _compiled(items: Any, state: Any, pattern: re.Pattern[Any]) -> Any:
    made = _compiler.compile(_parser.SubPattern(state, list(items)), pattern.flags & ~re.DEBUG)
    is_bytes = isinstance(pattern.pattern, bytes)

    def takes(character: str) -> bool:
        if is_bytes:
            return ord(character) < 256 and bool(made.match(character.encode("latin-1")))
        return bool(made.match(character))

    return takes


@pytest.mark.parametrize(
    ("written", "over"),
    [
        (r"(?m)^\s*(?:#|>)\s+", True),
        (r"[ \t]*\(from", True),
        (r"!?\[([^\]\n]*)\]", True),
        (r"\s*\n", True),
        (r"(?:a|\s*b)", True),
        (r"(?m)^[ \t]*#", False),
        (r"!?\[([^\[\]\n]*)\]", False),
        (r"(?<!\s)\s*+\n", False),
        (r"\s+", False),
        (r"#.*", False),
        (r"\A\s*a", False),
        (r" {0,3}a", False),
    ],
)
def test_the_rule(written: str, over: bool) -> None:
    """It tells what takes the square from what does not."""
    assert goes_over_itself(re.compile(written)) is over


def test_searched_patterns() -> None:
    """Every pattern of the tree that is searched for."""
    found = list(searched())
    assert len(found) > 20
    assert [one.place for one in found if goes_over_itself(one.pattern)] == [*NEVER_FAILS]
