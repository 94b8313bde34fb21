"""Truth values in queries and forms."""

from __future__ import annotations

import pytest

from daemon.api.errors import Unprocessable
from daemon.api.flags import read_flag

LOC = ("body", "new_id")


@pytest.mark.parametrize("words", [("true", "false"), ("1", "0"), ("on", "off"), ("t", "f"), ("yes", "no"), ("y", "n")])
def test_a_truth_value_in_any_spelling(words: tuple[str, str]) -> None:
    """Whatever the letter case: Python writes ``True``, and a form has no types."""
    for spell in (str.lower, str.upper, str.title):
        assert [read_flag(LOC, spell(word)) for word in words] == [True, False]


@pytest.mark.parametrize("text", ["", " true", "true ", "maybe", "2", "01", "tru\u0130", "None", "null"])
def test_what_is_no_truth_value_is_refused(text: str) -> None:
    """The fault names the field and says what to send."""
    with pytest.raises(Unprocessable) as refused:
        read_flag(LOC, text)
    [fault] = refused.value.faults
    assert (fault.loc, fault.msg) == (LOC, "Input should be true or false")
