"""The question and the answer of one chat model call, in a form common to all providers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from proto.messages import ChatTurn
from proto.unicode_text import valid_text, valid_texts
from worker.prompting.size import tokens

MAX_CALLS: Final = 8
"""Tool calls in one answer; further ones are ignored."""

MAX_ARGUMENTS: Final = 16_000
"""Characters of one call's arguments."""


@dataclass(frozen=True)
class Parameter:
    """A text that a model gives to a tool."""

    name: str
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Tool:
    """A tool, as a model sees it. All of its parameters are texts."""

    name: str
    description: str
    parameters: Sequence[Parameter]

    def schema(self) -> dict[str, object]:
        """Return the parameters as JSON Schema."""
        return {
            "type": "object",
            "properties": {one.name: {"type": "string", "description": one.meaning} for one in self.parameters},
            "required": [one.name for one in self.parameters if one.required],
        }


@dataclass
class ToolCall:
    """A model's request to use a tool; ``arguments`` is JSON as the model wrote it.

    ``extra`` is opaque data that the provider wants back with the call.
    """

    id: str
    name: str
    arguments: str = ""
    extra: object = None

    def add(self, arguments: str) -> None:
        """Append a piece of the arguments, up to ``MAX_ARGUMENTS``."""
        self.arguments = (self.arguments + arguments)[:MAX_ARGUMENTS]

    def valid(self) -> ToolCall:
        """Return the same call in valid text: it is sent back with the next question."""
        return ToolCall(valid_text(self.id), valid_text(self.name), valid_text(self.arguments), valid_texts(self.extra))


@dataclass(frozen=True)
class Round:
    """An answer that used tools, and the tools' results in the order of the calls."""

    words: str
    calls: Sequence[ToolCall]
    results: Sequence[str]


@dataclass(frozen=True)
class Picture:
    """A picture that goes with a question."""

    data: bytes
    mime: str


def _to_nobody(_words: str) -> None:
    """Nobody hears the answer before it is whole."""


@dataclass(frozen=True)
class Question:
    """One call of a chat model. ``picture`` belongs to the last turn. Without ``may_call`` it must answer in text.

    ``say`` gets what may be shown of the answer while it grows.
    """

    turns: Sequence[ChatTurn]
    max_tokens: int
    picture: Picture | None = None
    tools: Sequence[Tool] = ()
    rounds: Sequence[Round] = ()
    may_call: bool = True
    say: Callable[[str], None] = _to_nobody

    @property
    def size(self) -> int:
        """Its estimated length in tokens, without the picture."""
        used = sum(tokens(one.words) + sum(map(tokens, one.results)) for one in self.rounds)
        return used + sum(tokens(turn.content) for turn in self.turns)


class End(Enum):
    """How an answer ended."""

    WHOLE = "whole"
    LENGTH = "length"
    """It reached its greatest length."""
    DECLINED = "declined"
    """The provider's filter stopped it."""
    CUT = "cut"
    """It broke off without an end."""


class Life(Enum):
    """A sign that the server still works on the answer."""

    SIGN = 1


@dataclass(frozen=True)
class Usage:
    """The tokens of a call as the provider reports them; None: not told. ``input`` includes ``cached``."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None

    def and_then(self, later: Usage) -> Usage:
        """Return both reports together; the later one counts."""
        return Usage(
            self.input if later.input is None else later.input,
            self.output if later.output is None else later.output,
            self.cached if later.cached is None else later.cached,
        )


Piece: TypeAlias = str | ToolCall | Life | End | Usage
"""What a provider's stream is read into."""


@dataclass
class Said:
    """A model's answer to a question."""

    words: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    end: End = End.CUT
    has_reasoned: bool = False
    usage: Usage | None = None
    """What the provider reported of the call; None: nothing."""
