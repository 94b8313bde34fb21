"""What a turn is given beside its messages: all that she knows in her owner's turn, and none of it in a visitor's."""

from __future__ import annotations

import asyncio

from daemon.conversations.agenda import Agenda
from daemon.conversations.lane import Turn
from daemon.conversations.terms import ChannelTerms
from daemon.personas.instructions import Instructions
from daemon.personas.media import FOLDER as MEDIA
from daemon.personas.media import holds_documents
from daemon.personas.personas import Personas
from proto.messages import Conversation, Line, Perceive, Perception


class TurnContext:
    """Makes the first message of a turn for all personas."""

    def __init__(self, personas: Personas, instructions: Instructions, terms: ChannelTerms, agenda: Agenda) -> None:
        self._personas = personas
        self._instructions = instructions
        self._terms = terms
        self._agenda = agenda
        self._readers: set[str] = set()
        """The personas that have documents to search."""

    async def find_documents(self, persona_id: str) -> None:
        """Check whether she has documents."""
        if await asyncio.to_thread(holds_documents, self._personas.folder(persona_id) / MEDIA):
            self.has_document(persona_id)

    def has_document(self, persona_id: str) -> None:
        """She has a document from now on."""
        self._readers.add(persona_id)

    def forget(self, persona_id: str) -> None:
        """Forget a deleted persona."""
        self._readers.discard(persona_id)
        self._agenda.forget(persona_id)

    def owned(
        self,
        persona_id: str,
        turn: int,
        conversation: Conversation,
        perceptions: list[Perception],
        history: list[Line],
        instructions: str = "",
    ) -> Perceive:
        """Her owner's turn, with all that she knows; ``instructions`` are what a program asks of her there."""
        persona = self._personas.get(persona_id)
        return Perceive(
            turn,
            conversation,
            perceptions,
            history,
            self._personas.memory(persona_id),
            persona_id in self._readers,
            instructions=instructions,
            orders=self._instructions.orders(persona_id),
            zone=persona.zone if persona else "",
            planned=self._agenda.next(persona_id),
        )

    def visited(self, persona_id: str, turn: Turn, history: list[Line]) -> Perceive:
        """A visitor's turn, without anything that she knows about her owner."""
        terms = self._terms.of(turn.conversation)
        return Perceive(
            turn.number,
            turn.conversation,
            perceptions_of(turn),
            history,
            memory={},
            visitor=turn.conversation.name,
            mind=terms.mind if terms else None,
            datasets=terms.datasets if terms else [],
            instructions=terms.instructions if terms else "",
            orders=self._instructions.orders(persona_id, visitors=True),
        )


def perceptions_of(turn: Turn) -> list[Perception]:
    """The turn's messages."""
    return [item.perception for item in turn.items]
