"""Minds that speak OpenAI's chat completions: OpenAI, xAI, Gemini, Ollama and every compatible server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionMessageParam,
    ChatCompletionSystemMessageParam,
    ChatCompletionUserMessageParam,
)

from proto.messages import ChatTurn, MindLimits
from proto.records import Organ
from worker.organs.mind import LOCAL, MindUnreachable
from worker.organs.remote_mind import DECLINED, TELEMETRY, RemoteMind, at, http_client, retry_after, told

NO_KEY: Final = "none"
"""Sent where she has no key: the SDK wants one, and servers of one's own ignore it."""

_HINT_LOCAL: Final = "Start it (`ollama serve`), or give her another mind."

_QUIET: Final = dict.fromkeys(TELEMETRY, openai.omit)
"""The SDK's telemetry headers, left out."""


class OpenAIMind(RemoteMind):
    """A model behind ``{url}/chat/completions``."""

    def __init__(
        self, organ: Organ, limits: MindLimits, url: str, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        super().__init__(organ, limits, url)
        self._local = organ.provider in (None, LOCAL)
        host = urlsplit(url).hostname or ""
        # OpenAI's reasoning models refuse max_tokens; most compatible servers know nothing else.
        self._limit_field = "max_completion_tokens" if host.endswith((".openai.com", ".azure.com")) else "max_tokens"
        self._url = url
        self._transport = transport

    async def _pieces(self, turns: list[ChatTurn], max_tokens: int) -> AsyncGenerator[str, None]:
        try:
            stream = await self._client.chat.completions.create(
                model=self._organ.name,
                messages=[_message(turn) for turn in turns],
                stream=True,
                extra_headers=_QUIET,
                extra_body={self._limit_field: max_tokens},
            )
            async with stream:
                async for chunk in stream:
                    for piece in _read(chunk):
                        yield piece
        except openai.APIStatusError as error:
            raise self._status_error(error) from error
        except openai.APIConnectionError as error:
            raise self._no_connection(error) from error
        except openai.APIError as error:
            raise self._refused(200, told(error.body, error.message), None) from error
        except ValueError as error:
            raise self._garbled(error) from error

    async def close(self) -> None:
        if "_client" in self.__dict__:
            await self._client.close()

    @cached_property
    def _client(self) -> openai.AsyncOpenAI:
        # Made at the first words: it takes 3 MB that a persona nobody talks to can do without.
        return openai.AsyncOpenAI(
            api_key=self._organ.api_key.reveal() if self._organ.api_key else NO_KEY,
            base_url=self._url,
            organization="",
            project="",
            max_retries=0,
            http_client=http_client(self._url, self._limits, self._transport),
        )

    def _status_error(self, error: openai.APIStatusError) -> MindUnreachable:
        reached = self._refused(
            error.status_code,
            told(error.body, error.message),
            retry_after(error.response.headers),
            exhausted=error.code == "insufficient_quota",
        )
        if self._local and error.status_code == 404:
            reached.hint = f"Get the model first: `ollama pull {self._organ.name}`."
        return reached

    def _no_connection(self, error: Exception) -> MindUnreachable:
        cause = error.__cause__ or error
        if not self._local:
            return self._unconnected(cause)
        reason = f"Could not connect to the local inference engine. Please make sure it is running. ({cause})"
        return MindUnreachable(self._clean(reason), _HINT_LOCAL, again=True)


def _message(turn: ChatTurn) -> ChatCompletionMessageParam:
    if turn.role == "system":
        return ChatCompletionSystemMessageParam(role="system", content=turn.content)
    if turn.role == "user":
        return ChatCompletionUserMessageParam(role="user", content=turn.content)
    return ChatCompletionAssistantMessageParam(role="assistant", content=turn.content)


def _read(chunk: object) -> list[str]:
    """Return what a chunk says: text, "" for reasoning, nothing for a chunk without either."""
    text = at(chunk, "choices", 0, "delta", "content") or at(chunk, "choices", 0, "delta", "refusal")
    if isinstance(text, str):
        return [text]
    if at(chunk, "choices", 0, "finish_reason") == "content_filter":
        return [DECLINED]
    thought = at(chunk, "choices", 0, "delta", "reasoning_content") or at(chunk, "choices", 0, "delta", "reasoning")
    return [""] if thought else []
