"""What is wrong with a body is said in words that name no type of Python."""

from __future__ import annotations

import pytest

from daemon.api.bodies import Body
from daemon.api.errors import Unprocessable
from daemon.api.retry import RetryRequest
from daemon.http.answers import sentence

JSON = [(b"content-type", b"application/json")]


@pytest.mark.parametrize("number", ["0", "-1", "1.5", '"x"', "[]", "1e40", "9223372036854775808", "9" * 4000])
def test_a_number_outside_its_bounds(number: str) -> None:
    """Both ends are said."""
    with pytest.raises(Unprocessable) as refused:
        Body(RetryRequest).decode(f'{{"message": {number}}}'.encode(), JSON)
    (fault,) = refused.value.faults
    assert (fault.type, fault.loc) == ("int_type", ("body", "message"))
    assert fault.msg == "Input should be a whole number from 1 to 9223372036854775807"


def test_a_word_for_a_truth() -> None:
    """The two that there are."""
    with pytest.raises(Unprocessable) as refused:
        Body(RetryRequest).decode(b'{"drop": "yes"}', JSON)
    (fault,) = refused.value.faults
    assert (fault.type, fault.loc, fault.msg) == ("bool_type", ("body", "drop"), "Input should be true or false")


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("It failed: no space", "It failed: no space."),
        ("It failed: Free some space.", "It failed: Free some space."),
        ("It failed: who are you?", "It failed: who are you?"),
        ("It failed: (SQLite: full)", "It failed: (SQLite: full)."),
    ],
)
def test_a_composed_text_ends_with_a_stop(text: str, ended: str) -> None:
    """One, whether the reason that it quotes brings its own or not."""
    assert sentence(text) == ended
