"""Minds behind Anthropic's Messages API (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import cached_property
from typing import Final, TypeAlias, cast

import anthropic
import anyio
import httpx2
from anthropic.types import AssistantMessageParam, ContentBlockParam, MessageParam, UserMessageParam

from proto.messages import ChatTurn, MindLimits
from proto.records import Organ, Slot
from worker.base.organ_errors import OrganUnreachable
from worker.organs.event_stream import SHOWN_CHARS, Document, Json, NotEventsError, Sign, events, sparing
from worker.organs.remote import TELEMETRY, at, coded, http_client, retry_after, told
from worker.organs.remote_mind import RemoteMind
from worker.organs.usage import of_anthropic
from worker.prompting.exchange import MAX_CALLS, End, Life, Picture, Piece, Question, Round, ToolCall
from worker.prompting.tools import arguments_of

NO_KEY: Final = "none"
"""Sent if she has no key, so that the SDK does not look for one in the environment or on disk."""

Block: TypeAlias = dict[str, object]
"""A content block in the API's plain JSON form."""

_QUIET: Final = dict.fromkeys(TELEMETRY, anthropic.omit)
"""Tells the SDK to omit its telemetry headers."""


_ENDS: Final = {"max_tokens": End.LENGTH, "refusal": End.DECLINED}


class AnthropicMind(RemoteMind):
    """A model behind ``{url}/v1/messages``."""

    def __init__(
        self,
        organ: Organ,
        limits: MindLimits,
        url: str,
        transport: httpx2.AsyncBaseTransport | None = None,
        slot: Slot = "thinking",
    ) -> None:
        super().__init__(organ, limits, url, slot)
        self._transport = transport

    async def _pieces(self, question: Question) -> AsyncGenerator[Piece, None]:
        system = "\n\n".join(turn.content for turn in question.turns if turn.role == "system")
        calls = _Calls()
        try:
            answer = await self._client.messages.create(
                model=self._organ.name,
                max_tokens=question.max_tokens,
                system=system or anthropic.omit,
                messages=list(_messages(question)),
                stream=True,
                extra_body=_offer(question),
            )
            async with answer, aclosing(events(sparing(answer.response.aiter_bytes()))) as stream:
                async for event in stream:
                    for piece in self._read(event, calls):
                        yield piece
        except anthropic.APIStatusError as error:
            raise self._status_error(error) from error
        except (anthropic.APIConnectionError, httpx2.RequestError, OSError, anyio.EndOfStream) as error:
            raise self._unconnected(error.__cause__ or error) from error
        except anthropic.APIError as error:
            raise self._refused(200, told(error.body, error.message), None, code=coded(error.body)) from error
        except NotEventsError as error:
            raise self._garbled(str(error)) from error
        except ValueError as error:
            raise self._garbled(error) from error
        for call in calls.whole():
            yield call

    async def close(self) -> None:
        if "_client" in self.__dict__:
            await self._client.close()

    @cached_property
    def _client(self) -> anthropic.AsyncAnthropic:
        # Created at the first call: a persona that is never called does not need these 3 MB.
        return anthropic.AsyncAnthropic(
            api_key=self._organ.api_key.reveal() if self._organ.api_key else NO_KEY,
            base_url=self._url,
            max_retries=0,
            default_headers=_QUIET,  # type: ignore[arg-type]  # the SDK takes Omit to drop a header of its own
            open_telemetry=False,
            http_client=http_client(self._url, self._limits, self._transport),
        )

    def _read(self, event: Json | Sign, calls: _Calls) -> Iterator[Piece]:
        """Return what an event says: text, "" for thinking or a tool call, a sign of life, the end."""
        yield Life.SIGN
        if isinstance(event, Sign):
            return
        if event.get("error"):
            raise self._refused(200, told(event, str(event["error"])), None, code=coded(event))
        if isinstance(event, Document):
            if not isinstance(at(event, "content"), list):
                raise self._garbled(f"it sent {str(dict(event))[:SHOWN_CHARS]}")
            event = {"type": "message", **event}
        if used := of_anthropic(event):
            yield used
        calls.read(event)
        yield from _texts(event)
        reason = at(event, "stop_reason") or at(event, "delta", "stop_reason")
        if reason == "model_context_window_exceeded":
            raise self._refused(200, "model_context_window_exceeded: prompt is too long", None)
        if isinstance(reason, str) and reason:
            yield from calls.whole()
            yield _ENDS.get(reason, End.WHOLE)

    def _status_error(self, error: anthropic.APIStatusError) -> OrganUnreachable:
        return self._refused(
            error.status_code,
            told(error.body, error.message),
            retry_after(error.response.headers),
            code=coded(error.body),
        )


