"""Her tools: what a mind may do besides answering. They are offered only in conversations with her owner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import msgspec

from proto.messages import Outgoing
from proto.unicode_text import valid_json
from worker.base.organ_errors import OrganUnreachable
from worker.prompting.exchange import Parameter, Tool, ToolCall
from worker.prompting.planner import Planner

MAX_ROUNDS: Final = 4
"""How often a mind may use tools before it has to answer."""

MAX_USES: Final = 8
"""Uses of all tools in one turn, limited because each costs her owner money."""

RESULT_CHARS: Final = 8_000
"""How many characters of a tool's result a mind gets."""

IMAGINE: Final = Tool(
    "imagine",
    "Paint a picture and send it to the person beside your words. Only when they ask for a picture.",
    (Parameter("description", "What the picture shows, in a sentence or two, with its style."),),
)
ASK_TEACHER: Final = Tool(
    "ask_teacher",
    "Ask your teacher, a stronger mind, about what you do not know or cannot work out. They see only your question.",
    (Parameter("question", "The whole question, with everything that is needed to answer it."),),
)

Organ: TypeAlias = Callable[[str], Awaitable[str]]
"""Takes a text and returns a text, or the name of a file that it made. Raises OrganUnreachable."""


@dataclass(frozen=True)
class Offer:
    """A tool beside those of her organs. ``use`` takes the texts of a call by parameter; "" stands for one left out.

    It returns what the mind reads, and raises OrganUnreachable.
    """

    tool: Tool
    use: Callable[[Mapping[str, str]], Awaitable[str]]


_PAINTED: Final = "The picture is made, and goes to the person beside your words."
_WORN: Final = f"Not done: {MAX_USES} uses of tools are the most for one answer."


class Tools:
    """The tools of one turn. When the mind is called again, a use that was already made is not repeated."""

    def __init__(
        self,
        imagine: Organ | None = None,
        ask_teacher: Organ | None = None,
        others: Sequence[Offer] = (),
        planner: Planner | None = None,
    ) -> None:
        """None stands for an organ that she does not have, or that this conversation may not use.

        ``planner`` is for a mind that makes appointments without tools.
        """
        self.planner = planner
        self._organs: dict[str, Organ] = {}
        if imagine:
            self._organs[IMAGINE.name] = imagine
        if ask_teacher:
            self._organs[ASK_TEACHER.name] = ask_teacher
        self._others = {offer.tool.name: offer for offer in others}
        self.offered: Sequence[Tool] = [
            *(tool for tool in (IMAGINE, ASK_TEACHER) if tool.name in self._organs),
            *(offer.tool for offer in others),
        ]
        self.made: list[Outgoing] = []
        """The pictures that the current answer asked for, in that order."""
        self._uses: dict[tuple[str, str], asyncio.Task[str]] = {}

    def begin(self) -> None:
        """Begin another mind call: pictures for an answer that is not sent do not count."""
        self.made = []

    async def run(self, calls: Sequence[ToolCall]) -> list[str]:
        """Run the calls of a mind concurrently. An error becomes a result that the mind can read."""
        return list(await asyncio.gather(*map(self._run, calls)))

    async def imagine(self, description: str) -> None:
        """Paint a picture and add it to ``made``. Raises OrganUnreachable when that fails."""
        media = await self._once(IMAGINE.name, description, partial(self._organs[IMAGINE.name], description))
        if all(picture.media != media for picture in self.made):
            self.made.append(Outgoing(description, "image", media))
            asked = list(self._uses)
            self.made.sort(key=lambda picture: asked.index((IMAGINE.name, picture.content)))

    async def ask_teacher(self, question: str) -> str:
        """Return the teacher's answer. Raises OrganUnreachable when there is none."""
        return await self._once(ASK_TEACHER.name, question, partial(self._organs[ASK_TEACHER.name], question))

    def leftovers(self) -> list[str]:
        """Return the files that were made but are part of no answer."""
        kept = {picture.media for picture in self.made}
        done = [task for (name, _), task in self._uses.items() if name == IMAGINE.name and task.done()]
        made = [task.result() for task in done if not task.cancelled() and not task.exception()]
        return [media for media in made if media not in kept]

    async def close(self) -> None:
        """Cancel the calls that still run."""
        for task in self._uses.values():
            task.cancel()
        await asyncio.gather(*self._uses.values(), return_exceptions=True)

    async def _run(self, call: ToolCall) -> str:
        tool = next((tool for tool in self.offered if tool.name == call.name), None)
        if tool is None:
            return f"There is no tool {call.name[:64]!r}."
        texts = _texts(tool, arguments_of(call) or {})
        if isinstance(texts, str):
            return texts
        try:
            if offer := self._others.get(tool.name):
                return (await self._once(tool.name, "\0".join(texts.values()), partial(offer.use, texts)))[
                    :RESULT_CHARS
                ]
            (words,) = texts.values()
            if tool is IMAGINE:
                await self.imagine(words)
                return _PAINTED
            return (await self.ask_teacher(words))[:RESULT_CHARS]
        except OrganUnreachable as error:
            return f"It failed: {error.reason} Tell the person."[:RESULT_CHARS]

    async def _once(self, name: str, words: str, use: Callable[[], Awaitable[str]]) -> str:
        if (name, words) not in self._uses:
            if len(self._uses) >= MAX_USES:
                raise OrganUnreachable(_WORN, "", permanent=True)
            self._uses[name, words] = asyncio.get_running_loop().create_task(_started(use))
        # A Join cancels the mind's call, but not the tool uses that it has begun.
        return await asyncio.shield(self._uses[name, words])


def arguments_of(call: ToolCall) -> dict[str, object] | None:
    """Return a call's arguments, or None when they are not a JSON object."""
    try:
        return msgspec.json.decode(valid_json(call.arguments or "{}"), type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return None


async def _started(use: Callable[[], Awaitable[str]]) -> str:
    return await use()


def _texts(tool: Tool, arguments: Mapping[str, object]) -> dict[str, str] | str:
    """Return the call's texts by parameter, or what the mind reads about a call that cannot be used."""
    texts: dict[str, str] = {}
    for one in tool.parameters:
        text = arguments.get(one.name, "")
        if not isinstance(text, str) or (one.required and not text.strip()):
            return f"Not done: give one text as {one.name!r}."
        texts[one.name] = text.strip()
    return texts
