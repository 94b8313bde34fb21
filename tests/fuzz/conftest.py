"""How many examples each property gets: few, always the same, among the tests; many random ones by ``make fuzz``."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, Phase, settings

EXAMPLES: Final = "PERSONAD_FUZZ_EXAMPLES"
"""The environment variable with the number of random examples for each property."""

SHORT: Final = 8

_SLOW_MACHINE: Final = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
"""Checks of how long an example takes to make, which depends on what else the machine does."""

settings.register_profile(
    "short",
    max_examples=SHORT,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=_SLOW_MACHINE,
)
settings.register_profile(
    "long",
    max_examples=int(os.environ.get(EXAMPLES) or SHORT),
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=_SLOW_MACHINE,
)
settings.load_profile("long" if os.environ.get(EXAMPLES) else "short")
