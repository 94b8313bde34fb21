"""Minds behind OpenAI's chat completions API: OpenAI, xAI, Gemini, Ollama and every compatible server.

The API: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final, cast
from urllib.parse import urlsplit

import openai
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionContentPartParam,
    ChatCompletionMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)

from proto.messages import ChatTurn
from worker.base.organ_errors import OrganUnreachable
from worker.organs.context import MAX_ASKED, context_of
from worker.organs.event_stream import SHOWN_CHARS, Document, Json, Sign, events, sparing
from worker.organs.openai_client import QUIET, OpenAIRemote
from worker.organs.remote import at, coded, told
from worker.organs.remote_mind import RemoteMind
from worker.organs.usage import of_openai
from worker.prompting.exchange import MAX_CALLS, End, Life, Picture, Piece, Question, Round, Tool, ToolCall

_ENDS: Final = {"length": End.LENGTH, "max_tokens": End.LENGTH, "content_filter": End.DECLINED}


class OpenAIMind(OpenAIRemote, RemoteMind):
    """A model behind ``{url}/chat/completions``."""

    _unsized = MAX_ASKED
    """How often the server may still be asked for the model's size."""

    async def _pieces(self, question: Question) -> AsyncGenerator[Piece, None]:
        calls = _Calls()
        with self._named_errors():
            answer = await self._client.chat.completions.create(
                model=self._organ.name,
                messages=self._messages(question),
                stream=True,
                extra_headers=QUIET,
                extra_body={**self._limited(question), **_offer(question)},
            )
            async with answer, aclosing(events(sparing(answer.response.aiter_bytes()))) as stream:
                async for event in stream:
                    for piece in self._read(event, calls):
                        yield piece
        for call in calls.whole():
            yield call

    def _read(self, event: Json | Sign, calls: _Calls) -> Iterator[Piece]:
        """Return what an event says: text, "" for reasoning or a tool call, a sign of life, the end."""
        yield Life.SIGN
        if isinstance(event, Sign):
            if event is Sign.DONE:
                yield End.WHOLE
            return
        if event.get("error"):
            raise self._refused(200, told(event, str(event["error"])), None, code=coded(event))
        if used := of_openai(event):
            yield used
        choice = at(event, "choices", 0)
        if choice is None:
            if isinstance(event, Document):
                raise self._garbled(f"it sent {str(dict(event))[:SHOWN_CHARS]}")
            return
        delta = at(choice, "message") if isinstance(event, Document) else at(choice, "delta")
        calls.read(delta)
        yield from _texts(delta)
        reason = at(choice, "finish_reason")
        if reason == "error":
            raise self._refused(200, "its answer ended in an error", None)
        if (isinstance(reason, str) and reason) or isinstance(event, Document):
            yield from calls.whole()
            yield _ENDS.get(str(reason), End.WHOLE)

    def _status_error(self, error: openai.APIStatusError) -> OrganUnreachable:
        reached = super()._status_error(error)
        if self._is_local and error.status_code == 404:
            reached.hint = f"Get the model first: `ollama pull {self._organ.name}`."
        return reached

    async def prepare(self) -> None:
        """Ask a local server for the model's size until it tells: Ollama knows it once the model is loaded."""
        if self._is_local and self._unsized:
            self._unsized -= 1
            told = await context_of(self._url, self._organ.name, self._limits, self._transport)
            self._room.tell(told.tokens)
            self._unsized = 0 if told.is_sure else self._unsized

    def _limit_field(self) -> str:
        # OpenAI's reasoning models refuse max_tokens; most compatible servers support only that.
        host = urlsplit(self._url).hostname or ""
        return "max_completion_tokens" if host.endswith((".openai.com", ".azure.com")) else "max_tokens"

    def _limited(self, question: Question) -> dict[str, object]:
        told: dict[str, object] = {"stream_options": {"include_usage": True}} if self._dialect.tells_usage else {}
        return {**told, self._dialect.limit_field: question.max_tokens} if self._dialect.limit_field else told

    def _messages(self, question: Question) -> list[ChatCompletionMessageParam]:
        messages = list(_messages(question))
        return [_in_parts(message) for message in messages] if self._dialect.in_parts else messages


