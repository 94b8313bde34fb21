"""What each organ beside the mind does. Every call raises OrganUnreachable when it cannot."""

from __future__ import annotations

from abc import ABC, abstractmethod


class OrganBase:
    """An organ; one that holds no connections has nothing to close."""

    async def close(self) -> None:
        """Leave connections."""
        return


class Ear(OrganBase, ABC):
    """Hears recordings."""

    @abstractmethod
    async def hear(self, media: str) -> str:
        """Write down what is said in a file of her media folder; "" when nothing is."""


class Eye(OrganBase, ABC):
    """Sees pictures."""

    @abstractmethod
    async def look(self, media: str, about: str) -> str:
        """Tell what is in a picture of her media folder; ``about`` is what was said with it and before it."""


class Researcher(OrganBase, ABC):
    """Reads documents."""

    @abstractmethod
    async def study(self, media: str, title: str) -> str:
        """Take up a document of her media folder, and tell what it holds."""

    @abstractmethod
    async def search(self, question: str) -> str:
        """Quote what her documents say about a question, with title and page; "" when they say nothing."""


class Mouth(OrganBase, ABC):
    """Speaks."""

    @abstractmethod
    async def speak(self, words: str) -> str:
        """Say the words into an OGG/Opus file of her media folder, and return its name."""


class Imagination(OrganBase, ABC):
    """Paints."""

    @abstractmethod
    async def paint(self, description: str) -> str:
        """Paint a picture into her media folder, and return its name."""
