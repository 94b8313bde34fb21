"""Which personad this is: the version that was installed, and the commit where it is known.

Imports the standard library alone: ``make install`` runs it, before anything is installed, to write the commit down.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

SHORT: Final = 7
"""Characters of a commit that are shown, as git shows it."""

BUILT_FROM: Final = Path(__file__).with_name("commit.txt")
"""Only in an installed copy: the commit that it was built from."""

_CHECKOUT: Final = Path(__file__).parents[2]
_HASH: Final = re.compile(rf"[0-9a-f]{{{SHORT},64}}")


def number() -> str:
    """Return the installed version, ``unknown`` where none is."""
    try:
        return version("personad")
    except PackageNotFoundError:
        return "unknown"


@cache
def commit(checkout: Path = _CHECKOUT) -> str:
    """Return the commit of this copy, shortened, and "" where nothing tells it.

    It is read once, since a checkout may move on under a daemon that runs; and from git's files, since git need not be
    installed, and refuses a folder that another user owns: https://git-scm.com/docs/gitrepository-layout
    """
    found = _text(BUILT_FROM) or _head(checkout / ".git")
    return found[:SHORT] if _HASH.fullmatch(found) else ""


def described() -> str:
    """Return what ``personad --version`` prints, such as ``personad 0.1.0 (abc1234)``."""
    known = commit()
    return f"personad {number()} ({known})" if known else f"personad {number()}"


def _head(git: Path) -> str:
    """Return the commit that is checked out; a worktree's ``.git`` is a file that names its folder."""
    if named := re.fullmatch(r"gitdir: (.+)", _text(git)):
        git = git.parent / named[1]
    head = _text(git / "HEAD")
    reference = re.fullmatch(r"ref: (refs/.+)", head)
    if not reference:
        return head
    common = git / (_text(git / "commondir") or ".")
    return _text(common / reference[1]) or _packed(common / "packed-refs", reference[1])


def _packed(file: Path, name: str) -> str:
    """Return what a reference points to that git has put into its one file of references."""
    for line in _text(file).splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return commit
    return ""


def _text(file: Path) -> str:
    """Return what a file holds, and "" for one that is not there or cannot be read."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


if __name__ == "__main__":
    print(commit())
