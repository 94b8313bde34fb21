"""A short run of the kill matrix in every test run; ``python -m tests.chaos`` makes long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.matrix import run


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_ten_kills(tmp_path: Path) -> None:
    """Whatever is killed when, every received message is answered and delivered once, and no process remains."""
    result = run(tmp_path, 10, 1)
    assert result.good, f"{result}: lost {result.lost}, twice {result.twice}, unexpected {result.unexpected}"
    assert set(result.kills) == {"worker", "zygote", "daemon"}
    assert result.received > 10
