"""One turn: the messages that wait in one conversation are perceived, looked up, thought about and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proto.conversation import OPENAI
from proto.costs import Purpose
from proto.messages import (
    ChatTurn,
    Deferred,
    FromWorker,
    MindDown,
    Outgoing,
    Perceive,
    Perception,
    Refused,
    Reply,
    Typing,
)
from proto.records import Organ, Persona
from proto.streaming import Spoken
from worker.agent.aloud import Aloud
from worker.agent.appointment_tools import appointment_offers
from worker.agent.daemon_calls import DaemonCalls
from worker.agent.hushing import Hushing
from worker.agent.lookup import Found, Lookup
from worker.agent.outages import Outages
from worker.agent.pace import Pace
from worker.agent.questions import question_of
from worker.agent.recalling import Recollecting, recall_offer
from worker.agent.senses import Senses, Understood
from worker.agent.telling import Telling
from worker.agent.tries import Tries
from worker.base.backoff import Backoff
from worker.base.log import WorkerLog
from worker.base.organ_errors import OrganUnreachable, PromptRefused
from worker.organs.body import Body
from worker.organs.host_calls import HostCalls
from worker.organs.metering import Unaffordable
from worker.organs.mind import Mind
from worker.prompting import due, perceived
from worker.prompting.moments import now_in
from worker.prompting.planner import Planner, agenda
from worker.prompting.prompt import Prompt, take
from worker.prompting.speech import SPOKEN_CHARS, speakable
from worker.prompting.told_times import moment
from worker.prompting.tools import Tools

MAX_JOINS: Final = 8
"""How often newly arrived messages restart a mind call; later ones wait for the next turn."""

CONTEXT_CHARS: Final = 1_000
"""How many characters of the conversation an eye gets along with a picture."""

TEACH_TOKENS: Final = 2048

KEEPS_TRYING: Final = "She keeps trying."
"""Added here to what is told of an outage: a check before she exists, or a consolidation, tries once."""

KEPT_CHARS: Final = 704 * 1024
"""Characters of perceived text that one reply may carry in all.

