"""The run's schedule names folders that there are; one that was moved would start a daemon for each of its files."""

from __future__ import annotations

from tests.daemon_process import ROOT
from tests.schedule import FIRST, SPLIT, TOGETHER


def test_the_schedule_knows_the_folders() -> None:
    """Each folder holds tests."""
    assert [folder for folder in {*FIRST, *TOGETHER} if not list((ROOT / folder).glob("test_*.py"))] == []
    assert (ROOT / SPLIT).exists()
