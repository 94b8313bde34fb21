"""A running persona's process: her agent and her gateways."""

from __future__ import annotations

import asyncio

from proto import exits
from proto.asking import DaemonAnswer
from proto.birth import Birth
from proto.costs import Budgeted, Reserved
from proto.gateways import Bound, Deliver, GatewayState, Say, Taken, WebhookRequest
from proto.messages import (
    Consolidate,
    Deferred,
    FromWorker,
    Join,
    Open,
    OrganResult,
    Perceive,
    Prepare,
    Prepared,
    Ready,
    Refused,
    Reply,
    Stop,
    ToWorker,
    Typing,
)
from proto.streaming import Delta, DeltaTaken, Hush
from worker.agent.agent import Agent
from worker.base.link import WORKER_CODEC
from worker.base.organ_errors import OrganConfigError
from worker.base.role_process import RoleProcess
from worker.gateways.switchboard import Switchboard


class PersonaProcess(RoleProcess[ToWorker]):
    """Creates her agent and gateways at ``Prepare``, and connects the gateways at ``Open``."""

    def __init__(self, birth: Birth) -> None:
        self._agent: Agent | None = None
        self._switchboard: Switchboard | None = None
        super().__init__(birth, WORKER_CODEC)

    def receive(self, message: ToWorker) -> None:
        match message:
            case Prepare():
                self._prepare(message)
            case Open() if self._switchboard:
                self._switchboard.open()
                self.link.send(Ready(self.gateways()))
            case Perceive() | Join() | Hush() | DeltaTaken() | Consolidate() | OrganResult() if self._agent:
                self._agent.receive(message)
            case DaemonAnswer() | Reserved() | Budgeted() if self._agent:
                self._agent.receive(message)
            case Taken() | Deliver() | Say() | Bound() | WebhookRequest() if self._switchboard:
                self._switchboard.receive(message)
            case Stop():
                self.leave()
            case _:
                self.end(exits.FAULT, f"a {type(message).__name__} has no place here")

    def gateways(self) -> list[GatewayState]:
        return self._switchboard.states() if self._switchboard else []

    def failed(self, error: BaseException) -> None:
        """Report an unexpected error in her agent or a gateway, which ends the process."""
        self.unhandled(asyncio.get_running_loop(), {"exception": error})

    async def close(self) -> None:
        if self._agent:
            await self._agent.close()
        if self._switchboard:
            await self._switchboard.close()

    def _prepare(self, message: Prepare) -> None:
        try:
            self._agent = Agent(message, self._send, self.log, self.failed)
        except OrganConfigError as error:
            self.end(exits.CONFIG, str(error))
            return
        self._switchboard = Switchboard(
            message.gateways, message.urls, message.media, self.link.send, self.failed, self.log
        )
        self.link.send(Prepared())

    def _send(self, message: FromWorker) -> None:
        """Send a message to the daemon. That she thinks, and her words so far, are shown on her gateway as well."""
        self.link.send(message)
        if not self._switchboard:
            return
        match message:
            case Typing():
                self._switchboard.typing(message.conversation)
            case Delta():
                self._switchboard.drafting(message)
            case Reply() | Refused() | Deferred():
                self._switchboard.ended(message.turn)
