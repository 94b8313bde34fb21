"""The organs whose models run in the organ host."""

from __future__ import annotations

from worker.organs.host_calls import HostCalls
from worker.organs.organs import Ear, Eye, Mouth, Researcher


class EmbeddedEar(Ear):
    """The organ host transcribes speech."""

    def __init__(self, calls: HostCalls) -> None:
        self._calls = calls

    async def hear(self, media: str) -> str:
        return await self._calls.hear(media)


class EmbeddedEye(Eye):
    """The organ host reads the text in a picture; it does not see what the picture shows."""

    def __init__(self, calls: HostCalls) -> None:
        self._calls = calls

    async def look(self, media: str, about: str) -> str:  # noqa: ARG002  it cannot use the conversation
        return await self._calls.look(media)


class EmbeddedResearcher(Researcher):
    """The organ host's library."""

    def __init__(self, calls: HostCalls) -> None:
        self._calls = calls

    async def study(self, media: str, title: str) -> str:
        return await self._calls.study(media, title)

    async def search(self, question: str) -> str:
        return await self._calls.search(question, None)


class EmbeddedMouth(Mouth):
    """The organ host's voice."""

    def __init__(self, calls: HostCalls) -> None:
        self._calls = calls

    async def speak(self, words: str) -> str:
        return await self._calls.speak(words)
