"""What another AI knew beside the conversations: memories, projects, documents, instructions."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.worker.history.exports import export, read, shown
from worker.history.imported import ForeignError

# Any in this module: JSON of exports, made for one test.

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
