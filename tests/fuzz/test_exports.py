"""Exports of other AIs, from strangers' machines: read, skipped and counted, or refused with a HistoryError."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any, Final, get_args

from hypothesis import example, given
from hypothesis import strategies as st

from proto.feeds import FromFeeder, Offered, Source
from proto.framing import Codec
from tests.fuzz.strategies import (
    DEEP,
    SECRET,
    bent,
    documents,
    json_values,
    numbers,
    objects,
    outcome,
    packed,
    words,
    written,
)
from worker.history.activity_page import ActivityPage
from worker.history.imported import LINE_CHARS, TITLE_CHARS, HistoryError, from_stamp
from worker.history.markup import plain_text
from worker.history.reading import Found, History
from worker.history.stream import JsonStream

FIXTURES: Final = Path(__file__).parent.parent / "fixtures" / "exports"
_UNION: Final[Any] = FromFeeder
CODEC: Final = Codec[Any](_UNION)

sources: st.SearchStrategy[Source] = st.sampled_from(get_args(Source))
stamps = (
    numbers | words | st.sampled_from(["2026-07-11T12:00:00Z", 1752232847.5, "0001-01-01", "9999-12-31T23:59:59+23:59"])
)
_part = words | objects(
    {"content_type": st.sampled_from(["text", "image_asset_pointer", "audio_transcription"]), "text": words}
)
_node = objects(
    {
        "message": objects(
            {
                "author": objects({"role": st.sampled_from(["user", "assistant", "tool", "system"])}),
                "content": objects(
                    {
                        "content_type": st.sampled_from(["text", "multimodal_text", "code", "user_editable_context"]),
                        "parts": st.lists(_part, max_size=3),
                        "text": words | json_values.map(lambda one: written(one).decode()),
                        "user_profile": words,
                    }
                ),
                "create_time": stamps,
                "recipient": st.sampled_from(["all", "canmore.create_textdoc", "x"]),
            }
        ),
        "parent": st.sampled_from(["a", "b", "c"]),
        "children": st.lists(st.sampled_from(["a", "b", "c"]), max_size=3),
    }
)
chatgpt = objects(
    {
        "mapping": st.dictionaries(st.sampled_from(["a", "b", "c"]), _node),
        "title": words,
        "create_time": stamps,
        "current_node": st.sampled_from(["a", "b", "x"]),
    }
)
_file = objects({"file_name": words, "extracted_content": words})
claude = objects(
    {
        "name": words,
        "created_at": stamps,
        "chat_messages": st.lists(
            objects(
                {
                    "sender": st.sampled_from(["human", "assistant"]),
                    "text": words,
                    "content": st.lists(objects({"type": st.just("text"), "text": words}), max_size=2),
                    "created_at": stamps,
                    "attachments": st.lists(_file, max_size=2),
                    "files": st.lists(_file, max_size=2),
                }
            ),
            max_size=3,
        ),
        "conversations_memory": words,
        "project_memories": st.dictionaries(words, words, max_size=2),
        "prompt_template": words,
        "docs": st.lists(objects({"filename": words, "content": words}), max_size=2),
    }
)
gemini = objects(
    {
        "header": st.just("Gemini Apps"),
        "title": words | st.just("Prompted x"),
        "time": st.just("2026-07-11T12:00:00Z") | words,
        "products": st.just(["Gemini Apps"]),
        "safeHtmlItem": st.lists(objects({"html": words | st.just("<p>a</p>")}), max_size=2),
        "chunkedPrompt": objects({"chunks": st.lists(objects({"role": st.just("user"), "text": words}), max_size=3)}),
        "sessionId": words,
        "messages": st.lists(objects({"type": st.just("user"), "content": words | json_values}), max_size=2),
    }
)
_date = stamps | objects({"$date": stamps | objects({"$numberLong": words | st.integers().map(str)})})
_response = objects({"sender": st.sampled_from(["human", "ASSISTANT"]), "message": words, "create_time": _date})
grok = objects(
    {
        "conversation": objects({"title": words, "create_time": _date}),
        "responses": st.lists(objects({"response": _response}) | _response, max_size=3),
    }
)
line = objects(
    {
        "role": st.sampled_from(["person", "assistant"]),
        "content": words,
        "at": numbers,
        "channel": words | objects({"type": words, "name": words}),
        "media": st.none() | words,
        "perceived": words,
        "talk": words,
    }
)
fixtures = st.sampled_from(sorted(FIXTURES.glob("*.json*"))).map(Path.read_bytes)
exports = st.one_of(
    st.lists(chatgpt, max_size=3).map(written),
    st.lists(claude, max_size=3).map(written),
    st.lists(gemini, max_size=3).map(written),
    objects({"conversations": st.lists(grok, max_size=3)}).map(written),
    st.lists(line, max_size=4).map(lambda lines: b"\n".join(map(written, lines))),
    documents,
    bent(fixtures),
)


def read(document: bytes, source: Source) -> list[Found]:
    """The conversations of a file, each as it is offered to the daemon; HistoryErrors end it, as in the feeder."""
    found: list[Found] = []
    with tempfile.NamedTemporaryFile() as file:
        file.write(document)
        file.flush()
        history = History(Path(file.name), source)

        def all_of_it() -> None:
            found.extend(history.talks())

        said = outcome(all_of_it, HistoryError)
        assert len(said) < 2000
        assert history.skipped >= 0
    for number, (talk, position, size) in enumerate(found, 1):
        offer = Offered(number, talk.key(), talk.title, talk.at, len(talk.lines), position, size)
        assert CODEC.decode(CODEC.encode(offer)) == offer
        assert len(talk.title) <= TITLE_CHARS
        assert talk.lines
        for one in talk.lines:
            assert 0 < len(one.content) <= LINE_CHARS
            assert 0 <= one.at < 2**63
            one.content.encode()
    return found


def canvas(text: str) -> bytes:
    """A conversation whose only message writes a document."""
    message = {"author": {"role": "assistant"}, "recipient": "canmore.create_textdoc", "content": {"text": text}}
    return written([{"mapping": {"a": {"message": message}}, "current_node": "a"}])


@given(exports, sources)
@example(canvas('{"name": "x", "content": "y", "z": ' + "[" * DEEP), "chatgpt")
@example(canvas("[" * DEEP), "chatgpt")
@example(canvas('{"name": "\ud83d", "content": "\ud83d"}'), "chatgpt")
@example(written([{"name": "n" * (LINE_CHARS - 12), "prompt_template": "x"}]), "claude")
@example(written([{"name": "n" * (LINE_CHARS + 5), "prompt_template": "x"}]), "claude")
@example(b'{"role": "person", "content": "x", "at": %d, "channel": "web"}' % 10**25, "personad")
@example(written({"conversations": [{"conversation": {"title": "\ud83d"}}]}), "personad")
@example(b'{"x": ' + b"[" * DEEP, "personad")
@example(b'{"role": "person", "content": "x", "at": -1, "channel": "web"}', "personad")
@example(b'{"role": "person", "content": "x", "at": %d, "channel": "web"}' % (2**63 - 1), "personad")
@example(b'[{"mapping": {}, "x": ' + b"[" * 900 + b"]" * 900 + b"}]", "chatgpt")
@example(b'[{"mapping": {}, "create_time": ' + b"9" * 5000 + b"}]", "chatgpt")
@example(written({"responses": [{"sender": "human", "message": "x", "create_time": {"$date": 10**400}}]}), "grok")
def test_exports(document: bytes, source: Source) -> None:
    """Any file, said to be of any source."""
    read(document, source)


@given(json_values, st.integers(1, 40))
@example({"\ud83d": ["\ud83d\ude00", "\ude00"]}, 7)
@example([10**30, 1.5], 3)
def test_streams(value: Any, window: int) -> None:
    """The elements of a list come out whole and in order, wherever the windows end (Any: JSON)."""
    whole = written([value, "end"])
    try:
        json.dumps([value], allow_nan=False)
    except ValueError:
        # NaN and infinity are no JSON.
        assert outcome(lambda: list(JsonStream(io.BytesIO(whole), window).values()), HistoryError)
        return
    found = [json.loads(one) for one in JsonStream(io.BytesIO(whole), window).values()]
    assert len(found) == 2
    assert _sized(found[0]) == _sized(value)


def _sized(value: Any) -> str:
    """The value with every lone half as the reader's U+FFFD (Any: JSON)."""
    return json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_archive = st.dictionaries(
    st.sampled_from(
        ["conversations.json", "x/projects-2.json", "prod.json", "My Activity.html", "a.zip", "conversation.jsonl"]
    ),
    exports,
    max_size=3,
).map(packed)


