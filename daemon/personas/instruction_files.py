"""The form of an instruction's file.

::

    ---
    visitors: yes
    ---
    # When somebody asks for the opening hours

    Say that the shop opens at nine.

The first heading is the intention; without one the file's name is. The part between the dashes may be left out: then
visitors' conversations are not told of it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\.md")
FILE_BYTES: Final = 8 * 1024
"""The largest file."""
MOST_BYTES: Final = 16 * 1024
"""Bytes of all her instructions: some 4,000 tokens of each prompt."""
MOST_FILES: Final = 32
INTENTION_CHARS: Final = 200

_FENCE: Final = "---"
_HEADING: Final = re.compile(r"#[ \t]+(?P<intention>\S.*)")
_VISITORS: Final = re.compile(r"visitors[ \t]*:[ \t]*(?P<word>yes|no|true|false)[ \t]*", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


class InstructionFault(ValueError):
    """What is wrong with a file, in words for whoever wrote it."""


class Instruction(msgspec.Struct, frozen=True):
    """One instruction; ``name`` is the file's without ``.md``. ``visitors``: also told in visitors' conversations."""

    name: str
    intention: str
    body: str
    visitors: bool = False

    @property
    def file(self) -> str:
        """The file's name."""
        return f"{self.name}.md"

    @property
    def text(self) -> str:
        """What a mind reads."""
        return f"# {self.intention}\n\n{self.body}"

    @property
    def size(self) -> int:
        """Bytes of ``text``."""
        return len(self.text.encode())

    @property
    def tag(self) -> str:
        """What tells two texts of it apart."""
        return hashlib.sha256(f"{self.visitors}\n{self.text}".encode()).hexdigest()[:16]


def parsed(file: str, data: bytes) -> Instruction:
    """Read an instruction's file. Raises InstructionFault."""
    if len(data) > FILE_BYTES:
        raise InstructionFault(f"it is larger than {FILE_BYTES} bytes: an instruction says in short what to do")
    try:
        lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise InstructionFault(f"it is not UTF-8, at byte {error.start}: save it as UTF-8") from error
    visitors, first = _head(lines)
    text = "\n".join(lines[first:]).strip()
    head, _, rest = text.partition("\n")
    heading = _HEADING.fullmatch(head)
    name = file.removesuffix(".md")
    intention = heading["intention"].strip() if heading else name.replace("-", " ")
    return checked(Instruction(name, intention, rest.strip() if heading else text, visitors))


def checked(one: Instruction) -> Instruction:
    """Return the instruction. Raises InstructionFault when it does not say when or what to do, or is too large."""
    if not one.body.strip():
        raise InstructionFault("it says nothing below its heading: write what she is to do")
    if not one.intention.strip() or len(one.intention) > INTENTION_CHARS or _CONTROL.search(one.intention):
        raise InstructionFault(f"its heading is to be one line of at most {INTENTION_CHARS} characters")
    if len(rendered(one)) > FILE_BYTES:
        raise InstructionFault(f"it is larger than {FILE_BYTES} bytes: an instruction says in short what to do")
    return one


def rendered(one: Instruction) -> bytes:
    """Write an instruction as its file."""
    head = f"{_FENCE}\nvisitors: yes\n{_FENCE}\n" if one.visitors else ""
    return f"{head}{one.text}\n".encode()


def _head(lines: list[str]) -> tuple[bool, int]:
    """Return whether it is marked for visitors, and where its text begins. Raises InstructionFault."""
    if lines[0].strip() != _FENCE:
        return False, 0
    visitors = False
    for number, line in enumerate(lines[1:], start=1):
        if line.strip() == _FENCE:
            return visitors, number + 1
        found = _VISITORS.fullmatch(line.strip())
        if line.strip() and not found:
            raise InstructionFault(
                f"line {number + 1}: only `visitors: yes` or `visitors: no` may stand between the ---"
            )
        visitors = found["word"].lower() in ("yes", "true") if found else visitors
    raise InstructionFault(f"the {_FENCE} of its first line is not closed by another one")
