"""A mind on loopback that says what a test dictates, piece by piece, for tests of what people see meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.daemon_process import wait_for
from tests.emulators.openai import OpenAIEmulator


class Dictation:
    """One answer. ``asked`` is what the mind was asked."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[str] = asyncio.Queue()

    def say(self, *words: str) -> None:
        """Say these pieces next."""
        for piece in words:
            self._put(_chunk({"delta": {"content": piece}, "finish_reason": None}))

    def call(self, name: str, **arguments: str) -> None:
        """Call a tool, which ends the answer."""
        function = {"name": name, "arguments": json.dumps(arguments)}
        called = {"index": 0, "id": "call_0", "type": "function", "function": function}
        self._put(_chunk({"delta": {"tool_calls": [called]}, "finish_reason": None}))
        self.end()

    def end(self) -> None:
        """End the answer."""
        self._put(_chunk({"delta": {}, "finish_reason": "stop"}))
        self._put("data: [DONE]\n\n")
        self._put("")

    def break_off(self) -> None:
        """Close the connection in good order before the answer has ended."""
        self._put("")

    async def stream(self) -> AsyncIterator[str]:
        """Yield the events until the end."""
        while event := await self._pieces.get():
            yield event

    def _put(self, event: str) -> None:
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, event)


class DictatedMind(OpenAIEmulator):
    """``answers`` are those that were asked for so far. What is scripted is played first, and asks nobody."""

    def __init__(self, *, port: int = 0) -> None:
        super().__init__(port=port)
        self.answers: list[Dictation] = []

    def answer(self, number: int = 1) -> Dictation:
        """Wait for the so manieth question, and return its answer to dictate."""
        return wait_for(lambda: self.answers[number - 1 :], f"question {number}")[0]

    async def play(self, request: Request, text: str) -> Response:
        if self._steps or text == "Say ok.":
            return await super().play(request, text)
        dictation = Dictation(text)
        self.answers.append(dictation)
        return StreamingResponse(dictation.stream(), media_type="text/event-stream")


def _chunk(choice: dict[str, object]) -> str:
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
    return f"data: {json.dumps(chunk)}\n\n"
