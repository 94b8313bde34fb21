"""A short run of the reminders' chaos in every test run; ``python -m tests.chaos.reminders`` makes long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.reminders import run


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_six_kills(tmp_path: Path) -> None:
    """Whoever is killed around the moment when something is due, it is told once."""
    result = run(tmp_path, 6, 3)
    assert result.good, f"{result}: missed {result.missed}, doubled {result.doubled}, unanswered {result.unanswered}"
    assert set(result.kills) == {"daemon", "worker"}
    assert result.asked > 6
