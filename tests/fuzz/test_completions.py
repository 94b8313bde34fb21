"""Requests to the chat completions door: any body is read or refused in OpenAI's form, and is kept as it was read."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.api.openai.completion import KNOWN, Completion, read_completion
from daemon.api.openai.refusals import Refused
from daemon.api.openai.talk import HISTORY_CHARS, ROLES
from proto.unicode_text import valid_texts
from tests.fuzz.strategies import DEEP, SECRET, documents, json_values, numbers, objects, words, written

CHARS: Final = 2000

_part = objects(
    {
        "type": st.sampled_from(["text", "image_url", "input_audio", "file", "refusal"]),
        "text": words,
        "image_url": objects({"url": st.sampled_from(["data:image/png;base64,aGk=", "http://x/", "data:,x"]) | words}),
        "input_audio": objects({"format": st.sampled_from(["wav", "mp3", "ogg"]), "data": words}),
    }
)
_message = objects({"role": st.sampled_from(ROLES), "content": words | st.lists(_part, max_size=3), "name": words})
_body = objects(
    {
        **{name: st.none() | numbers | words for name in sorted(KNOWN)},
        "model": words,
        "messages": st.lists(_message, max_size=4),
        "stream": st.booleans(),
        "stream_options": objects({"include_usage": st.booleans()}),
        "store": st.booleans(),
    }
)
_good = st.fixed_dictionaries({"model": words, "messages": st.lists(_message, min_size=1, max_size=4)})


def read(raw: bytes) -> Completion | None:
    """Read a body; a refusal is one of a client's faults, in OpenAI's form."""
    found: Completion | Refused
    try:
        found = read_completion(raw, 1, CHARS)
    except Refused as refused:
        found = refused
    if isinstance(found, Completion):
        return found
    assert 400 <= found.status < 500
    error = msgspec.json.decode(bytes(found.answer().body))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    return None


@given(documents)
@example(b"[" * DEEP)
@example(b'{"model": "\\ud83d", "messages": [{"role": "user", "content": "\\ud83d"}]}')
@example(b"\xef\xbb\xbf{}")
def test_any_body(raw: bytes) -> None:
    """Whatever comes is read or refused."""
    read(raw)


@given(_body | _good | json_values)
def test_a_body_that_is_nearly_right(value: Any) -> None:
    """What is read is valid text within its bounds, and the same body is the same request."""
    found = read(written(value))
    if found is None:
        return
    talk = found.talk
    assert valid_texts(msgspec.to_builtins(talk)) == msgspec.to_builtins(talk)
    assert talk.new
    assert all(len(one.text) <= CHARS for one in talk.new)
    assert sum(len(line.content) for line in talk.history) <= HISTORY_CHARS
    again = read(written(value))
    assert again
    assert again.talk.key == talk.key
    assert len({one.key for one in talk.new}) == len(talk.new)


@given(_good, words)
def test_other_words_are_another_request(value: dict[str, Any], more: str) -> None:
    """The key is made of everything that was said."""
    found, longer = read(written(value)), {**value, "messages": [*value["messages"], {"role": "user", "content": more}]}
    other = read(written(longer))
    if found and other:
        assert found.talk.key != other.talk.key
        assert found.talk.key in {one.key for one in other.talk.new}


@given(st.sampled_from(["model", "role", "content"]))
def test_no_error_quotes_what_was_said(field: str) -> None:
    """A text in the wrong place may be anything that a person wrote."""
    message: dict[str, object] = {"role": "user", "content": "hi"}
    body: dict[str, object] = {"model": "Eve", "messages": [message]}
    (body if field == "model" else message)[field] = {"x": SECRET}
    with pytest.raises(Refused) as refused:
        read_completion(written(body), 1, CHARS)
    assert SECRET not in str(refused.value)
