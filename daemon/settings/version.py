"""The installed version of personad, and its commit if known.

It only imports the standard library, because ``make install`` runs it before anything is installed, to record the
commit.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

SHORT: Final = 7
"""Characters of a commit that are shown, as git does."""

BUILT_FROM: Final = Path(__file__).with_name("commit.txt")
"""The commit that an installed copy was built from. A checkout does not have this file."""

_CHECKOUT: Final = Path(__file__).parents[2]
_HASH: Final = re.compile(rf"[0-9a-f]{{{SHORT},64}}")


def number() -> str:
    """Return the installed version, or ``unknown`` when none is installed."""
    try:
        return version("personad")
    except PackageNotFoundError:
        return "unknown"


@cache
def commit(checkout: Path = _CHECKOUT) -> str:
    """Return the shortened commit of this copy, or "" when it is unknown.

    It is read only once, because a checkout may change while the daemon runs. It is read from git's own files
    (https://git-scm.com/docs/gitrepository-layout), because git may not be installed and refuses a folder that belongs
    to another user.
    """
    found = _text(BUILT_FROM) or _head(checkout / ".git")
    return found[:SHORT] if _HASH.fullmatch(found) else ""


def described() -> str:
    """Return what ``personad --version`` prints, such as ``personad 0.1.0 (abc1234)``."""
    known = commit()
    return f"personad {number()} ({known})" if known else f"personad {number()}"


def _head(git: Path) -> str:
    """Return the commit that is checked out. A worktree's ``.git`` is a file that names its folder."""
    if named := re.fullmatch(r"gitdir: (.+)", _text(git)):
        git = git.parent / named[1]
    head = _text(git / "HEAD")
    reference = re.fullmatch(r"ref: (refs/.+)", head)
    if not reference:
        return head
    common = git / (_text(git / "commondir") or ".")
    return _text(common / reference[1]) or _packed(common / "packed-refs", reference[1])


def _packed(file: Path, name: str) -> str:
    """Return the commit of a reference that git has moved into its file of packed references."""
    for line in _text(file).splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return commit
    return ""


def _text(file: Path) -> str:
    """Return a file's content, or "" when it is missing or cannot be read."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


if __name__ == "__main__":
    print(commit())
