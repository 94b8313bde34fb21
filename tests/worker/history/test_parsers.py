"""What each source's export becomes: who said what and when, and nothing that was never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proto.feeds import SOURCES, Source
from tests.worker.history.exports import export, read, shown
from worker.history.imported import EXTRACT_CHARS, LINE_CHARS, ForeignError
from worker.history.stream import LARGEST

EXPORTS = Path(__file__).parents[2] / "fixtures" / "exports"

SOURCE_OF: dict[str, Source] = {
    "chatgpt.json": "chatgpt",
    "claude.json": "claude",
    "gemini-activity.json": "gemini",
    "gemini-studio.json": "gemini",
    "gemini-session.json": "gemini",
    "grok-archive.json": "grok",
    "grok-plain.json": "grok",
    "grok-web.json": "grok",
    "personad.jsonl": "personad",
}


def test_chatgpt() -> None:
    """The shown branch without hidden messages; a spoken conversation; a looping tree; a current node that reasons."""
    talks, skipped = read(EXPORTS / "chatgpt.json", "chatgpt")
    assert [shown(talk) for talk in talks] == [
        (
            "A garden on the roof",
            "2024-05-01T08:00:00",
            [
                "person: My name is Ada. What can I plant on this {roof}?\n(an image)",
                "assistant: 42",
                'assistant: Herbs: "thyme" — and 🌿.',
            ],
        ),
        ("Spoken", "2024-05-02T08:00:00", ["person: I love rain.", "assistant: ```\nx = 1\n```"]),
        ("", "2024-05-01T08:00:21", ["person: Still there?", "assistant: Yes."]),
        ("Custom instructions", "", ["person: (What I told ChatGPT:)\nLikes herbs.\nBe brief."]),
    ]
    assert skipped == 1
    assert [line.at // 10**9 - 1714550400 for line in talks[0].lines] == [3, 7, 10]


def test_claude() -> None:
    """Blocks are preferred to the old text, files are mentioned once by name; an unknown form is skipped."""
    talks, skipped = read(EXPORTS / "claude.json", "claude")
    assert [shown(talk) for talk in talks] == [
        (
            "Boats",
            "2024-03-02T10:00:00",
            [
                "person: My dog is called Rex.\n(a file: log.txt)\nday one\nday two\n(a file: sea.png)",
                "assistant: A fine\nname.",
            ],
        ),
        ("", "2023-08-01T00:00:00", ["person: Hello", "assistant: Hi!"]),
    ]
    assert skipped == 2


def test_gemini_activity() -> None:
    """Prompts within an hour are one conversation, oldest first; other products, feedback and canvases are skipped."""
    talks, skipped = read(EXPORTS / "gemini-activity.json", "gemini")
    assert [shown(talk) for talk in talks] == [
        (
            "What wine goes with cheese?",
            "2025-06-02T18:00:00",
            [
                "person: What wine goes with cheese?\n(an image)",
                "assistant: Red.",
                "person: And with fish?",
                "assistant: With fish\nA & B:\n- a dry white\n- x < y\nAsk\nagain",
            ],
        ),
        ("Ich liebe Tee", "2025-06-02T12:00:00", ["person: Ich liebe Tee"]),
        ("送信した: お茶", "2024-01-01T00:00:00", ["person: 送信した: お茶", "assistant: はい"]),
    ]
    assert skipped == 0


def test_gemini_activity_in_the_other_order_and_long(tmp_path: Path) -> None:
    """A file with the oldest entry first gives the same conversation; an endless one is split."""
    entries = [
        {"header": "Gemini Apps", "title": f"Prompted {n}", "time": f"2025-01-01T00:{n // 60:02}:{n % 60 // 2:02}Z"}
        for n in range(201)
    ]
    forward, _ = read(export(tmp_path, entries), "gemini")
    assert [len(talk.lines) for talk in forward] == [200, 1]
    backward, _ = read(export(tmp_path, entries[199::-1]), "gemini")
    assert [talk.key() for talk in backward] == [forward[0].key()]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "gemini-studio.json",
            ("(an image)", "", ["person: (an image)", "person: What is on it?", "assistant: A cat."]),
        ),
        ("gemini-session.json", ("Fix the", "2026-08-01T10:00:00", ["person: Fix the\ntest.", "assistant: Done."])),
        (
            "grok-archive.json",
            ("Stars", "2025-02-01T20:00:00", ["person: I live in Graz. What shines there?", "assistant: Jupiter."]),
        ),
        ("grok-plain.json", ("Plain", "2025-02-02T00:00:00", ["person: Hello", "assistant: Hi"])),
        (
            "grok-web.json",
            (
                "Web",
                "2026-01-01T00:00:00",
                ["person: Draw a boat", "assistant: Here.\n(a file: boat.svg)\n(an image)"],
            ),
        ),
    ],
)
def test_one_conversation(name: str, expected: tuple[str, str, list[str]]) -> None:
    """The other forms of Gemini's and Grok's exports."""
    talks, skipped = read(EXPORTS / name, SOURCE_OF[name])
    assert ([shown(talk) for talk in talks], skipped) == ([expected], 0)


def test_grok_times() -> None:
    """Grok's archive writes a message's time as a 64-bit number of milliseconds."""
    (talk,), _ = read(EXPORTS / "grok-archive.json", "grok")
    assert [line.at for line in talk.lines] == [1738440001_000_000_000, 1738440002_000_000_000]


def test_personad() -> None:
    """A channel's day is a conversation; perceived text counts, notices and visitors do not."""
    talks, skipped = read(EXPORTS / "personad.jsonl", "personad")
    assert [shown(talk) for talk in talks] == [
        (
            "web, 2025-11-30",
            "2025-11-30T10:53:20",
            ["person: Good morning", "assistant: Good morning, Ada.", "person: (a file: memo.ogg)\nbuy bread"],
        ),
        ("telegram, 2025-11-30", "2025-11-30T10:53:20", ["person: I like figs."]),
        ("web, 2025-12-01", "2025-12-01T10:53:20", ["person: Next day"]),
    ]
    assert skipped == 0


