"""What is said, on its way in and out: nothing is lost, nothing is torn, and nothing takes the square of its length."""

from __future__ import annotations

import json
import string

from hypothesis import example, given
from hypothesis import strategies as st

from proto.secrets import redact
from proto.unicode_text import valid_json, valid_text, valid_texts
from tests.fuzz.strategies import json_values, texts, words, written
from worker.gateways.common.graphemes import LONGEST, border, clipped
from worker.gateways.common.markdown import plain, render
from worker.gateways.common.splitting import (
    Entity,
    Measure,
    Rich,
    characters,
    split_markdown,
    split_rich,
    utf16_units,
)
from worker.gateways.slack.mrkdwn import escape, mrkdwn
from worker.gateways.twilio.sms_text import cheap, segments
from worker.organs.statements import NOTE_CHARS, fold, stated
from worker.organs.statements import written as bullets
from worker.organs.thoughts import without_thoughts
from worker.prompting.memory import FILE_BYTES
from worker.prompting.size import shortened, tokens
from worker.prompting.speech import speakable

prose = st.lists(
    st.sampled_from([*"ab *_`~#>|[]()!\\-+=:.\n\t\r", "```", "~~~", "\n\n", "word ", "1. ", "- ", "<b>", "&lt;"])
    | words
    | st.sampled_from(["<think>", "</think>", "<|im_end|>", "[THINK]", "http://x.org", "$$x^2$$", "__init__"]),
    max_size=60,
).map("".join)
"""What minds write: Markdown, half of it broken, with any letters between."""

sound = prose.map(valid_text)
measures = st.sampled_from([characters, utf16_units])


@given(words | prose)
@example("\ud83d\ude00 \ud83d \ude00 \0")
def test_valid_text(text: str) -> None:
    """It can be written as UTF-8, is no longer, and is the same when it is made valid again."""
    found = valid_text(text)
    assert found.encode().decode() == found
    assert "\0" not in found
    assert len(found) <= len(text)
    assert valid_text(found) == found
    units = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert found == units.replace("\0", "\ufffd")


@given(json_values)
def test_valid_texts(value: object) -> None:
    """Every text inside, and nothing else."""
    found = valid_texts(value)
    json.dumps(found, ensure_ascii=False).encode()
    assert repr(valid_texts(found)) == repr(found)


@given(
    json_values.map(written)
    | st.binary(max_size=80)
    | texts.map(lambda text: b'"' + text.encode("utf-8", "surrogatepass") + b'"')
)
@example(rb'"\\ud83d \ud83d\\ude00 \ud83d\ude00 \u0000"')
def test_valid_json(document: bytes) -> None:
    """What was JSON still says the same, with valid texts; what was none is none."""
    found = valid_json(document)
    assert valid_json(found) == found
    assert len(found) <= 3 * len(document)
    found.decode()
    try:
        before = json.loads(document.decode())
    except (ValueError, RecursionError):
        return
    assert repr(json.loads(found)) == repr(valid_texts(before))


@given(sound, st.integers(0, 80), st.integers(1, 80))
def test_borders(text: str, start: int, length: int) -> None:
    """A border lies between start and reach, near the reach, and never inside a pair, a flag or a letter with marks."""
    reach = min(start + length, len(text))
    if start >= reach:
        return
    at = border(text, start, reach)
    assert max(start, reach - LONGEST) < at <= reach
    assert len(clipped(text, length)) <= length
    assert text.startswith(clipped(text, length))


