"""Time zones by their IANA names, such as ``Europe/Oslo``, which one the machine has, and a person's quiet hours."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC_NAME: Final = "UTC"
LOCALTIME: Final = Path("/etc/localtime")
"""A symbolic link into the zone files (https://man7.org/linux/man-pages/man5/localtime.5.html)."""

MAX_NAME: Final = 64
"""Characters; the longest name has 32."""


_QUIET: Final = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)\Z", re.ASCII)


class BadHours(ValueError):
    """These are no quiet hours; the text says what to send."""


class UnknownZone(ValueError):
    """There is no zone of this name; the text says what a name looks like."""


@lru_cache(maxsize=256)
def zone_of(name: str) -> ZoneInfo:
    """Return the zone of this name, the machine's for "". Raises UnknownZone."""
    wanted = name or machine_zone()
    # A name such as "Europe" is a folder of zones.
    with suppress(ZoneInfoNotFoundError, ValueError, OSError):
        if len(wanted) <= MAX_NAME and wanted.isascii() and wanted.isprintable():
            return ZoneInfo(wanted)
    raise UnknownZone(f"There is no time zone {wanted[:MAX_NAME]!r}: send an IANA name such as Europe/Oslo or UTC.")


@lru_cache(maxsize=1)
def machine_zone() -> str:
    """Return the name of the machine's zone: that of ``TZ``, else where ``/etc/localtime`` leads, else UTC."""
    names = [os.environ.get("TZ", "").removeprefix(":")]
    _, found, path = str(LOCALTIME.resolve()).partition("/zoneinfo/")
    names.append(path if found else "")
    for name in names:
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            if name:
                return ZoneInfo(name).key
    return UTC_NAME


def quiet_span(text: str) -> tuple[str, str] | None:
    """Return begin and end of quiet hours such as ``22:00-07:00`` as ``HH:MM``, None for "". Raises BadHours."""
    if not text:
        return None
    found = _QUIET.match(text)
    if found is None or found[1] == found[2]:
        raise BadHours("Quiet hours are two different times such as 22:00-07:00, or nothing for none.")
    return found[1], found[2]
