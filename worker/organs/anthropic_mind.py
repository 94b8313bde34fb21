"""Minds that speak Anthropic's messages API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import cached_property
from typing import Final

import anthropic
import anyio
import httpx2
from anthropic.types import AssistantMessageParam, MessageParam, UserMessageParam

from proto.messages import ChatTurn, MindLimits
from proto.records import Organ
from worker.organs.mind import MindUnreachable
from worker.organs.remote_mind import DECLINED, TELEMETRY, RemoteMind, at, http_client, retry_after, told

NO_KEY: Final = "none"
"""Sent where she has no key, so that the SDK does not look for one in the environment or on disk."""

_QUIET: Final = dict.fromkeys(TELEMETRY, anthropic.omit)
"""The SDK's telemetry headers, left out."""


class AnthropicMind(RemoteMind):
    """A model behind ``{url}/v1/messages``."""

    def __init__(
        self, organ: Organ, limits: MindLimits, url: str, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        super().__init__(organ, limits, url)
        self._url = url
        self._transport = transport

    async def _pieces(self, turns: list[ChatTurn], max_tokens: int) -> AsyncGenerator[str, None]:
        system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
        try:
            stream = await self._client.messages.create(
                model=self._organ.name,
                max_tokens=max_tokens,
                system=system or anthropic.omit,
                messages=[_message(turn) for turn in turns if turn.role != "system"],
                stream=True,
            )
            async with stream:
                async for event in stream:
                    for piece in _read(event):
                        yield piece
        except anthropic.APIStatusError as error:
            raise self._status_error(error) from error
        except (anthropic.APIConnectionError, httpx2.RequestError, OSError, anyio.EndOfStream) as error:
            raise self._unconnected(error.__cause__ or error) from error
        except anthropic.APIError as error:
            raise self._refused(200, told(error.body, error.message), None) from error
        except ValueError as error:
            raise self._garbled(error) from error

    async def close(self) -> None:
        if "_client" in self.__dict__:
            await self._client.close()

    @cached_property
    def _client(self) -> anthropic.AsyncAnthropic:
        # Made at the first words: it takes 3 MB that a persona nobody talks to can do without.
        return anthropic.AsyncAnthropic(
            api_key=self._organ.api_key.reveal() if self._organ.api_key else NO_KEY,
            base_url=self._url,
            max_retries=0,
            default_headers=_QUIET,  # type: ignore[arg-type]  # the SDK takes Omit to drop a header of its own
            open_telemetry=False,
            http_client=http_client(self._url, self._limits, self._transport),
        )

    def _status_error(self, error: anthropic.APIStatusError) -> MindUnreachable:
        return self._refused(error.status_code, told(error.body, error.message), retry_after(error.response.headers))


def _message(turn: ChatTurn) -> MessageParam:
    if turn.role == "user":
        return UserMessageParam(role="user", content=turn.content)
    return AssistantMessageParam(role="assistant", content=turn.content)


def _read(event: object) -> list[str]:
    """Return what an event says: text, "" for thinking, nothing for the protocol's other events."""
    match at(event, "type"), at(event, "delta", "type"):
        case "content_block_delta", "text_delta":
            text = at(event, "delta", "text")
            return [text] if isinstance(text, str) else []
        case "content_block_delta", "thinking_delta" | "signature_delta":
            return [""]
        case "message_delta", _ if at(event, "delta", "stop_reason") == "refusal":
            return [DECLINED]
    return []