class _Calls:
    """Tool calls, assembled from the events of a stream."""

    def __init__(self) -> None:
        self._calls: list[ToolCall] = []
        self._current: ToolCall | None = None

    def read(self, event: object) -> None:
        """Take the part of a tool call that an event carries, if any."""
        match at(event, "type"), at(event, "content_block", "type"), at(event, "delta", "type"):
            case "content_block_start", "tool_use", _:
                identity, name = at(event, "content_block", "id"), at(event, "content_block", "name")
                if isinstance(identity, str) and isinstance(name, str) and len(self._calls) < MAX_CALLS:
                    self._current = ToolCall(identity, name)
                    self._calls.append(self._current)
            case "content_block_delta", _, "input_json_delta" if self._current:
                piece = at(event, "delta", "partial_json")
                self._current.add(piece if isinstance(piece, str) else "")
            case "content_block_stop", _, _:
                self._current = None
            case "message", _, _:
                self._calls += _whole_calls(event)

    def whole(self) -> list[ToolCall]:
        """Return all calls, once the answer has ended, and forget them."""
        calls, self._calls = self._calls, []
        return calls


def _messages(question: Question) -> Iterator[MessageParam]:
    *before, last = [turn for turn in question.turns if turn.role != "system"]
    yield from map(_message, before)
    yield _message(last) if question.picture is None else _pictured(last, question.picture)
    for one in question.rounds:
        yield from _round(one)


def _message(turn: ChatTurn) -> MessageParam:
    return _user(turn.content) if turn.role == "user" else _assistant(turn.content)


def _pictured(turn: ChatTurn, picture: Picture) -> MessageParam:
    data = base64.b64encode(picture.data).decode()
    source = {"type": "base64", "media_type": picture.mime, "data": data}
    return _user([{"type": "image", "source": source}, {"type": "text", "text": turn.content}])


def _round(one: Round) -> Iterator[MessageParam]:
    said: list[Block] = [{"type": "text", "text": one.words}] if one.words else []
    yield _assistant([*said, *map(_used, one.calls)])
    yield _user(
        [
            {"type": "tool_result", "tool_use_id": call.id, "content": result}
            for call, result in zip(one.calls, one.results, strict=True)
        ]
    )


def _used(call: ToolCall) -> Block:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_of(call) or {}}


def _user(content: str | list[Block]) -> UserMessageParam:
    return UserMessageParam(role="user", content=cast("str | list[ContentBlockParam]", content))


def _assistant(content: str | list[Block]) -> AssistantMessageParam:
    return AssistantMessageParam(role="assistant", content=cast("str | list[ContentBlockParam]", content))


def _offer(question: Question) -> dict[str, object]:
    if not question.tools:
        return {}
    tools = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema()} for tool in question.tools
    ]
    return {"tools": tools} if question.may_call else {"tools": tools, "tool_choice": {"type": "none"}}


def _whole_calls(message: object) -> Iterator[ToolCall]:
    """Return the tool calls of a message that came in one document."""
    blocks = at(message, "content")
    for block in blocks if isinstance(blocks, list) else ():
        identity, name = at(block, "id"), at(block, "name")
        if at(block, "type") == "tool_use" and isinstance(identity, str) and isinstance(name, str):
            call = ToolCall(identity, name)
            call.add(json.dumps(at(block, "input")))
            yield call


def _texts(event: object) -> Iterator[str]:
    """Return an event's text, "" for thinking or a tool call, and nothing for the protocol's other events."""
    match at(event, "type"), at(event, "delta", "type"):
        case "content_block_delta", "text_delta":
            text = at(event, "delta", "text")
            if isinstance(text, str):
                yield text
        case "content_block_delta", "thinking_delta" | "signature_delta" | "input_json_delta":
            yield ""
        case "message", _:
            blocks = at(event, "content")
            for block in blocks if isinstance(blocks, list) else ():
                if isinstance(text := at(block, "text"), str):
                    yield text
