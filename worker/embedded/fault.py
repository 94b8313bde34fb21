"""Why an embedded organ cannot do what it is asked."""

from __future__ import annotations


class HostFault(Exception):
    """The model cannot be loaded or gave no answer; its text says why, in words for a person."""
