"""Ear, mouth and imagination behind OpenAI's API or a compatible server's."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final

import msgspec

from proto.costs import Source, Used
from proto.messages import MindLimits
from proto.records import Organ, Slot
from proto.texts import MAX_TEXT
from proto.unicode_text import valid_text
from worker.base.organ_errors import OrganUnreachable
from worker.organs.made import HEAD_BYTES, TooLargeError, UnfitError, extension_of, keep
from worker.organs.metering import Bill, billed
from worker.organs.openai_client import QUIET, OpenAIRemote
from worker.organs.organs import Ear, Imagination, Mouth, OrganBase
from worker.organs.remote import at, http_client
from worker.organs.usage import of_organ

HEARD: Final = frozenset((".flac", ".mp3", ".mp4", ".mpeg", ".mpga", ".m4a", ".ogg", ".wav", ".webm"))
"""The extensions that /audio/transcriptions takes (https://platform.openai.com/docs/api-reference/audio)."""

VOICE: Final = "alloy"
"""The voice that every compatible server has."""

SPEECH_BYTES: Final = 5_000_000
PICTURE_BYTES: Final = 20_000_000
PIECE: Final = 64 * 1024

_PICTURES: Final = frozenset((".png", ".jpg", ".webp"))


class OpenAIOrgan(OpenAIRemote, OrganBase):
    """What the three share: her media folder, the time limit, and the check whether the provider can be reached."""

    def __init__(self, organ: Organ, limits: MindLimits, url: str, slot: Slot, media: Path) -> None:
        super().__init__(organ, limits, url, slot=slot)
        self._media = media

    async def check(self) -> None:
        """Request the list of models, which costs nothing but requires the key. A server without such a list passes.

        Raises OrganUnreachable when the provider cannot be reached or refuses the request.
        """
        try:
            async with self._in_time():
                await self._client.models.list(extra_headers=QUIET)
        except OrganUnreachable as error:
            if error.status not in (404, 405):
                raise

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Turn every error and timeout of the body into OrganUnreachable."""
        try:
            async with asyncio.timeout(self._limits.total):
                with self._named_errors():
                    yield
        except TimeoutError:
            raise self._slow(f"did not answer within {self._limits.total:g} s.") from None
        except OSError as error:
            raise self._unusable(f"Her media folder cannot be used: {error.strerror}.") from error
        except TooLargeError:
            raise self._unusable(f"{self._host} sent a file that is too large.") from None
        except UnfitError:
            raise self._unusable(f"{self._host} gave a file of a kind that was not asked for.") from None

    @asynccontextmanager
    async def _billed(self, used: Used, source: Source) -> AsyncIterator[Bill]:
        """Book a call with its errors named, so that one which the provider refused costs nothing."""
        async with billed(self._organ, self._slot, used, source) as bill:
            with self._named_errors():
                yield bill

    def _unusable(self, reason: str) -> OrganUnreachable:
        return OrganUnreachable(reason, f"Check the model name of her {self._called}.", permanent=True)


class OpenAIEar(OpenAIOrgan, Ear):
    """A model behind ``{url}/audio/transcriptions``."""

    async def hear(self, media: str) -> str:
        async with self._in_time():
            file = await asyncio.to_thread((self._media / media).open, "rb")
            with file:
                name = f"recording{await asyncio.to_thread(_audio_extension, file, Path(media).suffix.lower())}"
                async with self._billed(Used(unit="seconds"), "unknown") as bill:
                    result = await self._client.audio.transcriptions.create(
                        model=self._organ.name, file=(name, file), response_format="json", extra_headers=QUIET
                    )
                    if used := of_organ(result):
                        bill.put(used)
        # The SDK does not validate the result, and a server that is not compatible may return anything.
        words = at(result, "text")
        if not isinstance(words, str):
            raise self._garbled("no text")
        return valid_text(words).strip()[:MAX_TEXT]


class OpenAIMouth(OpenAIOrgan, Mouth):
    """A model behind ``{url}/audio/speech``."""

    async def speak(self, words: str) -> str:
        said = Used(unit="characters", units=len(words))
        async with (
            self._in_time(),
            self._billed(said, "counted"),
            self._client.audio.speech.with_streaming_response.create(
                model=self._organ.name, voice=VOICE, input=words, response_format="opus", extra_headers=QUIET
            ) as response,
        ):
            return await keep(self._media, "audio", frozenset((".ogg",)), response.iter_bytes(PIECE), SPEECH_BYTES)


class OpenAIImagination(OpenAIOrgan, Imagination):
    """A model behind ``{url}/images/generations``."""

    async def paint(self, description: str) -> str:
        async with self._in_time():
            one = Used(unit="images", units=1)
            async with self._billed(one, "counted") as bill:
                result = await self._client.images.generate(
                    model=self._organ.name, prompt=description, n=1, extra_headers=QUIET
                )
                if used := of_organ(result):
                    bill.put(msgspec.structs.replace(used, unit="images", units=1))
            data, url = at(result, "data", 0, "b64_json"), at(result, "data", 0, "url")
            if isinstance(data, str) and data:
                return await self._keep(_pieces(base64.b64decode(data, validate=True)))
            if isinstance(url, str) and url.startswith(("https://", "http://")):
                return await self._fetch(url)
        raise self._garbled("no picture")

    async def _fetch(self, url: str) -> str:
        """Fetch the picture from the URL that the provider gave, without sending her key there."""
        async with http_client(url, self._limits) as client, client.stream("GET", url) as response:
            if response.status_code != 200:
                raise self._refused(response.status_code, "the picture could not be fetched", None)
            return await self._keep(response.aiter_bytes(PIECE))

    async def _keep(self, chunks: AsyncIterator[bytes]) -> str:
        return await keep(self._media, "image", _PICTURES, chunks, PICTURE_BYTES)


def _audio_extension(file: IO[bytes], given: str) -> str:
    """Return the extension under which the API takes a recording. Raises OrganUnreachable when it does not take it."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    extension = given if given in HEARD else extension_of(head)
    if extension in HEARD:
        return extension
    reason = f"The provider of her ear takes no {given or 'nameless'} recordings."
    raise OrganUnreachable(reason, f"Send one of {', '.join(sorted(HEARD))}.", permanent=True)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for at_byte in range(0, len(data), PIECE):
        yield data[at_byte : at_byte + PIECE]