At four bytes each, together with the longest answer (``MAX_TEXT``) and the rest of a reply, they fit into a frame.
"""


@dataclass(frozen=True)
class Means:
    """What all turns of a persona share. ``mind`` returns the mind that a turn asks for; None means her own."""

    persona: Persona
    mind: Callable[[Organ | None], Mind]
    outages: Outages
    understood: Understood
    body: Body
    calls: HostCalls
    daemon: DaemonCalls
    send: Callable[[FromWorker], None]
    start: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
    """Starts a task whose unexpected errors are reported."""
    drop: Callable[[list[str]], Coroutine[None, None, None]]
    """Removes files from her media folder."""
    log: WorkerLog
    pace: Pace
    media: Path
    """Her media folder."""


class Turn:
    """One turn in hand. It keeps what was perceived, found or made, so that another mind call does not repeat it."""

    def __init__(self, message: Perceive, means: Means) -> None:
        self.number = message.turn
        self._message = message
        self._means = means
        self._perceptions = list(message.perceptions)
        # Each turn has its own, so that files from strangers do not hold up her owner's messages.
        self._senses = Senses(means.body, means.pace.organ, means.log, visitor=message.visitor is not None)
        self._joins = 0
        self._thinking: asyncio.Task[str] | None = None
        self._perceiving: dict[int, asyncio.Task[str]] = {}
        self._lookup = Lookup(message, means.body, means.calls, means.log)
        self._recollecting = Recollecting(message, means.daemon, means.log)
        self._tries = Tries()
        self._breaks = Backoff(4 * means.pace.shortest, means.pace.longest)
        self._tools = self._own_tools()
        self._telling = Telling(message.turn, message.conversation, means.send)
        self._aloud = Aloud(means.body, means.media, means.start, self._spoken, means.log)
        self._hushing = Hushing[Reply | Refused | Deferred]()
        self._asked: list[int] = []
        """The messages that the current mind call is about; none while they are perceived and looked up."""

    @property
    def purpose(self) -> Purpose:
        """What its calls are booked as."""
        if self._message.visitor is not None:
            return "visitor"
        return "routine" if due.are_due(self._perceptions) else "answer"

    def join(self, perceptions: list[Perception]) -> None:
        """Take more messages. A mind call that runs without them is cancelled, up to ``MAX_JOINS`` times."""
        self._perceptions.extend(perceptions)
        if self._thinking and self._joins < MAX_JOINS:
            self._asked = []
            self._joins += 1
            self._thinking.cancel()

    def hush(self) -> None:
        """Stop the answer: what was said of it so far is all that she says."""
        self._hushing.hush()

    def told(self) -> None:
        """The daemon has taken the last words that it was told."""
        self._telling.taken()

    async def run(self) -> Reply | Refused | Deferred:
        """Perceive, then call her mind until it answers. Messages that join meanwhile are part of the next call."""
        typing = self._means.start(self._type(Typing(self._message.conversation)))
        try:
            return await self._hushing.run(self._answered(typing)) or self._hushed()
        finally:
            typing.cancel()
            self._telling.end()
            self._aloud.end()
            await self._end()

    async def _answered(self, typing: asyncio.Task[None]) -> Reply | Refused | Deferred:
        reported = ("", "")
        while True:
            known = len(self._perceptions)
            understood = await self._perceive()
            await self._prepare()
            await self._recollecting.look_up(question_of(self._taken(understood), understood))
            prompt = self._prompt(understood, await self._lookup.search(self._taken(understood), understood))
            if len(self._perceptions) > known:
                continue
            try:
                answer = await self._ask(prompt)
            except PromptRefused as refusal:
                self._means.outages.end(self._message.mind)
                self._means.log.warning("mind.refused", kind=refusal.kind, reason=refusal.reason, hint=refusal.hint)
                if len(self._perceptions) == known and not self._tries.again(refusal, prompt):
                    return Refused(self.number, _ids(prompt), refusal.kind, refusal.reason)
                # A connection may break for a while: a server that is restarted, a network that changes.
                await (asyncio.sleep(self._breaks.next()) if refusal.kind == "broken" else self._means.outages.pause())
            except Unaffordable as error:
                typing.cancel()
                if self._message.kept:
                    self._means.understood.keep(understood)
                return Deferred(self.number, f"{error.reason} {error.hint}", error.passing)
            except OrganUnreachable as error:
                typing.cancel()
                if reported != (error.reason, error.hint):
                    reported = (error.reason, error.hint)
                    hint = error.hint if error.permanent else f"{error.hint} {KEEPS_TRYING}".strip()
                    self._means.send(MindDown(self.number, error.reason, hint))
                if not self._message.kept:
                    return Deferred(self.number)
                await self._means.outages.wait_out(self._message.mind, error)
                if self._message.visitor is not None:
                    self._means.understood.keep(understood)
                    return Deferred(self.number)
            else:
                if answer is not None:
                    self._means.outages.end(self._message.mind)
                    return await self._reply(prompt, answer)

    # Perceiving

    async def _perceive(self) -> dict[int, str]:
        """Return the text of the files so far by the perception's id. All are perceived at the same time, each once."""
        for perception in self._perceptions:
            if perception.kind != "text" and perception.id not in self._perceiving:
                work = self._understand(perception)
                self._perceiving[perception.id] = asyncio.get_running_loop().create_task(work)
        if self._perceiving:
            await asyncio.wait(self._perceiving.values())
        return {number: text for number, task in self._perceiving.items() if (text := task.result())}

    async def _understand(self, perception: Perception) -> str:
        known = self._means.understood.take(perception.id)
        return await self._senses.perceive(perception, self._context_of(perception)) if known is None else known

    def _context_of(self, perception: Perception) -> str:
        """Return what was said just before a file came and together with it."""
        texts = [line.content for line in self._message.history[-2:]]
        texts += [other.content for other in self._perceptions if other.id <= perception.id]
        return "\n".join(text for text in texts if text.strip())[-CONTEXT_CHARS:]

    # Thinking

    def _prompt(self, understood: dict[int, str], found: Found) -> Prompt:
        perceptions, now = self._taken(understood), now_in(self._message.zone)
        return Prompt(
            self._means.persona,
            {} if self._message.visitor is not None else self._message.memory,
            [] if self._tries.is_bare else self._message.history,
            perceptions,
            now,
            understood,
            "" if self._tries.is_bare else found.passages,
            found.unsearched,
            self._message.visitor,
            self._is_to_be_spoken(perceptions, understood),
            self._room(),
            self._message.instructions,
            recalled=None if self._tries.is_bare else self._recollecting.found,
            orders=self._message.orders,
            planned=agenda(self._message.planned, now),
        )

    def _taken(self, understood: dict[int, str]) -> list[Perception]:
        """Return the messages that the next mind call is about."""
        asked = "\n\n".join([self._message.instructions, *self._message.orders])
        return take(self._perceptions[: self._tries.most or None], understood, self._room(), asked)

    async def _prepare(self) -> None:
        # If this mind does not exist, the call itself reports it.
        with suppress(OrganUnreachable):
            await self._means.mind(self._message.mind).prepare()

    def _room(self) -> int:
        try:
            return self._means.mind(self._message.mind).room
        except OrganUnreachable:
            return 0

    async def _ask(self, prompt: Prompt) -> str | None:
        """Return her answer, or None when a Join cancelled the call."""
        self._tools.begin()
        self._telling.begin(aloud=prompt.is_aloud)
        self._asked = _ids(prompt)
        say: Callable[[str], None] = self._say_aloud if prompt.is_aloud else self._telling.say
        if self._is_due(prompt):
            # It may become silence, and what was shown cannot be taken back.
            say = _keep_quiet
        mind = self._means.mind(self._message.mind)
        self._thinking = asyncio.get_running_loop().create_task(mind.answer(prompt, self._tools, say))
        try:
            await asyncio.wait({self._thinking})
            return None if self._thinking.cancelled() else self._thinking.result()
        finally:
            self._thinking.cancel()
            self._thinking = None

    def _own_tools(self) -> Tools:
        """A stranger gets no tools: they cost her owner money and reveal what she has. Tools may leave traces, too."""
        if self._message.visitor is not None or not self._message.kept:
            return Tools()
        body, planner, name = self._means.body, self._planner(), self._means.persona.name
        searching = recall_offer(self._means.daemon, self.number, name, self._message.zone)
        return Tools(
            self._paint if body.has("imagination") else None,
            self._ask_teacher if body.has("teacher") else None,
            [*([searching] if self._message.beyond else []), *appointment_offers(planner)],
            planner,
        )

    def _planner(self) -> Planner:
        zone = self._message.zone
        begun = moment(max(one.at for one in self._perceptions), now_in(zone))
        return Planner(self._means.daemon.ask, self.number, begun, lambda: now_in(zone))

    async def _paint(self, description: str) -> str:
        imagination = self._means.body.imagination
        assert imagination is not None
        return await imagination.paint(description)

    async def _ask_teacher(self, question: str) -> str:
        teacher = self._means.body.teacher
        assert teacher is not None
        return await teacher.think([ChatTurn("user", question)], TEACH_TOKENS)

    # Answering

    def _is_due(self, prompt: Prompt) -> bool:
        """Only the daemon arranges a task: a visitor who writes like one is a visitor who writes."""
        return self._message.visitor is None and due.are_due(prompt.perceptions)

    async def _reply(self, prompt: Prompt, answer: str) -> Reply:
        is_silent = self._is_due(prompt) and due.is_silent(answer)
        said = [await self._said(answer, prompt.is_aloud)] if answer and not is_silent else []
        told = self._message.visitor is None and self._means.mind(self._message.mind).tells(prompt)
        kept = _kept(_ids(prompt), prompt.perceived)
        return Reply(self.number, _ids(prompt), [*said, *self._tools.made], kept, told)

    def _hushed(self) -> Reply:
        """Return what was said so far, as the answer to what it was about."""
        answered = self._asked or [one.id for one in self._perceptions]
        done = {number: task.result() for number, task in self._perceiving.items() if task.done()}
        said = [Outgoing(self._telling.words)] if self._telling.words else []
        return Reply(self.number, answered, [*said, *self._tools.made], _kept(answered, done), hushed=True)

    def _is_to_be_spoken(self, perceptions: list[Perception], understood: dict[int, str]) -> bool:
        """She answers speech with speech if she has a mouth, but a program that asks for a completion in writing."""
        if self._message.conversation.type == OPENAI:
            return False
        heard = any(perceived.is_heard(one, understood.get(one.id, "")) for one in perceptions)
        return heard and self._means.body.has("mouth")

    async def _said(self, answer: str, is_aloud: bool) -> Outgoing:
        if not is_aloud or len(answer) > SPOKEN_CHARS:
            return Outgoing(answer)
        try:
            async with asyncio.timeout(self._means.pace.speaking):
                mouth = self._means.body.mouth
                media = await self._aloud.whole(answer)
                if media is None and mouth:
                    media = await mouth.speak(speakable(answer))
        except TimeoutError:
            reason = f"It did not speak within {self._means.pace.speaking:g} s."
            self._means.log.warning("organ.failed", organ="mouth", reason=reason, hint="")
            return Outgoing(answer)
        except OrganUnreachable as error:
            self._means.log.warning("organ.failed", organ="mouth", reason=error.reason, hint=error.hint)
            return Outgoing(answer)
        return Outgoing(answer, "audio", media) if media else Outgoing(answer)

    def _say_aloud(self, words: str) -> None:
        self._telling.say(words)
        self._aloud.grow(words)

    def _spoken(self, number: int, words: str, sound: bytes) -> None:
        """Send a sentence to browsers; other channels get one recording of the whole."""
        where = self._message.conversation
        if not where.channel:
            self._means.send(Spoken(self.number, where, number, words, sound))

    async def _type(self, sign: Typing) -> None:
        # An immediate answer needs no typing sign.
        await asyncio.sleep(self._means.pace.at_once)
        while True:
            self._means.send(sign)
            await asyncio.sleep(self._means.pace.typing)

    async def _end(self) -> None:
        """Cancel what still runs, and remove files that were made for an answer that was not sent."""
        for task in self._perceiving.values():
            task.cancel()
        await asyncio.gather(*self._perceiving.values(), return_exceptions=True)
        await self._tools.close()
        await self._means.drop(self._tools.leftovers())


def _keep_quiet(_words: str) -> None:
    """Show nothing before the answer is whole."""


def _ids(prompt: Prompt) -> list[int]:
    return [one.id for one in prompt.perceptions]


def _kept(answered: list[int], understood: Mapping[int, str]) -> dict[int, str]:
    """Return what was perceived in the answered files, as much of each as one reply may carry of all."""
    room = KEPT_CHARS // len(answered)
    return {number: understood[number][:room] for number in answered if number in understood}
