"""Truth values in queries and forms, where everything is text."""

from __future__ import annotations

from typing import Final

from daemon.api.errors import Unprocessable
from daemon.http.answers import Fault

_WORDS: Final = {
    **dict.fromkeys(("true", "1", "on", "t", "yes", "y"), True),
    **dict.fromkeys(("false", "0", "off", "f", "no", "n"), False),
}
"""What Pydantic, and so the documented system, takes: https://docs.pydantic.dev/latest/api/standard_library_types/

Clients write a truth value as their language does: one generated for Python sends ``True`` in a form.
"""


def read_flag(loc: tuple[str, str], text: str) -> bool:
    """Return the truth value that ``text`` means, in any letter case. Raises Unprocessable for the field ``loc``."""
    value = _WORDS.get(text.lower())
    if value is None:
        raise Unprocessable([Fault("bool_parsing", loc, "Input should be true or false")])
    return value
