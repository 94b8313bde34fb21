"""The waits between attempts."""

from __future__ import annotations

from worker.base.backoff import Backoff


def test_ceiling_doubles_up_to_the_longest() -> None:
    """Each wait lies between zero and a ceiling that doubles from the shortest to the longest."""
    ceilings = (0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0)
    drawn = [[backoff.next() for _ in ceilings] for backoff in (Backoff(0.5, 10.0) for _ in range(500))]
    for ceiling, waits in zip(ceilings, zip(*drawn, strict=True), strict=True):
        assert all(0.0 <= wait <= ceiling for wait in waits)
        assert max(waits) > ceiling * 0.9
        assert min(waits) < ceiling * 0.1
