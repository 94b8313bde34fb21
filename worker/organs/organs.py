"""What each organ other than the mind does. Every call raises OrganUnreachable when it fails."""

from __future__ import annotations

from abc import ABC, abstractmethod


class OrganBase:
    """Any organ other than the mind."""

    async def close(self) -> None:
        """Close connections. An organ without any does nothing."""
        return


class Ear(OrganBase, ABC):
    """Hears recordings."""

    @abstractmethod
    async def hear(self, media: str) -> str:
        """Return the speech in a file of her media folder as text, "" if there is none."""


class Eye(OrganBase, ABC):
    """Sees pictures."""

    @abstractmethod
    async def look(self, media: str, about: str) -> str:
        """Describe a picture in her media folder; ``about`` is the conversation just before it and with it."""


class Researcher(OrganBase, ABC):
    """Reads documents."""

    @abstractmethod
    async def study(self, media: str, title: str) -> str:
        """Add a document from her media folder to the library, and return its summary."""

    @abstractmethod
    async def search(self, question: str) -> str:
        """Quote what her documents say about a question, with title and page; "" when they say nothing."""


class Mouth(OrganBase, ABC):
    """Speaks."""

    @abstractmethod
    async def speak(self, words: str) -> str:
        """Speak the text into an OGG/Opus file in her media folder, and return the file's name."""


class Imagination(OrganBase, ABC):
    """Paints."""

    @abstractmethod
    async def paint(self, description: str) -> str:
        """Paint a picture into her media folder, and return the file's name."""
