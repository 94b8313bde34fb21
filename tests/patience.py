"""How long a test waits for what must happen."""

from __future__ import annotations

import os
from typing import Final

PATIENCE: Final = 60.0 * float(os.environ.get("PERSONAD_TEST_PATIENCE", "1"))
"""Seconds until a condition that is not true yet counts as a failure.

It bounds a failure and never a success: no test claims that anything takes less. ``PERSONAD_TEST_PATIENCE`` multiplies
it on a machine that is slow or busy; ``timeout`` in pyproject.toml, which ends a test that hangs, stands well above.
"""
