"""Percentiles, and figures in readable form."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that this percentage of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


def median(values: Sequence[float]) -> float:
    """Return the 50th percentile."""
    return percentile(values, 50)


def milliseconds(seconds: float) -> str:
    """Format a duration."""
    ms = seconds * 1000
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.1f} ms" if ms < 100 else f"{ms:,.0f} ms"


def spread(seconds: Sequence[float], tail: float = 95) -> str:
    """Format durations as their median and a tail."""
    return f"p50 {milliseconds(median(seconds))}, p{tail:g} {milliseconds(percentile(seconds, tail))}"


def megabytes(size: float) -> str:
    """Format a size."""
    mb = size / 1_000_000
    return f"{mb:.1f} MB" if mb < 100 else f"{mb:,.0f} MB"
