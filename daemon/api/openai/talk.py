"""The messages of a request: what was said before, what is new, and what the program asks of her.

New are the person's messages after the last answer. What was said before is told by the request: clients send the whole
conversation each time, and may have left out or changed some of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from daemon.api.openai.refusals import Refused, invalid_type, invalid_value, missing, too_long
from proto.messages import Line
from proto.perception import PerceptionKind

MOST_MESSAGES: Final = 10_000
MOST_NEW_FILES: Final = 16
MOST_NEW: Final = 32
"""New messages of one request; all of them are answered in one turn."""

INSTRUCTION_CHARS: Final = 32_768
HISTORY_CHARS: Final = 100_000
"""Characters of the earlier messages that are kept for her mind, the newest ones. A prompt takes less."""

HISTORY_LINES: Final = 1000

PICTURES: Final = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}
RECORDINGS: Final = {"wav": ".wav", "mp3": ".mp3"}

ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w-]+=[\w.-]+)*;base64,", re.IGNORECASE)
_NO_FETCHING: Final = (
    "Send the picture itself, as a data: URL in base64. personad fetches nothing from the network for a request."
)
_SHOWN: Final = "(With this the person sent {}.)"


class File(msgspec.Struct, frozen=True):
    """A picture or a recording in a request."""

    kind: PerceptionKind
    extension: str
    data: bytes


class Message(msgspec.Struct, frozen=True):
    """A new message; ``key`` is made of everything that was said up to it."""

    key: str
    text: str
    files: tuple[File, ...] = ()


class Talk(msgspec.Struct, frozen=True):
    """What the messages of a request say. ``chars`` is the length of all of it, for an estimate of its tokens."""

    new: list[Message]
    history: list[Line]
    instructions: str
    size: int

    @property
    def key(self) -> str:
        """Identifies the request by all that was said in it."""
        return self.new[-1].key


class _Part(msgspec.Struct, frozen=True):
    """A part of a message that is no text, as it came; it is decoded only if it is new."""

    kind: Literal["image", "audio"]
    param: str
    form: str
    data: str


class _Said(msgspec.Struct, frozen=True):
    param: str
    role: str
    text: str
    parts: tuple[_Part, ...] = ()


def read_talk(value: object, at: int, message_chars: int) -> Talk:
    """Read ``messages``. ``at`` is the time of the earlier ones, which no client tells. Raises Refused."""
    said = list(_messages(value))
    instructions = "\n\n".join(one.text for one in said if one.role in ("system", "developer") and one.text)
    if len(instructions) > INSTRUCTION_CHARS:
        raise too_long("messages", INSTRUCTION_CHARS, len(instructions))
    spoken = [one for one in said if one.role not in ("system", "developer")]
    if not spoken or spoken[-1].role != "user":
        raise Refused(
            400,
            "The last message must have the role 'user': there is nothing else that she could answer.",
            param="messages",
            code="invalid_value",
        )
    first = len(spoken)
    while first and spoken[first - 1].role == "user":
        first -= 1
    before, new = spoken[:first], spoken[first:]
    if len(new) > MOST_NEW:
        raise Refused(400, f"At most {MOST_NEW} new messages can be answered at once.", param="messages")
    digest = hashlib.sha256()
    for one in before:
        _note(digest, one)
    messages = []
    for one in new:
        if len(one.text) > message_chars:
            raise too_long(f"{one.param}.content", message_chars, len(one.text))
        _note(digest, one)
        messages.append(Message(digest.hexdigest()[:32], one.text, tuple(_file(part) for part in one.parts)))
    if sum(len(one.files) for one in messages) > MOST_NEW_FILES:
        raise Refused(400, f"At most {MOST_NEW_FILES} new pictures and recordings can be taken.", param="messages")
    size = sum(len(one.text.encode()) for one in said)
    return Talk(messages, _history(before, at), instructions, size)


def _messages(value: object) -> Iterator[_Said]:
    if not isinstance(value, list):
        raise invalid_type("messages", "an array of objects", value)
    if not value:
        message = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise Refused(400, message, param="messages", code="empty_array")
    if len(value) > MOST_MESSAGES:
        message = (
            f"Invalid 'messages': array too long. Expected an array with maximum length {MOST_MESSAGES}, but got an"
            f" array with length {len(value)} instead."
        )
        raise Refused(400, message, param="messages", code="array_above_max_length")
    for number, one in enumerate(value):
        yield _message(f"messages[{number}]", one)


def _message(param: str, value: object) -> _Said:
    if not isinstance(value, dict):
        raise invalid_type(param, "an object", value)
    role = value.get("role")
    if role is None:
        raise missing(f"{param}.role")
    if not isinstance(role, str):
        raise invalid_type(f"{param}.role", "a string", role)
    if role not in ROLES:
        raise invalid_value(f"{param}.role", role, ", ".join(f"'{one}'" for one in ROLES[:-1]) + f", and '{ROLES[-1]}'")
    content = value.get("content")
    if content is None:
        if role in ("assistant", "tool", "function"):
            return _Said(param, role, "")
        raise missing(f"{param}.content") if "content" not in value else _no_content(param, content)
    if isinstance(content, str):
        return _Said(param, role, content)
    if not isinstance(content, list):
        raise _no_content(param, content)
    texts, parts = list[str](), list[_Part]()
    for number, part in enumerate(content):
        found = _part(f"{param}.content[{number}]", part, role)
        if isinstance(found, str):
            texts.append(found)
        else:
            parts.append(found)
    return _Said(param, role, "\n".join(texts), tuple(parts))


def _no_content(param: str, content: object) -> Refused:
    return invalid_type(f"{param}.content", "one of a string or array of objects", content)


def _part(param: str, value: object, role: str) -> str | _Part:
    if not isinstance(value, dict):
        raise invalid_type(param, "an object", value)
    kind = value.get("type")
    if not isinstance(kind, str):
        raise missing(f"{param}.type") if kind is None else invalid_type(f"{param}.type", "a string", kind)
    if kind in ("text", "refusal"):
        return _text(f"{param}.{kind}", value.get(kind))
    if role == "user" and kind == "image_url":
        return _picture(f"{param}.image_url", value.get("image_url"))
    if role == "user" and kind == "input_audio":
        return _recording(f"{param}.input_audio", value.get("input_audio"))
    taken = "'text', 'image_url', and 'input_audio'" if role == "user" else "'text'"
    raise invalid_value(f"{param}.type", kind, taken)


def _text(param: str, value: object) -> str:
    if value is None:
        raise missing(param)
    if not isinstance(value, str):
        raise invalid_type(param, "a string", value)
    return value


def _picture(param: str, value: object) -> _Part:
    if not isinstance(value, dict):
        raise invalid_type(param, "an object", value)
    url = _text(f"{param}.url", value.get("url"))
    found = _DATA_URL.match(url)
    if found is None:
        if url[:5].lower() == "data:":
            message = "Invalid image URL: it must be data:image/...;base64,..."
            raise Refused(400, message, param=f"{param}.url", code="invalid_image_url")
        raise Refused(400, _NO_FETCHING, param=f"{param}.url", code="invalid_image_url")
    form = found[1].lower()
    if form not in PICTURES:
        message = (
            "You uploaded an unsupported image. Please make sure your image has of one the following formats:"
            " ['png', 'jpeg', 'gif', 'webp']."
        )
        raise Refused(400, message, param=f"{param}.url", code="invalid_image_format")
    return _Part("image", f"{param}.url", PICTURES[form], url[found.end() :])


def _recording(param: str, value: object) -> _Part:
    if not isinstance(value, dict):
        raise invalid_type(param, "an object", value)
    form = _text(f"{param}.format", value.get("format"))
    if form not in RECORDINGS:
        raise invalid_value(f"{param}.format", form, "'wav' and 'mp3'")
    return _Part("audio", f"{param}.data", RECORDINGS[form], _text(f"{param}.data", value.get("data")))


def _file(part: _Part) -> File:
    try:
        data = base64.b64decode(part.data, validate=True)
    except (binascii.Error, ValueError) as found:
        raise Refused(400, f"Invalid base64 in '{part.param}'.", param=part.param, code="invalid_base64") from found
    if not data:
        raise Refused(400, f"There is nothing in '{part.param}'.", param=part.param, code="invalid_base64")
    return File(part.kind, part.form, data)


def _note(digest: Any, said: _Said) -> None:  # Any: hashlib's type has no public name
    """Add a message to the digest of what was said."""
    for field in (said.role, said.text, *(part.data for part in said.parts)):
        raw = field.encode()
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    digest.update(b"\xff")


def _history(before: list[_Said], at: int) -> list[Line]:
    """Return the newest of the earlier messages as lines; results of tools are another program's."""
    room, lines = HISTORY_CHARS, list[Line]()
    for one in reversed([one for one in before if one.role in ("user", "assistant")]):
        text = one.text
        if one.parts:
            things = [f"{'a picture' if part.kind == 'image' else 'a recording'}" for part in one.parts]
            text = f"{text}\n{_SHOWN.format(', '.join(things[:4]))}".strip()
        if not text.strip():
            continue
        room -= len(text)
        if room < 0 or len(lines) == HISTORY_LINES:
            break
        lines.append(Line("person" if one.role == "user" else "assistant", text, at))
    return lines[::-1]
