"""ChatGPT's export: each conversation is a tree of messages. Only the branch that the product shows is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from proto.unicode_text import valid_json
from worker.history.forms import conversations_of
from worker.history.imported import (
    AUDIO,
    EXTRACT_CHARS,
    IMAGE,
    LINE_CHARS,
    TITLE_CHARS,
    VIDEO,
    Imported,
    Said,
    Stamp,
    conversation,
    from_stamp,
    joined,
)
from worker.history.stream import JsonStream

MEMBERS: Final = re.compile(r"conversations(?:-\d+)?\.json")

_ASSETS: Final = {
    "image_asset_pointer": IMAGE,
    "audio_asset_pointer": AUDIO,
    "video_container_asset_pointer": VIDEO,
    "real_time_user_audio_video_asset_pointer": AUDIO,
}
_SPOKEN: Final = "audio_transcription"
_CUSTOM: Final = "user_editable_context"
"""The kind of the hidden message with the custom instructions."""

MOST_CUSTOM: Final = 100
"""Versions of the custom instructions in one export."""

_CANVAS: Final = "canmore.create_textdoc"

_CITATION: Final = re.compile("\ue200[^\ue200\ue201]{0,400}\ue201|【[^【】]{0,80}†[^【】]{0,80}】")
"""Marks in an answer that refer to its sources, which are not part of the export."""


class Part(msgspec.Struct):
    """A part of a message that is not plain text."""

    content_type: str | None = None
    text: str | None = None


class Content(msgspec.Struct):
    """The content of a message. Its fields depend on ``content_type``."""

    content_type: str | None = None
    parts: list[str | Part | None] | None = None
    text: str | None = None
    user_profile: str | None = None
    user_instructions: str | None = None


class Canvas(msgspec.Struct):
    """A document that the assistant writes beside the conversation."""

    name: str | None = None
    content: str | None = None


class Author(msgspec.Struct):
    """The author of a message: user, assistant, system or tool."""

    role: str | None = None


class Metadata(msgspec.Struct):
    """Further facts about a message."""

    is_visually_hidden_from_conversation: bool | None = None


class Message(msgspec.Struct):
    """One message. ``recipient`` is "all" or the name of the tool that the assistant calls."""

    author: Author | None = None
    content: Content | None = None
    create_time: Stamp = None
    recipient: str | None = None
    metadata: Metadata | None = None


class Node(msgspec.Struct):
    """A node of the tree. Children after the first are edits and regenerated answers."""

    message: Message | None = None
    parent: str | None = None
    children: list[str] | None = None


class Record(msgspec.Struct):
    """One conversation as it is exported."""

    mapping: dict[str, Node]
    title: str | None = None
    create_time: Stamp = None
    current_node: str | None = None


_decoder = msgspec.json.Decoder(Record)
_canvases = msgspec.json.Decoder(Canvas)


def talks(document: JsonStream) -> Iterator[Imported | None]:
    """Yield the conversations, or None for one that has no text or cannot be read, then the custom instructions.

    They are learned once, because as a part of each conversation they would change the keys of all.
    """
    told: dict[str, None] = {}

    def talks_of(record: Record) -> Iterator[Imported | None]:
        for text in map(_custom, record.mapping.values()):
            if text and len(told) < MOST_CUSTOM:
                told[text] = None
        yield _talk(record)

    yield from conversations_of("chatgpt", document.values(), _decoder, talks_of)
    for text in told:
        yield conversation("Custom instructions", 0, [Said("person", f"(What I told ChatGPT:)\n{text}")])


def _custom(node: Node) -> str:
    """Return what the person told ChatGPT about themselves, which stands in each conversation."""
    content = node.message.content if node.message else None
    if content is None or content.content_type != _CUSTOM:
        return ""
    return joined((content.user_profile, content.user_instructions))[:LINE_CHARS]


def _talk(record: Record) -> Imported | None:
    said = (_said(node.message) for node in _shown(record) if node.message)
    return conversation(record.title, from_stamp(record.create_time), filter(None, said))


def _shown(record: Record) -> list[Node]:
    """Return the nodes from the root to the last shown message. Each comes once, even if the parents form a loop."""
    path: list[Node] = []
    seen: set[str] = set()
    name = _last(record)
    while name in record.mapping and name not in seen:
        seen.add(name)
        path.append(record.mapping[name])
        name = path[-1].parent or ""
    return path[::-1]


def _last(record: Record) -> str:
    """Find the end of the shown branch: the current node, or the shown answer after it if it is hidden reasoning.

    Without a current node it is the newest leaf.
    """
    tree = record.mapping
    name = record.current_node or ""
    if name not in tree:
        leaves = [leaf for leaf, node in tree.items() if not any(child in tree for child in node.children or ())]
        return max(leaves or tree, key=lambda leaf: from_stamp(_time(tree[leaf])), default="")
    seen: set[str] = set()
    while name not in seen and not _is_shown(tree[name]):
        seen.add(name)
        name = next((child for child in reversed(tree[name].children or []) if child in tree), name)
    return name if _is_shown(tree[name]) else record.current_node or ""


def _time(node: Node) -> Stamp:
    return node.message.create_time if node.message else None


def _is_shown(node: Node) -> bool:
    return node.message is not None and _said(node.message) is not None


def _said(message: Message) -> Said | None:
    """Return what the person saw of a message, or None for a hidden one."""
    hidden = message.metadata and message.metadata.is_visually_hidden_from_conversation
    if hidden or message.content is None:
        return None
    at = from_stamp(message.create_time)
    if message.recipient == _CANVAS:
        return _written(message.content, at)
    if message.recipient not in (None, "all"):
        return None
    match message.author and message.author.role:
        case "user":
            said = Said("person", _words(message.content), at)
        case "assistant":
            said = Said("assistant", _words(message.content), at)
        case "tool":
            said = Said("assistant", _output(message.content), at)
        case _:
            return None
    return said if said.words else None


def _written(content: Content, at: int) -> Said | None:
    """Return a canvas as the assistant first wrote it; later changes to it are patterns and not text."""
    code = content.text or joined(part for part in content.parts or () if isinstance(part, str))
    try:
        canvas = _canvases.decode(valid_json(code))
    except (msgspec.DecodeError, RecursionError):
        return None
    text = (canvas.content or "").strip()[:EXTRACT_CHARS]
    named = " ".join((canvas.name or "").split())[:TITLE_CHARS]
    return Said("assistant", f"(a document: {named})\n{text}", at) if text else None


def _words(content: Content) -> str:
    match content.content_type or "text":
        case "text" | "multimodal_text":
            return _CITATION.sub("", joined(_parts(content)))
        case "code":
            return f"```\n{content.text.strip()}\n```" if content.text and content.text.strip() else ""
        case "execution_output":
            return _output(content)
        case _:
            return ""


def _output(content: Content) -> str:
    """Return what a tool shows: a program's output or a picture. Pages that it reads are left out."""
    if content.content_type == "execution_output":
        return joined((content.text, *(part for part in content.parts or () if isinstance(part, str))))[:EXTRACT_CHARS]
    if content.content_type == "multimodal_text":
        return joined(_asset(part) for part in content.parts or () if isinstance(part, Part))
    return ""


def _parts(content: Content) -> Iterator[str | None]:
    parts = content.parts if content.parts is not None else [content.text]
    spoken = any(isinstance(part, Part) and part.content_type == _SPOKEN and part.text for part in parts)
    for part in parts:
        if isinstance(part, Part):
            asset = _asset(part)
            # A recording with a transcript beside it needs no mention.
            yield "" if spoken and asset == AUDIO else asset
        else:
            yield part


def _asset(part: Part) -> str:
    if part.content_type in (_SPOKEN, "text"):
        return part.text or ""
    return _ASSETS.get(part.content_type or "", "")
