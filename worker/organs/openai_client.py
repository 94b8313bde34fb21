"""What organs behind OpenAI's API share: the SDK's client, and readable reasons for its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Final

import anyio
import httpx2
import openai

from proto.messages import MindLimits
from proto.records import Organ, Slot
from worker.base.organ_errors import OrganUnreachable
from worker.organs.event_stream import NotEventsError
from worker.organs.remote import TELEMETRY, Remote, coded, http_client, retry_after, told
from worker.organs.urls import LOCAL

NO_KEY: Final = "none"
"""Sent if she has no key: the SDK requires one, and self-hosted servers ignore it."""

QUIET: Final = dict.fromkeys(TELEMETRY, openai.omit)
"""Tells the SDK to omit its telemetry headers."""

_HINT_LOCAL: Final = "Start it (`ollama serve`), or give her another {organ}."


class OpenAIRemote(Remote):
    """An organ behind OpenAI's API or a compatible server's."""

    def __init__(
        self,
        organ: Organ,
        limits: MindLimits,
        url: str,
        transport: httpx2.AsyncBaseTransport | None = None,
        slot: Slot = "thinking",
    ) -> None:
        super().__init__(organ, limits, url, slot)
        self._is_local = organ.provider in (None, LOCAL)
        self._transport = transport

    async def close(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            await self._client.close()

    @cached_property
    def _client(self) -> openai.AsyncOpenAI:
        # Created at the first call: a persona that is never called does not need these 3 MB.
        return openai.AsyncOpenAI(
            api_key=self._organ.api_key.reveal() if self._organ.api_key else NO_KEY,
            base_url=self._url,
            organization="",
            project="",
            max_retries=0,
            http_client=http_client(self._url, self._limits, self._transport),
        )

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn every error that the SDK documents, and every answer that it cannot parse, into OrganUnreachable."""
        try:
            yield
        except openai.APIStatusError as error:
            raise self._status_error(error) from error
        except openai.APIConnectionError as error:
            raise self._no_connection(error) from error
        except openai.APIError as error:
            raise self._refused(200, told(error.body, error.message), None, code=coded(error.body)) from error
        except (httpx2.RequestError, anyio.EndOfStream) as error:
            raise self._unconnected(error) from error
        except NotEventsError as error:
            raise self._garbled(str(error)) from error
        except ValueError as error:
            raise self._garbled(error) from error

    def _status_error(self, error: openai.APIStatusError) -> OrganUnreachable:
        return self._refused(
            error.status_code,
            told(error.body, error.message),
            retry_after(error.response.headers),
            exhausted=error.code == "insufficient_quota",
            code=coded(error.body),
        )

    def _no_connection(self, error: Exception) -> OrganUnreachable:
        cause = error.__cause__ or error
        if not self._is_local:
            return self._unconnected(cause)
        reason = f"Could not connect to the local inference engine. Please make sure it is running. ({cause})"
        hint = _HINT_LOCAL.format(organ="mind" if self._is_mind else self._called)
        return OrganUnreachable(self._clean(reason), hint, again=True, is_unconnected=True)
