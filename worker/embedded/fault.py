"""The error of the embedded organs."""

from __future__ import annotations


class HostFault(Exception):
    """The model cannot be loaded or gave no answer. The error text tells a person why."""
