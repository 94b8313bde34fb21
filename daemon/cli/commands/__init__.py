"""The verbs of the command line. Each has its own module, which is only imported when it is used."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.logging.terminal import one_line
from daemon.settings.settings import Settings


class UsageError(ValueError):
    """The command is wrong; the text says how to correct it."""


@dataclass(frozen=True)
class Context:
    """The arguments, settings and environment of a verb."""

    arguments: argparse.Namespace
    settings: Settings
    environ: Mapping[str, str]


def read_secret(context: Context, file: Path | None, variable: str | None, instead: str) -> str:
    """Read a secret from a file or a variable. It is never an argument, which every process could read.

    Return "" when neither is given. Raise UsageError for an empty one; the text names the option to use ``instead``.
    """
    if file is not None:
        try:
            secret = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file}: the secret cannot be read: {error}") from error
        if not secret:
            raise UsageError(f"{file}: holds no secret")
        return secret
    if variable is not None:
        if not (secret := context.environ.get(variable, "").strip()):
            raise UsageError(f"the environment variable {variable} is not set; export it, or use {instead}")
        return secret
    return ""


def say(text: str) -> None:
    """Print one line of text from any source, made harmless for the terminal."""
    sys.stdout.write(one_line(text) + "\n")


def say_json(value: object) -> None:
    """Print a JSON document. It is ASCII, so it is harmless for any terminal."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def say_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; the first row is the heading."""
    clean = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    for row in clean:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