def test_personad_of_version_1_and_2(tmp_path: Path) -> None:
    """Two chats on one channel on one day are two conversations, whichever version exported them."""
    head = {"role": "person", "at": 1764500000000001000}
    channel = {"type": "telegram", "name": "t"}
    old = [{**head, "channel": channel, "content": chat, "talk": f"00000000000000aa:{chat}"} for chat in "7877"]
    named = {**channel, "id": "00000000000000aa"}
    new = [{**head, "channel": named, "content": chat, "chat": chat} for chat in "7877"]
    for number, lines in enumerate((old, new)):
        path = tmp_path / f"{number}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        talks, _ = read(path, "personad")
        assert [[line.content for line in talk.lines] for talk in talks] == [["7", "7", "7"], ["8"]]


@pytest.mark.parametrize("name", SOURCE_OF)
@pytest.mark.parametrize("source", SOURCES)
def test_the_wrong_source_names_the_right_one(name: str, source: Source) -> None:
    """Another source's export is refused before any of it is read, and the error names the right source."""
    if source == SOURCE_OF[name]:
        assert read(EXPORTS / name, source)[0]
        return
    with pytest.raises(ValueError, match=rf"not of .*: name {SOURCE_OF[name]} as|is not JSON|is no export of personad"):
        read(EXPORTS / name, source)


@pytest.mark.parametrize("content", [[1], [{}], ["text"], [[]], {"a": 1}, [None], [{"mapping": None}]])
@pytest.mark.parametrize("source", ["chatgpt", "claude", "gemini", "grok"])
def test_an_unknown_form(content: Any, source: Source, tmp_path: Path) -> None:
    """JSON of an unknown form is refused, whatever source it is given as."""
    with pytest.raises(ForeignError, match="no export of"):
        read(export(tmp_path, content), source)


@pytest.mark.parametrize("source", ["chatgpt", "claude", "gemini", "grok"])
def test_an_empty_list_is_an_export_without_conversations(source: Source, tmp_path: Path) -> None:
    """An export without conversations is still an export."""
    assert read(export(tmp_path, []), source) == ([], 0)


def test_later_records_of_an_unknown_form_are_skipped(tmp_path: Path) -> None:
    """Unreadable records among readable conversations are counted and left out."""
    good = json.loads((EXPORTS / "chatgpt.json").read_text())[1]
    bad = [3, {"mapping": {"x": {"message": {"author": 5}}}}, {"mapping": []}, None]
    talks, skipped = read(export(tmp_path, [good, *bad, good]), "chatgpt")
    assert (len(talks), skipped) == (2, len(bad))


def test_a_record_that_is_too_large_is_skipped(tmp_path: Path) -> None:
    """One endless conversation does not affect the others."""
    good = {"chat_messages": [{"sender": "human", "text": "x"}]}
    talks, skipped = read(export(tmp_path, [good, {"chat_messages": ["x" * LARGEST]}, good]), "claude")
    assert (len(talks), skipped) == (2, 1)


def test_long_words_are_cut(tmp_path: Path) -> None:
    """A message is limited to what one mind call takes, an attached text to less."""
    attachment = {"file_name": "a" * 999, "extracted_content": "y" * 9999}
    messages = [
        {"sender": "human", "text": "x" * (LINE_CHARS + 1)},
        {"sender": "human", "text": "", "attachments": [attachment]},
    ]
    (talk,), _ = read(export(tmp_path, [{"chat_messages": messages}]), "claude")
    assert [line.content.count(letter) for line, letter in zip(talk.lines, "xy", strict=True)] == [
        LINE_CHARS,
        EXTRACT_CHARS,
    ]


@pytest.mark.parametrize("stamp", ["never", "2024-13-01", -5.0, 1e300, 0, None, "0001-01-01T00:00:00"])
def test_times_that_are_none(stamp: Any, tmp_path: Path) -> None:
    """A time outside the supported range is no time."""
    (talk,), _ = read(
        export(tmp_path, [{"created_at": stamp, "chat_messages": [{"sender": "human", "text": "x"}]}]), "claude"
    )
    assert (talk.at, talk.lines[0].at) == (0, 0)


def test_the_key_is_of_the_words(tmp_path: Path) -> None:
    """The key ignores title, id and time; another text, another speaker or a split line changes it."""

    def key(*said: tuple[str, str], **more: Any) -> str:
        messages = [{"sender": sender, "text": text} for sender, text in said]
        (talk,), _ = read(export(tmp_path, [{"chat_messages": messages, **more}]), "claude")
        return talk.key()

    same = key(("human", "a b"))
    assert key(("human", " a b\n"), name="T", uuid="1", created_at="2024-01-01") == same
    others = [key(("assistant", "a b")), key(("human", "a"), ("human", "b")), key(("human", "a c"))]
    assert len({same, *others}) == 4


def test_halves_of_emojis(tmp_path: Path) -> None:
    """A title that JavaScript cut inside an emoji breaks neither the export nor whole emojis."""
    path = tmp_path / "export"
    path.write_text(
        r'[{"name": "cut \ud83d", "chat_messages": [{"sender": "human", "text": "\\ud83d \ud83d\ude00 \ude00"}]}]'
    )
    (talk,), skipped = read(path, "claude")
    assert (talk.title, talk.lines[0].content, skipped) == ("cut \ufffd", "\\ud83d 😀 \ufffd", 0)
