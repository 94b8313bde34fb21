"""Every file, folder, section and module that a Markdown page names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pages.markdown import ROOT, pages, prose

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`(\.?[\w-]+(?:/[\w.-]+)+/?)`")
"""Inline code that is a path: names with slashes between them and no placeholders."""

SUFFIXES = {".py", ".md", ".toml", ".sql", ".txt", ".lock", ".service", ".socket", ".conf"}
TOP = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} | {".ci"}
OF_THEIR_TIME = ("CHANGELOG.md", "etc/changes/")
"""Pages about the past, which may name files that have moved since."""

NAMES = [str(page.relative_to(ROOT)) for page in pages()]


def headings(page: Path) -> set[str]:
    """The anchors that GitHub makes from a page's headings."""
    titles = re.findall(r"^#+ (.*)$", prose(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    """A relative link leads to a file or folder of the tree, its anchor to a heading there."""
    page = ROOT / name
    for link in LINK.findall(prose(page.read_text())):
        if re.match(r"\w+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        assert file.exists(), link
        assert not anchor or anchor in headings(file), link


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(OF_THEIR_TIME)])
def test_named_files_are_there(name: str) -> None:
    """A path in a sentence exists below the page's own folder or below the root."""

    page = ROOT / name
    for path in PATH.findall(prose(page.read_text())):
        if Path(path).suffix in SUFFIXES or path.split("/")[0] in TOP:
            assert (page.parent / path).exists() or (ROOT / path).exists(), path
