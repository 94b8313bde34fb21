"""A short run of the gateways' chaos in every test run; ``python -m tests.chaos.gateways`` makes long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.gateways import run


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_three_kills(tmp_path: Path) -> None:
    """Every message of both providers is answered and delivered once, or marked when repeated; one poller at most."""
    result = run(tmp_path, messages=30, kills=3, seed=20261122)
    assert result.faults == [], result
    assert result.kills == 3
    assert [len(books.written) for books in result.books.values()] == [15, 15]
