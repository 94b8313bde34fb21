"""The briefing of a new process: the persona's record, her gateways, and the libraries that the process needs."""

from __future__ import annotations

import msgspec

from daemon.channels.gateways import ChannelGateways
from daemon.conversations.inbox import Inbox
from daemon.conversations.terms import ChannelTerms
from daemon.costs.costs import Costs
from daemon.ledger import LedgerError
from daemon.personas.channel_records import id_of
from daemon.personas.personas import Personas
from daemon.settings.settings import Settings
from daemon.supervision.lifecycle import GenerationFailed
from daemon.supervision.provisions import kinds_for, kinds_of, mind_limits, provider_urls
from proto.messages import Prepare


class Briefing:
    """Collects what a process is prepared with."""

    def __init__(
        self,
        settings: Settings,
        personas: Personas,
        inbox: Inbox,
        terms: ChannelTerms,
        gateways: ChannelGateways,
        costs: Costs,
    ) -> None:
        self._limits, self._urls = mind_limits(settings), provider_urls(settings)
        self._personas = personas
        self._inbox = inbox
        self._terms = terms
        self._gateways = gateways
        self._costs = costs

    async def prepare(self, persona_id: str) -> tuple[Prepare, frozenset[str]]:
        """Her process's first frame and the libraries that it needs, by her current record. Raises GenerationFailed."""
        persona = self._personas.get(persona_id)
        if persona is None:
            raise GenerationFailed("she has no record that can be read", permanent=True)
        try:
            gateways = await self._gateways.of(persona_id)
            await self._inbox.context.find_documents(persona.id)
        except LedgerError as error:
            raise GenerationFailed(str(error)) from error
        prepare = Prepare(
            # Only the gateways get the channels' tokens; the agent does not need them.
            persona=msgspec.structs.replace(persona, channels=None),
            limits=self._limits,
            urls=self._urls,
            gateways=gateways,
            media=str(self._personas.folder(persona_id) / "media"),
            is_budgeted=self._costs.is_budgeted(persona_id),
        )
        minds = (self._terms.mind(id_of(record) or "") for record in persona.channels or [])
        return prepare, kinds_for(persona).union(*(kinds_of(mind) for mind in minds if mind))