@given(sound, st.integers(8, 60), measures)
@example("\r\n" * 40, 8, characters)
@example("a" * 7 + "👩\u200d👩\u200d👧" * 6, 8, utf16_units)
def test_splitting(text: str, limit: int, measure: Measure) -> None:
    """Every part fits and shows something, none is empty, and together they are the text without white space."""
    parts = split_rich(Rich(text), limit, measure)
    assert all(0 < measure(part.text) <= limit and part.text.strip() for part in parts)
    assert _inked("".join(part.text for part in parts)) == _inked(text)
    assert len(parts) <= max(1, 1 + 4 * measure(text) // limit + text.count("\n"))
    assert split_rich(Rich(text), limit, measure) == parts


@given(sound, st.integers(16, 60), measures)
def test_splitting_markdown(text: str, limit: int, measure: Measure) -> None:
    """Parts fit; without their fences, which are closed and opened again, they are the text."""
    parts = split_markdown(text, limit, measure)
    assert all(0 < measure(part) <= limit for part in parts)
    if "```" not in text and "~~~" not in text:
        assert _inked("".join(parts)) == _inked(text)
    else:
        left = iter(_inked("".join(parts)))
        assert all(one in left for one in _inked(text) if one not in "`~")


@given(sound)
@example("![")
@example("[a](http://[)")
@example("1. \n- - -\n| a |\n|-|\n")
@example("> [`c`](http://x)\n")
def test_rendering(markdown: str) -> None:
    """Entities lie inside of the text and are not empty; every letter that is no markup is still there, in order."""
    rich = render(markdown)
    for entity in rich.entities:
        assert entity.offset >= 0
        assert 0 < entity.length <= len(rich.text) - entity.offset
    assert bool(rich.text) == bool(markdown.strip())
    shown = iter(plain(markdown).casefold())
    told = [one for one in markdown.casefold() if one in string.ascii_lowercase]
    if not any(mark in markdown for mark in ("](", "![", "```", "~~~", "&", "]:", "|", "<")):
        assert all(one in shown for one in told)


entities = st.builds(
    Entity,
    st.sampled_from(["bold", "italic", "code", "pre", "strikethrough", "text_link", "blockquote"]),
    st.integers(0, 20),
    st.integers(1, 20),
    st.none() | st.sampled_from(["http://x.org/|a>", "http://x"]),
)


@given(
    st.text(st.sampled_from("ab <>&*\n"), min_size=1, max_size=30), st.lists(entities, max_size=4), st.integers(4, 40)
)
def test_slack(text: str, marks: list[Entity], limit: int) -> None:
    """What she says cannot become a mention or a link: none of Slack's control characters comes from her text."""
    inside = tuple(
        one._replace(length=min(one.length, len(text) - one.offset)) for one in marks if one.offset < len(text)
    )
    for part in split_rich(Rich(text, inside), limit):
        assert all(one.offset + one.length <= len(part.text) and one.length > 0 for one in part.entities)
        said = mrkdwn(part)
        assert said.count("<") == said.count(">") == sum(1 for one in part.entities if _is_shown_link(part.text, one))
    assert "<" not in escape(text)


def _is_shown_link(text: str, one: Entity) -> bool:
    return one.type == "text_link" and bool(one.url) and bool(text[one.offset : one.offset + one.length].strip())


@given(sound)
@example("\u2026" * 60)
@example("😀 a\0 b 👍🏽")
def test_short_messages(text: str) -> None:
    """It costs no more segments than before, and what is visible of it never vanishes whole."""
    found = cheap(text)
    assert segments(found) <= segments(text)
    assert bool(found.strip()) == bool(text.strip())
    assert [one for one in found if one in string.ascii_letters and one not in "TMRcx"] == [
        one for one in text if one in string.ascii_letters and one not in "TMRcx"
    ] or not text.isascii()


@given(sound)
@example("<think>")
@example("a <think> b")
@example("`<think>` a </think> b")
def test_thoughts(text: str) -> None:
    """What is left was there before, in order; a text without any tag is untouched."""
    found = without_thoughts(text)
    left = iter(text)
    assert all(one in left for one in found)
    if not any(mark in text for mark in "<[◁"):
        assert found == text.strip()


@given(sound)
@example("\n" * 500 + "#")
def test_speaking(text: str) -> None:
    """What is spoken was written, in order, and something is spoken of anything."""
    left = iter(text)
    assert all(one in left for one in speakable(text))
    assert bool(speakable(text)) == bool(text)


said = st.lists(
    st.sampled_from(
        ["My name is ", "I live in ", "I like ", "remember that ", "my dog is called ", "Ann", "Rome", ". ", "? ", "\n"]
    )
    | words,
    max_size=12,
).map(lambda parts: valid_text("".join(parts)))


@given(said, said)
@example("Remember that " + "x" * 2000, "")
def test_statements(text: str, person: str) -> None:
    """Facts are one line each and bounded; folding them in twice is the same as once, and no other line changes."""
    facts = list(stated(text))
    for fact in facts:
        assert len(fact.value) <= NOTE_CHARS
        assert fact.value.strip()
        assert "\n" not in fact.key + fact.value
    folded = fold(person, facts)
    assert len(folded.encode()) <= max(FILE_BYTES, len(person.encode()) + 1)
    kept = [line for line in person.splitlines() if not bullets(line)]
    assert [line for line in folded.splitlines() if not bullets(line)][: len(kept)] == kept


@given(sound, st.integers(0, 60))
def test_sizes(text: str, most: int) -> None:
    """A shortened text is its beginning, and the longest one that fits."""
    found = shortened(text, most)
    assert text.startswith(found)
    assert tokens(found) <= most or not found
    assert found == text or tokens(text[: len(found) + 1]) > most


tokens_of_providers = st.sampled_from(
    [
        "123456789:" + "A" * 35,
        "sk-" + "a1" * 20,
        "xoxb-" + "1a" * 12,
        "personad_" + "q" * 32,
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl",
        "EAA" + "b" * 40,
        "Bearer " + "t" * 24,
    ]
)


@given(st.lists(words | tokens_of_providers, max_size=8).map(" ".join), tokens_of_providers)
def test_redaction(text: str, token: str) -> None:
    """A token between words is never shown, whatever stands around it; redacting again changes nothing."""
    found = redact(f"{text} {token} end")
    assert token.removeprefix("Bearer ") not in found
    assert redact(found) == found


def _inked(text: str) -> str:
    return "".join(text.split())
