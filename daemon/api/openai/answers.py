"""The answers of the chat completions door: a whole completion, or chunks of one.

https://platform.openai.com/docs/api-reference/chat/object
https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from daemon.http.openai_errors import ApiError, ErrorAnswer
from proto.costs import Used
from proto.messages import Outgoing

BYTES_A_TOKEN: Final = 4
"""Of plain text, for an estimate."""

DONE: Final = b"data: [DONE]\n\n"
KEEP_ALIVE: Final = b": she thinks\n\n"
"""A comment, which keeps proxies from hanging up (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""


class PromptTokensDetails(msgspec.Struct, frozen=True):
    """Tokens that the provider of her mind had read before."""

    cached_tokens: int = 0


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens of the prompt and of her answer, as her mind reported them, or else an estimate."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails = PromptTokensDetails()


class AnswerMessage(msgspec.Struct):
    """What she said."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(msgspec.Struct):
    """The only choice."""

    message: AnswerMessage
    index: int = 0
    logprobs: None = None
    finish_reason: str = "stop"


class ChatCompletion(msgspec.Struct):
    """A whole answer; ``created`` is in epoch seconds."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage
    object: Literal["chat.completion"] = "chat.completion"


class Delta(msgspec.Struct, omit_defaults=True):
    """What a chunk adds."""

    role: str = ""
    content: str | None = None


class ChunkChoice(msgspec.Struct):
    """What a chunk adds to the only choice."""

    delta: Delta
    index: int = 0
    logprobs: None = None
    finish_reason: str | None = None


class ChatCompletionChunk(msgspec.Struct):
    """A chunk of an answer. ``usage`` is there if it was asked for: null in all chunks but the last."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    usage: TokenUsage | msgspec.UnsetType | None = msgspec.UNSET


def text_of(persona_id: str, messages: Sequence[Outgoing]) -> str:
    """Return what she said as one text in Markdown; a picture that she made is a link to it."""
    return "\n\n".join(_one(persona_id, message) for message in messages)


def _one(persona_id: str, message: Outgoing) -> str:
    if message.kind != "image" or not message.media:
        return message.content
    words = " ".join(message.content.replace("[", "(").replace("]", ")").split())
    return f"![{words}](/api/persona/{persona_id}/media/{message.media})"


def usage_of(used: Used | None, size: int, answer: str) -> TokenUsage:
    """Return what her mind used, or an estimate for a request of ``size`` bytes of text and its answer."""
    if used is None:
        return estimate(size, answer)
    total = used.input + used.output
    return TokenUsage(used.input, used.output, total, PromptTokensDetails(used.cached))


def estimate(size: int, answer: str) -> TokenUsage:
    """Estimate the tokens of a request of ``size`` bytes of text, and of its answer."""
    asked, said = -(-size // BYTES_A_TOKEN), -(-len(answer.encode()) // BYTES_A_TOKEN)
    return TokenUsage(asked, said, asked + said)


class Chunks:
    """Makes the chunks of one answer, each as an event."""

    def __init__(self, id_: str, created: int, model: str, *, with_usage: bool) -> None:
        self._id = id_
        self._created = created
        self._model = model
        self._usage: msgspec.UnsetType | None = None if with_usage else msgspec.UNSET

    def begin(self) -> bytes:
        """The first one, which says who speaks."""
        return self._event([ChunkChoice(Delta("assistant", ""))])

    def text(self, words: str) -> bytes:
        """One with more words."""
        return self._event([ChunkChoice(Delta(content=words))])

    def end(self) -> bytes:
        """The one that says that this was all."""
        return self._event([ChunkChoice(Delta(), finish_reason="stop")])

    def usage(self, usage: TokenUsage) -> bytes:
        """The one with the tokens of the whole."""
        return self._event([], usage)

    def _event(self, choices: list[ChunkChoice], usage: TokenUsage | None = None) -> bytes:
        chunk = ChatCompletionChunk(self._id, self._created, self._model, choices, usage=usage or self._usage)
        return event(msgspec.json.encode(chunk))


def event(data: bytes) -> bytes:
    """Return an event with this data."""
    return b"data: " + data + b"\n\n"


def broken_off(error: ApiError) -> bytes:
    """Return the event that ends a stream with an error."""
    return event(msgspec.json.encode(ErrorAnswer(error)))
