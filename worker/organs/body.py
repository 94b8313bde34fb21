"""The organs that she has besides the mind, each created at its first use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from proto.messages import MindLimits
from proto.records import EMBEDDED, EMBEDDED_SENSES, Organ, OrganName, Persona, Slot
from worker.base.organ_errors import OrganConfigError, OrganUnreachable
from worker.organs.choice import mind_for, remote_mind_for
from worker.organs.embedded_organs import EmbeddedEar, EmbeddedEye, EmbeddedMouth, EmbeddedResearcher
from worker.organs.host_calls import HostCalls
from worker.organs.mind import Mind
from worker.organs.organs import Ear, Eye, Imagination, Mouth, OrganBase, Researcher
from worker.organs.urls import base_url, versioned_url

if TYPE_CHECKING:
    from worker.organs.openai_organs import OpenAIOrgan

T = TypeVar("T", bound="OrganBase | Mind")
R = TypeVar("R", bound="OpenAIOrgan")

_HINT: Final = "Correct her record."


class Body:
    """One persona's organs. Each property is None for an organ that she does not have.

    A property raises OrganUnreachable when the organ's record names a model that does not exist.
    """

    def __init__(
        self, persona: Persona, limits: MindLimits, urls: Mapping[str, str], media: Path, calls: HostCalls
    ) -> None:
        """``media`` is her media folder."""
        self._persona = persona
        self._limits = limits
        self._urls = urls
        self._media = media
        self._calls = calls
        self._made: list[OrganBase | Mind] = []

    def has(self, name: OrganName) -> bool:
        """Return whether her record names this organ."""
        return getattr(self._persona, name) is not None

    @cached_property
    def ear(self) -> Ear | None:
        return self._organ("ear", self._ear)

    @cached_property
    def eye(self) -> Eye | None:
        return self._organ("eye", self._eye)

    @cached_property
    def researcher(self) -> Researcher | None:
        return self._organ("researcher", self._researcher)

    @cached_property
    def mouth(self) -> Mouth | None:
        return self._organ("mouth", self._mouth)

    @cached_property
    def imagination(self) -> Imagination | None:
        return self._organ("imagination", self._imagination)

    @cached_property
    def teacher(self) -> Mind | None:
        return self._organ("teacher", self._teacher)

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(organ.close() for organ in self._made), return_exceptions=True)

    def _organ(self, name: OrganName, make: Callable[[Organ], T]) -> T | None:
        record: Organ | None = getattr(self._persona, name)
        if record is None:
            return None
        try:
            organ = make(record)
        except OrganConfigError as error:
            raise OrganUnreachable(str(error), _HINT, permanent=True) from error
        self._made.append(organ)
        return organ

    def _ear(self, organ: Organ) -> Ear:
        if is_embedded("ear", organ):
            return EmbeddedEar(self._calls)
        from worker.organs.openai_organs import OpenAIEar

        return self._openai(OpenAIEar, "ear", organ)

    def _mouth(self, organ: Organ) -> Mouth:
        if is_embedded("mouth", organ):
            return EmbeddedMouth(self._calls)
        from worker.organs.openai_organs import OpenAIMouth

        return self._openai(OpenAIMouth, "mouth", organ)

    def _imagination(self, organ: Organ) -> Imagination:
        is_embedded("imagination", organ)
        from worker.organs.openai_organs import OpenAIImagination

        return self._openai(OpenAIImagination, "imagination", organ)

    def _eye(self, organ: Organ) -> Eye:
        if is_embedded("eye", organ):
            return EmbeddedEye(self._calls)
        mind = remote_mind_for(organ, self._limits, self._urls, "eye")
        from worker.organs.chat_organs import PICTURE_BYTES, PICTURE_BYTES_ANTHROPIC, ChatEye

        most = PICTURE_BYTES_ANTHROPIC if organ.provider == "anthropic" else PICTURE_BYTES
        return ChatEye(self._persona.name, mind, self._calls, self._media, most)

    def _researcher(self, organ: Organ) -> Researcher:
        if is_embedded("researcher", organ):
            return EmbeddedResearcher(self._calls)
        mind = remote_mind_for(organ, self._limits, self._urls, "researcher")
        from worker.organs.chat_organs import ChatResearcher

        return ChatResearcher(self._persona.name, mind, self._calls)

    def _teacher(self, organ: Organ) -> Mind:
        return mind_for(organ, self._limits, self._urls, self._calls.think, "teacher")

    def _openai(self, kind: type[R], name: OrganName, organ: Organ) -> R:
        return kind(organ, self._limits, openai_url(name, organ, self._urls), name, self._media)


def openai_url(slot: Slot, organ: Organ, urls: Mapping[str, str]) -> str:
    """Return the URL of an organ that only OpenAI's API offers. Raises OrganConfigError when its provider has none."""
    if organ.provider == "anthropic":
        raise OrganConfigError(f"Anthropic has no {slot}: use another provider for it.")
    return versioned_url(base_url(organ, urls))


def is_embedded(name: Slot, organ: Organ) -> bool:
    """Return whether the organ host has this organ. Raises OrganConfigError when no such embedded organ exists."""
    if organ.provider != EMBEDDED:
        return False
    known = next((known for slot, known in EMBEDDED_SENSES.items() if slot == name), None)
    if known is None:
        raise OrganConfigError(f"There is no embedded {name}: use another provider for it.")
    if organ.name != known:
        raise OrganConfigError(f"There is no embedded {name} {organ.name!r}. The embedded {name} is {known!r}.")
    return True
