"""The verbs of the command line, a module each, imported only when it is asked for."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon.settings import Settings
from daemon.terminal import one_line


class UsageError(ValueError):
    """The command cannot be carried out as it was given; the text says how to give it."""


@dataclass(frozen=True)
class Context:
    """What a verb works with."""

    arguments: argparse.Namespace
    settings: Settings
    environ: Mapping[str, str]


def say(text: str) -> None:
    """Print one line of text from anywhere, made harmless for the terminal."""
    sys.stdout.write(one_line(text) + "\n")


def say_json(value: object) -> None:
    """Print a JSON document; as ASCII it is harmless for any terminal."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def say_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; the first row is the heading."""
    clean = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    for row in clean:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
