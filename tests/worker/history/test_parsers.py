"""What each source's export becomes: who said what and when, and nothing that was never shown."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from proto.feeds import SOURCES, Source
from worker.history.imported import EXTRACT_CHARS, LINE_CHARS, ForeignError, Imported
from worker.history.reading import History
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

# Any in this module: JSON of exports, made for one test.


def read(path: Path, source: Source) -> tuple[list[Imported], int]:
    """The conversations, and how many records were skipped."""
    history = History(path, source)
    return [found.talk for found in history.talks()], history.skipped


def shown(talk: Imported) -> tuple[str, str, list[str]]:
    """Title, beginning and lines in a readable form; a line with a different time shows it."""
    lines = [f"{line.role}: {line.content}" for line in talk.lines]
    return talk.title, moment(talk.at), lines


def moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat(timespec="seconds")[:-6] if at else ""


def export(folder: Path, content: Any) -> Path:
    path = folder / "export"
    path.write_text(json.dumps(content))
    return path


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


def cell(words: str, when: str, answer: str, product: str = "Gemini Apps") -> str:
    """A cell of My Activity as a web page."""
    return (
        '<div class="outer-cell mdl-cell mdl-cell--12-col mdl-shadow--2dp"><div class="mdl-grid">'
        f'<div class="header-cell mdl-cell"><p class="mdl-typography--title">{product}<br></p></div>'
        f'<div class="content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1">{words}<br>{when}{answer}</div>'
        '<div class="content-cell mdl-cell mdl-cell--6-col mdl-typography--body-1 mdl-typography--text-right"></div>'
        f'<div class="content-cell mdl-cell mdl-typography--caption"><b>Products:</b><br>&emsp;{product}</div>'
        "</div></div>"
    )


PAGES = {
    "en": (
        "Prompted",
        ("Jul 11, 2026, 12:00:47\u202fPM MDT", "Jul 11, 2026, 11:58:00\u202fAM GMT-06:00"),
        "2026-07-11T17:58:00",
    ),
    "de": ("Eingegebener Prompt:", ("11.07.2026, 19:00:47 MESZ", "11.07.2026, 18:58:00 MESZ"), "2026-07-11T16:58:00"),
    "sv": ("Gav instruktionen", ("4 juli 2026 09:15:00 CEST", "4 juli 2026 09:13:00 CEST"), "2026-07-04T07:13:00"),
    "pt": (
        "Prompt enviado:",
        ("10 de mai. de 2026, 03:46:09 BRT", "10 de mai. de 2026, 03:40:00 BRT"),
        "2026-05-10T06:40:00",
    ),
    "zh": ("已提交提示", ("2026年6月20日 00:28:51 UTC", "2026年6月20日 00:20:00 UTC"), "2026-06-20T00:20:00"),
    "fr": (
        "Prompt envoyé\u202f:",
        ("20 juil. 2026, 15:04:05 UTC", "20 juil. 2026, 15:00:00 UTC"),
        "2026-07-20T15:00:00",
    ),
    "ru": ("Запрос", ("20 сент. 2026, 15:04:05 MSK", "20 сент. 2026, 15:00:00 MSK"), "2026-09-20T12:00:00"),
}


@pytest.mark.parametrize(("action", "times", "began"), PAGES.values(), ids=PAGES.keys())
@pytest.mark.parametrize("zipped", [False, True])
def test_gemini_as_a_web_page(tmp_path: Path, action: str, times: tuple[str, str], began: str, zipped: bool) -> None:
    """Takeout's default form is read in any language: prompts, also unanswered ones, without what was done."""
    page = (
        '<html><head><style>.outer-cell{}</style></head><body><div class="mdl-grid">'
        + cell(f"{action}&nbsp;And with fish?<br>Attached 1 file.<br>- <a href='a.png'>a.png</a>", times[0], "")
        + cell("Sökte efter&nbsp;wine", times[0], "", "Search")
        + cell("Created Gemini Canvas titled&nbsp;Tea", times[0], "<br>")
        + cell(
            f"{action}&nbsp;What &lt;wine&gt; goes with cheese?",
            times[1],
            "<br><p>Red &amp; <b>dry</b>.</p>\n<ul><li>or white</li></ul>",
        )
        + "</div></body></html>"
    )
    path = tmp_path / "export"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("Takeout/Min aktivitet/Gemini-appar/MinAktivitet.html", page)
            archive.writestr("Takeout/archive_browser.html", "<html><body>Hello</body></html>")
    else:
        path.write_text(page)
    (talk,), skipped = read(path, "gemini")
    title, at, lines = shown(talk)
    assert (at, skipped) == (began, 0)
    assert lines == [
        "person: What <wine> goes with cheese?",
        "assistant: Red & dry.\n- or white",
        "person: And with fish?\nAttached 1 file.\n- a.png",
    ]
    assert title == "What <wine> goes with cheese?"


def test_a_page_of_something_else(tmp_path: Path) -> None:
    """A web page without Gemini is refused as such, and one cell that is too large costs no other."""
    path = tmp_path / "export"
    path.write_text("<html>" + cell("Searched for&nbsp;wine", "Jul 11, 2026, 1:00:00 PM UTC", "", "Search"))
    with pytest.raises(ForeignError, match="no activity of Gemini"):
        read(path, "gemini")
    when = "Jul 11, 2026, 1:00:00 PM UTC"
    huge = cell("Prompted&nbsp;big", when, f"<p>{'x' * 5_000_000}</p>")
    path.write_text(
        "<html>" + cell("Prompted&nbsp;a", when, "<p>b</p>") + huge + cell("Prompted&nbsp;c", when, "<p>d</p>")
    )
    (talk,), skipped = read(path, "gemini")
    assert ([line.content for line in talk.lines], skipped) == (["c", "d", "a", "b"], 1)


