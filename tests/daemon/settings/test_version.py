"""The version and commit of personad, read from an installed copy or any kind of checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.settings import version
from tests.daemon_process import DaemonProcess
from tests.observed import logged

HASH = "0123456789abcdef0123456789abcdef01234567"
ROOT = Path(__file__).parents[3]


def write(folder: Path, files: dict[str, str]) -> None:
    """Write these files."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    "files",
    [
        {".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": f"{HASH}\n"},
        {".git/HEAD": f"{HASH}\n"},
        {
            ".git/HEAD": "ref: refs/heads/a/b\n",
            ".git/packed-refs": f"# pack-refs\n{'f' * 40} refs/heads/a\n{HASH} refs/heads/a/b\n",
        },
        {
            ".git": "gitdir: ../main/.git/worktrees/x\n",
            "../main/.git/worktrees/x/HEAD": "ref: refs/heads/x\n",
            "../main/.git/worktrees/x/commondir": "../..\n",
            "../main/.git/refs/heads/x": f"{HASH}\n",
        },
    ],
    ids=["branch", "detached", "packed", "worktree"],
)
def test_a_checkout_tells_its_commit(tmp_path: Path, files: dict[str, str]) -> None:
    """The commit is read from git's files, without git."""
    checkout = tmp_path / "checkout"
    write(checkout, files)
    assert version.commit(checkout) == HASH[:7]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {".git/HEAD": ""},
        {".git/HEAD": "ref: refs/heads/main\n"},
        {".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": "nonsense"},
        {".git": "nonsense"},
        {".git": "gitdir: gone"},
    ],
)
def test_what_is_not_known_is_not_said(tmp_path: Path, files: dict[str, str]) -> None:
    """A folder without git, an empty repository and a broken one have no commit."""
    write(tmp_path / "checkout", files)
    assert version.commit(tmp_path / "checkout") == ""


def test_git_says_the_same(tmp_path: Path) -> None:
    """git agrees, before and after it packs its references."""
    if not (git := shutil.which("git")):
        pytest.skip("git is not installed")
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def run(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run(
            [git, *identity, *arguments], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
        ).stdout.strip()

    run("init", "--quiet")
    run("commit", "--quiet", "--allow-empty", "--message", "one")
    head = run("rev-parse", "HEAD")
    assert version.commit(tmp_path) == head[:7]
    run("pack-refs", "--all")
    version.commit.cache_clear()
    assert version.commit(tmp_path) == head[:7]


def test_an_installed_copy_tells_what_it_was_built_from(tmp_path: Path) -> None:
    """The installed file's commit is used wherever the copy is; without the file, only the version is shown."""
    shutil.copytree(ROOT / "daemon", tmp_path / "daemon", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("__pycache__"))
    bare = f"personad {version.number()}\n"
    for text, expected in ((f"{HASH}\n", bare.replace("\n", " (0123456)\n")), ("", bare)):
        (tmp_path / "daemon/settings/commit.txt").write_text(text)
        said = subprocess.run(
            [sys.executable, "-m", "daemon", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert (said.stdout, said.stderr) == (expected, "")


def test_status_and_log_say_it(daemon: DaemonProcess) -> None:
    """The status and the log show which version runs."""
    status = daemon.http.get("/api/status").json()
    assert (status["version"], status["commit"]) == (version.number(), version.commit() or None)
    (listening,) = logged(daemon, "daemon.listening")
    assert listening["version"] == version.described()
    assert re.fullmatch(r"personad \S+( \([0-9a-f]{7}\))?", version.described())
