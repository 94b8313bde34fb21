"""Half a character and NUL become U+FFFD at the border, and everything else stays as it is."""

from __future__ import annotations

import json
from typing import Final

import msgspec
import pytest

from proto.messages import Conversation, Line, Outgoing, Reply
from proto.unicode_text import valid_json, valid_text, valid_texts

TEXTS: Final = {
    "": "",
    "plain": "plain",
    "Grüße 😀 שלום": "Grüße 😀 שלום",
    "smile \ud83d\ude00 end": "smile 😀 end",
    "a\ud83d": "a\ufffd",
    "\ude00b": "\ufffdb",
    "\ud83dx\ude00": "\ufffdx\ufffd",
    "\ud83d\ud83d\ude00": "\ufffd😀",
    "\ude00\ud83d": "\ufffd\ufffd",
    "\udcff.txt": "\ufffd.txt",
    "a\0b\0": "a\ufffdb\ufffd",
    "\0\ud83d\ude00\0": "\ufffd😀\ufffd",
}


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_text(text: str) -> None:
    """Halves are joined or replaced, and no text becomes longer."""
    assert valid_text(text) == TEXTS[text]
    assert len(valid_text(text)) <= len(text)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_json(text: str) -> None:
    """A document is read the same however its writer escapes, and msgspec takes it."""
    document = {"key": [text, {"inner": text}], "number": 1}
    for written in (
        json.dumps(document),
        json.dumps(document, ensure_ascii=False),
        json.dumps(document).encode(),
        json.dumps(document).replace("\\ud", "\\uD"),
    ):
        read = msgspec.json.decode(valid_json(written))
        assert read == {"key": [TEXTS[text], {"inner": TEXTS[text]}], "number": 1}


@pytest.mark.parametrize("document", [rb'"\\ud83d"', rb'"\\\\u0000"', rb'"a\\\"\\u0000"', rb'"\\u00e9 \n"'])
def test_escaped_backslashes_begin_no_escape(document: bytes) -> None:
    """Only what is an escape is one."""
    assert valid_json(document) == document


def test_bytes_that_are_no_utf_8() -> None:
    """They become U+FFFD too, and what is no JSON stays none."""
    assert msgspec.json.decode(valid_json(b'"a\xff\xed\xa0\xbdb"')).strip("\ufffd") == "a\ufffd\ufffd\ufffd\ufffdb"
    for broken in (b'"\\', b'{"a": \\ud83d', b"\\u", b"\\ud8", b""):
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(valid_json(broken))


def test_texts_inside_values() -> None:
    """Every text inside, keys too; what is no text is the same afterwards."""
    bad = "a\ud83d"
    reply = Reply(1, [7], [Outgoing(bad)], {7: bad})
    assert valid_texts(reply) == Reply(1, [7], [Outgoing("a\ufffd")], {7: "a\ufffd"})
    line = Line("person", bad, 5, None, "\0")
    assert valid_texts([line]) == [Line("person", "a\ufffd", 5, None, "\ufffd")]
    assert valid_texts({bad: (1, None, 2.5, b"\xff", True, Conversation("web", bad))}) == {
        "a\ufffd": (1, None, 2.5, b"\xff", True, Conversation("web", "a\ufffd"))
    }
