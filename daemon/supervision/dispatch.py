"""Dispatches messages from workers: each kind goes to the module that handles it."""

from __future__ import annotations

from daemon.channels.intake import ChannelIntake
from daemon.channels.states import GatewayStates
from daemon.conversations.consolidation import Consolidation
from daemon.conversations.delivery import Delivery
from daemon.conversations.inbox import Inbox
from daemon.conversations.recaller import Recaller
from daemon.conversations.unkept import Unkept
from daemon.conversations.worker import Worker
from daemon.costs.costs import Costs
from daemon.personas.personas import Personas
from daemon.reminders.questions import ReminderQuestions
from daemon.runtime.tasks import PersonaTasks
from daemon.supervision.organ_host import OrganHost
from proto.costs import Reserve, Spent
from proto.gateways import Delivered, GatewayChanged, PartSent, Receipt, Received, Undelivered
from proto.messages import Consolidated, ConsolidationFailed, Deferred, FromWorker, OrganCall
from proto.recalling import Recall
from proto.reminding import CancelPlanned, ListPlanned, Remind
from proto.streaming import Delta, DeltaTaken


class Dispatch:
    """Routes the messages of all personas' current generations."""

    def __init__(
        self,
        personas: Personas,
        inbox: Inbox,
        unkept: Unkept,
        consolidation: Consolidation,
        intake: ChannelIntake,
        states: GatewayStates,
        delivery: Delivery,
        organ_host: OrganHost,
        recaller: Recaller,
        tasks: PersonaTasks,
        reminders: ReminderQuestions,
        costs: Costs,
    ) -> None:
        self._personas = personas
        self._inbox = inbox
        self._unkept = unkept
        self._consolidation = consolidation
        self._intake = intake
        self._states = states
        self._delivery = delivery
        self._organ_host = organ_host
        self._recaller = recaller
        self._tasks = tasks
        self._reminders = reminders
        self._costs = costs

    def received(self, persona_id: str, worker: Worker, message: FromWorker) -> None:
        """Route one message."""
        match message:
            case OrganCall():
                self._organ_host.call(message, self._personas.folder(persona_id), worker.send)
            case Reserve() | Spent():
                self._costs.received(persona_id, message)
            case Deferred() if message.unaffordable:
                self._about_a_turn(persona_id, message)
                self._costs.deferred(persona_id, passing=message.passing)
            case Delta():
                self._about_a_turn(persona_id, message)
                worker.send(DeltaTaken(message.turn))
            case Consolidated() | ConsolidationFailed():
                self._consolidation.received(persona_id, message)
            case Recall():
                turn = self._inbox.owners_turn(persona_id, message.turn)
                self._tasks.of(persona_id).start(self._recaller.answer(persona_id, message, turn, worker.send))
            case Remind() | ListPlanned() | CancelPlanned():
                self._reminders.received(persona_id, worker, message)
            case Received():
                self._intake.received(persona_id, worker, message)
            case GatewayChanged():
                self._states.changed(persona_id, worker, message.gateway)
                if message.gateway.state == "connected":
                    self._delivery.connected(persona_id, message.gateway.channel)
            case PartSent() | Delivered() | Undelivered():
                self._delivery.received(persona_id, message)
            case Receipt():
                self._delivery.receipt(persona_id, message)
            case _:
                self._about_a_turn(persona_id, message)

    def _about_a_turn(self, persona_id: str, message: FromWorker) -> None:
        if not self._unkept.received(persona_id, message):
            self._inbox.received(persona_id, message)