@pytest.mark.parametrize("action", ["A envoyé le prompt : ", "Prompt inviato: ", "Prompt\xa0enviado: ", "Запрос: "])
def test_gemini_in_other_languages(tmp_path: Path, action: str) -> None:
    """What My Activity calls a prompt is learned from the entries, so that those without an answer are kept."""
    entries = [
        {
            "header": "Gemini Apps",
            "title": f"{action}{words}",
            "time": f"2026-07-11T12:0{number}:00Z",
            **({"safeHtmlItem": [{"html": "<p>Yes.</p>"}]} if number != 1 else {}),
        }
        for number, words in enumerate(["Do cats swim?", "Alone", "What is tea?", "Is it late?", "Why not?"])
    ]
    feedback = {"header": "Gemini Apps", "title": "Note donnée", "time": "2026-07-11T12:09:00Z"}
    (talk,), _ = read(export(tmp_path, [*reversed(entries), feedback]), "gemini")
    assert [line.content for line in talk.lines if line.role == "person"] == [
        "Do cats swim?",
        "Alone",
        "What is tea?",
        "Is it late?",
        "Why not?",
    ]


MEMORIES = [
    {
        "conversations_memory": "**Work**\nSam repairs clocks in Porto.",
        "project_memories": {"p1": "The shop opens in May."},
        "account_uuid": "a",
    }
]
PROJECT = {
    "uuid": "0198a1b2-0000-7000-8000-00000000c0de",
    "name": "Clock shop",
    "description": "Plans for the shop",
    "prompt_template": "Always answer in metric units.",
    "created_at": "2026-02-03T04:05:06Z",
    "docs": [{"filename": "rent.txt", "content": "The rent is 900 euros."}],
}


def test_canvas_and_custom_instructions_of_chatgpt(tmp_path: Path) -> None:
    """A canvas is part of its conversation; custom instructions are learned once, and change no conversation."""

    def node(name: str, parent: str, **message: Any) -> dict[str, Any]:
        return {name: {"parent": parent, "children": [], "message": message}}

    custom = {
        "content_type": "user_editable_context",
        "user_profile": "I repair clocks.",
        "user_instructions": "Be brief.",
    }
    canvas = {"name": "poem", "type": "document", "content": "The clock stands still."}
    record = {
        "title": "Poem",
        "mapping": {
            **node(
                "a",
                "",
                author={"role": "user"},
                content=custom,
                metadata={"is_visually_hidden_from_conversation": True},
            ),
            **node("b", "a", author={"role": "user"}, content={"content_type": "text", "parts": ["Write a poem."]}),
            **node(
                "c",
                "b",
                author={"role": "assistant"},
                recipient="canmore.create_textdoc",
                content={"content_type": "code", "text": json.dumps(canvas)},
            ),
            **node(
                "d",
                "c",
                author={"role": "assistant"},
                recipient="canmore.update_textdoc",
                content={"content_type": "code", "text": '{"updates": []}'},
            ),
        },
        "current_node": "d",
    }
    talks, skipped = read(export(tmp_path, [record, record]), "chatgpt")
    assert [shown(talk)[2] for talk in talks] == [
        ["person: Write a poem.", "assistant: (a document: poem)\nThe clock stands still."],
        ["person: Write a poem.", "assistant: (a document: poem)\nThe clock stands still."],
        ["person: (What I told ChatGPT:)\nI repair clocks.\nBe brief."],
    ]
    assert skipped == 0


def test_what_claude_remembers(tmp_path: Path) -> None:
    """Memories are learned as what Claude said, and each project with its instructions and documents."""
    remembered, of_project = read(export(tmp_path, MEMORIES), "claude")[0]
    assert shown(remembered) == (
        "What Claude remembers",
        "",
        ["assistant: (What Claude remembers)\n**Work**\nSam repairs clocks in Porto."],
    )
    assert "The shop opens in May." in of_project.lines[0].content
    (project,), skipped = read(export(tmp_path, PROJECT), "claude")
    assert shown(project) == (
        "Project: Clock shop",
        "2026-02-03T04:05:06",
        [
            (
                "person: (Project: Clock shop)\nPlans for the shop\nAlways answer in metric units.\n"
                "(a file: rent.txt)\nThe rent is 900 euros."
            )
        ],
    )
    assert skipped == 0


@pytest.mark.parametrize(
    ("member", "content"),
    [
        ("memories.json", MEMORIES),
        ("memories-000.json", MEMORIES),
        ("projects.json", [PROJECT]),
        ("projects/0198a1b2-0000-7000-8000-00000000c0de.json", PROJECT),
        ("conversations-003.json", [{"chat_messages": [{"sender": "human", "text": "x"}]}]),
    ],
)
def test_numbered_archives_of_claude(tmp_path: Path, member: str, content: Any) -> None:
    """An archive with only one kind of Claude's files is read."""
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, json.dumps(content))
        archive.writestr("users.json", "[]")
    assert read(path, "claude")[0]


def test_a_manifest_of_claude(tmp_path: Path) -> None:
    """The file that only names the archives is refused with what to do."""
    with pytest.raises(ForeignError, match="feed the archives that it names"):
        read(export(tmp_path, {"version": 1, "files": [{"name": "conversations-000.zip"}]}), "claude")


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