class _Calls:
    """Tool calls, assembled from the chunks of a stream."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._by_index: dict[object, ToolCall] = {}

    def read(self, delta: object) -> None:
        """Take a delta's parts of tool calls. Some servers give every call the same index, but never the same id."""
        deltas = at(delta, "tool_calls")
        for delta in deltas if isinstance(deltas, list) else ():
            index, identity = at(delta, "index"), at(delta, "id")
            name, arguments = at(delta, "function", "name"), at(delta, "function", "arguments")
            call = self._by_index.get(index)
            if call is None or (isinstance(identity, str) and identity not in ("", call.id)):
                if not isinstance(name, str) or len(self._calls) == MAX_CALLS:
                    continue
                fresh = identity if isinstance(identity, str) and identity else f"call_{len(self._calls)}"
                call = ToolCall(fresh, name, extra=at(delta, "extra_content"))
                self._by_index[index] = call
                self._calls.append(call)
            call.add(arguments if isinstance(arguments, str) else "")

    def whole(self) -> list[ToolCall]:
        """Return all calls, once the answer has ended, and forget them."""
        calls, self._calls = self._calls, []
        return calls


def _messages(question: Question) -> Iterator[ChatCompletionMessageParam]:
    *before, last = question.turns
    yield from map(_message, before)
    yield _message(last) if question.picture is None else _pictured(last, question.picture)
    for one in question.rounds:
        yield from _round(one)


def _in_parts(message: ChatCompletionMessageParam) -> ChatCompletionMessageParam:
    content = message.get("content")
    if not isinstance(content, str):
        return message
    return cast("ChatCompletionMessageParam", {**message, "content": [{"type": "text", "text": content}]})


def _message(turn: ChatTurn) -> ChatCompletionMessageParam:
    if turn.role == "system":
        return ChatCompletionSystemMessageParam(role="system", content=turn.content)
    if turn.role == "user":
        return ChatCompletionUserMessageParam(role="user", content=turn.content)
    return ChatCompletionAssistantMessageParam(role="assistant", content=turn.content)


def _pictured(turn: ChatTurn, picture: Picture) -> ChatCompletionUserMessageParam:
    url = f"data:{picture.mime};base64,{base64.b64encode(picture.data).decode()}"
    parts: list[ChatCompletionContentPartParam] = [
        {"type": "text", "text": turn.content},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return ChatCompletionUserMessageParam(role="user", content=parts)


def _round(one: Round) -> Iterator[ChatCompletionMessageParam]:
    yield cast(
        "ChatCompletionAssistantMessageParam",
        {"role": "assistant", "content": one.words or None, "tool_calls": [_call(call) for call in one.calls]},
    )
    for call, result in zip(one.calls, one.results, strict=True):
        yield ChatCompletionToolMessageParam(role="tool", tool_call_id=call.id, content=result)


def _call(call: ToolCall) -> dict[str, object]:
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    # Gemini refuses a call that is sent back without its signature (https://ai.google.dev/gemini-api/docs/thought-signatures).
    extra = {"extra_content": call.extra} if call.extra is not None else {}
    return {"id": call.id, "type": "function", "function": function, **extra}


def _offer(question: Question) -> dict[str, object]:
    if not question.tools:
        return {}
    offer: dict[str, object] = {"tools": [_tool(tool) for tool in question.tools]}
    return offer if question.may_call else {**offer, "tool_choice": "none"}


def _tool(tool: Tool) -> dict[str, object]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.schema()}
    return {"type": "function", "function": function}


def _texts(delta: object) -> Iterator[str]:
    """Return a delta's text, "" for reasoning or a tool call, and nothing for a delta without any of these."""
    content = at(delta, "content") or at(delta, "refusal")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        # Magistral's thoughts and texts: https://docs.mistral.ai/capabilities/reasoning/
        for part in content:
            text = at(part, "text") if at(part, "type") == "text" else ""
            yield text if isinstance(text, str) else ""
    elif any(at(delta, sign) for sign in ("reasoning_content", "reasoning", "tool_calls")):
        yield ""
