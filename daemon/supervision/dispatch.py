"""What a keeper asks of the daemon for its persona: frames to send, messages to hand on, rises and falls to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from daemon.channels.gateways import ChannelGateways
from daemon.channels.intake import ChannelIntake
from daemon.channels.register import ChannelRegister
from daemon.channels.states import GatewayStates
from daemon.channels.webhook_queue import WebhookQueue
from daemon.conversations.consolidation import Consolidation
from daemon.conversations.delivery import Delivery
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.terms import ChannelTerms
from daemon.ledger import LedgerError
from daemon.logging.log import Log
from daemon.personas.channel_records import GATEWAYS, id_of
from daemon.personas.personas import Personas, PersonasError
from daemon.settings.settings import Settings
from daemon.supervision.generation import Generation, GenerationFailed
from daemon.supervision.link import Link
from daemon.supervision.organ_host import OrganHost
from daemon.supervision.spawner import Spawner
from proto.gateways import Delivered, GatewayChanged, PartSent, Receipt, Received, Undelivered
from proto.messages import Consolidated, ConsolidationFailed, FromWorker, MindLimits, OrganCall, Prepare
from proto.records import EMBEDDED, ORGANS, Organ, Persona

LOCAL: Final = "local"
"""The kind of a mind without a provider: a local Ollama."""


KINDS: Final = frozenset({LOCAL, EMBEDDED, "openai", "anthropic", "xai", "gemini"})


def kinds_of(organ: Organ) -> frozenset[str]:
    """Which libraries this organ needs, as the zygote names them; none for a provider that does not exist."""
    return KINDS & {organ.provider or LOCAL}


def kinds_for(persona: Persona) -> frozenset[str]:
    """Which libraries her process needs, for her organs and her gateways."""
    gateways = frozenset(channel.type for channel in persona.channels or [] if channel.type in GATEWAYS)
    organs = [persona.thinking, *filter(None, (getattr(persona, name) for name in ORGANS))]
    return gateways.union(*map(kinds_of, organs))


def mind_limits(settings: Settings) -> MindLimits:
    """What every mind is held to."""
    return MindLimits(settings.mind.first_token_timeout, settings.mind.total_timeout, settings.mind.retries)


def provider_urls(settings: Settings) -> dict[str, str]:
    """Base URL by provider, for organs that name none; for the embedded mind, the operator's own model file."""
    providers = settings.providers
    return {
        "openai": providers.openai_url,
        "anthropic": providers.anthropic_url,
        "xai": providers.xai_url,
        "gemini": providers.gemini_url,
        "telegram": providers.telegram_url,
        "discord": providers.discord_url,
        "slack": providers.slack_url,
        "twilio": providers.twilio_url,
        "whatsapp": providers.whatsapp_url,
        LOCAL: providers.local_url,
        EMBEDDED: settings.organs.mind_model,
    }


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the daemon that a persona's life touches."""

    settings: Settings
    personas: Personas
    hubs: Hubs
    inbox: Inbox
    terms: ChannelTerms
    consolidation: Consolidation
    register: ChannelRegister
    gateways: ChannelGateways
    intake: ChannelIntake
    states: GatewayStates
    webhook_queue: WebhookQueue
    delivery: Delivery
    link: Link
    spawner: Spawner
    organ_host: OrganHost
    log: Log


class PersonaDispatch:
    """One persona's house."""

    def __init__(self, persona_id: str, parts: Parts) -> None:
        self._id = persona_id
        self._parts = parts

    def generation(self, number: int, receive: Callable[[Generation, FromWorker], None]) -> Generation:
        """A generation of hers, not yet born."""
        parts = self._parts
        log = parts.log.bind(persona=self._id, generation=number)
        return Generation(number, parts.spawner, parts.link, parts.settings.supervisor, log, receive)

    async def prepare(self) -> tuple[Prepare, frozenset[str]]:
        """Her first frame and the kinds of libraries for it, from her record as it is now. Raises GenerationFailed."""
        persona = self._parts.personas.get(self._id)
        if persona is None:
            raise GenerationFailed("she has no record that can be read", permanent=True)
        settings = self._parts.settings
        try:
            gateways = await self._parts.gateways.of(persona.id)
            await self._parts.inbox.find_documents(persona.id)
        except LedgerError as error:
            raise GenerationFailed(str(error)) from error
        prepare = Prepare(
            # Her channels' tokens go to her gateways only; her agent has no use for them.
            persona=msgspec.structs.replace(persona, channels=None),
            limits=mind_limits(settings),
            urls=provider_urls(settings),
            gateways=gateways,
            media=str(self._parts.personas.folder(self._id) / "media"),
        )
        minds = (self._parts.terms.mind(id_of(record) or "") for record in persona.channels or [])
        return prepare, kinds_for(persona).union(*(kinds_of(mind) for mind in minds if mind))

    def received(self, generation: Generation, message: FromWorker) -> None:
        """Hand on a message of her current generation."""
        match message:
            case OrganCall():
                self._parts.organ_host.call(message, self._parts.personas.folder(self._id), generation.send)
            case Consolidated() | ConsolidationFailed():
                self._parts.consolidation.received(self._id, message)
            case Received():
                self._parts.intake.received(self._id, generation, message)
            case GatewayChanged():
                self._parts.states.changed(self._id, generation, message.gateway)
                if message.gateway.state == "connected":
                    self._parts.delivery.connected(self._id, message.gateway.channel)
            case PartSent() | Delivered() | Undelivered():
                self._parts.delivery.received(self._id, message)
            case Receipt():
                self._parts.delivery.receipt(self._id, message)
            case _:
                self._parts.inbox.received(self._id, message)

    def risen(self, generation: Generation) -> None:
        """She runs: her web channel opens, and she gets what waits."""
        self._parts.log.info("persona.running", persona=self._id, generation=generation.number, pid=generation.pid)
        self._parts.hubs.started(self._id)
        self._parts.inbox.attach(self._id, generation)
        self._parts.consolidation.attach(self._id, generation)
        self._parts.delivery.attach(self._id, generation)
        self._parts.webhook_queue.attach(self._id, generation)
        self._parts.hubs.signal("Event", "Awake", self._parts.personas.get(self._id), {})

    async def fallen(self, crashed: bool) -> None:
        """Her process is gone; ``crashed`` when nobody had asked for it."""
        self._parts.consolidation.detach(self._id)
        await self._parts.delivery.detach(self._id)
        await self._parts.webhook_queue.detach(self._id, crashed)
        await self._parts.inbox.detach(self._id, crashed)
        title = "Process died" if crashed else "Asleep"
        self._parts.hubs.signal("Event", title, self._parts.personas.get(self._id), {})

    async def gave_up(self, reason: str) -> None:
        """She failed too often: she is sick, and left alone until somebody acts."""
        self._parts.hubs.stopped(self._id)
        try:
            persona = await self._parts.register.change_record(self._id, _sick)
        except PersonasError as error:
            self._parts.log.error("persona.not_saved", persona=self._id, reason=str(error))
            persona = self._parts.personas.get(self._id)
        if persona is None:
            return
        await self._parts.states.failed(self._id, reason)
        self._parts.log.error("persona.sick", persona=self._id, reason=reason)
        self._parts.hubs.signal("Event", "Persona became sick", _sick(persona), {"reason": reason})


def _sick(persona: Persona) -> Persona:
    return msgspec.structs.replace(persona, status="sick")
