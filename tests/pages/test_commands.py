"""Every command in the ``sh`` blocks of the Markdown pages works; each page has its own machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages.markdown import ROOT, commands, pages, prose
from tests.pages.stage import Stage
from tests.pages.table import INSTEAD, PRINTS
from tests.patience import PATIENCE

PAGES = {str(page.relative_to(ROOT)): commands(page.read_text()) for page in pages()}


@pytest.mark.parametrize("page", [page for page, found in PAGES.items() if found])
def test_the_commands_of_a_page(page: str, tmp_path: Path) -> None:
    """Commands run from top to bottom; one that is not in the table is run as written and must succeed."""
    with Stage(tmp_path) as stage:
        for command in PAGES[page]:
            row = next((row for row in INSTEAD if row.pattern.search(command)), None)
            printed = row.carry_out(stage, command) if row else stage.run(command)
            bare = command.partition("  #")[0].rstrip()
            for pattern, expected in PRINTS:
                if re.search(pattern, bare):
                    assert re.search(expected, printed, re.MULTILINE), f"{command}\n{printed}"
        stage.heard()


def test_no_row_of_the_table_is_left_over() -> None:
    """A row without a command must be removed."""
    written = [command for found in PAGES.values() for command in found]
    for row in INSTEAD:
        assert any(row.pattern.search(command) for command in written), row.pattern.pattern


def test_the_readme_lists_all_verbs() -> None:
    """Its sentence about all commands names the verbs of the command line, each once."""
    (listed,) = re.findall(r"All commands: `personad ([^`]*)`", (ROOT / "README.md").read_text())
    helped = subprocess.run(
        [sys.executable, "-m", "daemon", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert sorted(listed.split()) == sorted(re.findall(r"^    ([a-z]+)\b", helped.stdout, re.MULTILINE))


def test_commands_in_prose_are_there() -> None:
    """Every ``personad VERB`` in a sentence is a verb, and has the options that are written there."""
    words = {found for page in pages() for found in re.findall(r"`personad ([a-z][^`]*)`", prose(page.read_text()))}
    options: dict[str, set[str]] = {}
    for written in words:
        found = re.match(r"(channel )?[a-z]+", written)
        assert found, written
        options.setdefault(found[0], set()).update(re.findall(r"--[a-z-]+", written))
    assert options
    for verb, expected in options.items():
        helped = subprocess.run(
            [sys.executable, "-m", "daemon", *verb.split(), "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert helped.returncode == 0, f"personad {verb}: {helped.stderr}"
        assert not {option for option in expected if option not in helped.stdout}, verb