@given(bent(_archive), sources)
@example(packed({"": b"[]"}), "chatgpt")
def test_archives(data: bytes, source: Source) -> None:
    """Any ZIP file, whole or bent."""
    read(data, source)


_cells = st.lists(
    st.sampled_from(
        [
            *('<div class="outer-cell">', '<p class="mdl-typography--title">Gemini Apps</p>', "<br>", "</div>"),
            *(
                '<div class="content-cell body-1">',
                "Prompted\xa0",
                "Jul 11, 2026, 12:00:47 PM MDT",
                "11.07.2026, 12:00:47 MESZ",
            ),
            *("GMT+99:99", "99999999999999999999999", "31. 2. 2026, 99:99:99", "2026", "&#xD83D;", "<p>answer</p>"),
        ]
    )
    | words,
    max_size=24,
).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))


def page(date: str) -> bytes:
    """A page with one prompt at this time."""
    head = '<div class="outer-cell"><p class="mdl-typography--title">Gemini Apps</p><div class="content-cell body-1">'
    return f"{head}Prompted\xa0x<br>{date}<br><p>answer</p></div>".encode()


@given(_cells)
@example(page("Jul 1199999999999999999999999, 2026, 12:00:47 PM"))
@example(page("Jul 11, 2026, 12:00:47 GMT+99:99"))
def test_pages(document: bytes) -> None:
    """Any web page: entries with valid texts and times of 64 bits."""
    for entry in ActivityPage(io.BytesIO(document)).entries():
        assert 0 <= entry.at < 2**63
    read(b"<html>" + document, "gemini")


@given(
    words | st.lists(st.sampled_from(["<p>", "</p>", "<li>", "<", ">", "&#0;", "&#xD83D;", "&lt;", "x"])).map("".join)
)
def test_markup(source: str) -> None:
    """What is no tag stays; what is left has no blank lines."""
    found = plain_text(source)
    assert len(found) <= len(source) + source.count("<") * 3
    assert "\n\n" not in found
    if not any(mark in source for mark in "<&"):
        assert found.split() == source.replace("\xa0", " ").split()


@given(stamps)
@example("9999-12-31T23:59:59-23:59")
@example("0001-01-01T00:00:00+23:59")
@example(float("nan"))
def test_stamps(stamp: Any) -> None:
    """A time is in the ledger's 64 bits, or 0 (Any: JSON)."""
    if isinstance(stamp, float | str | int):
        assert 0 <= from_stamp(stamp) < 2**63
        assert SECRET not in str(from_stamp(stamp))
