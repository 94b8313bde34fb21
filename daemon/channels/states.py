"""The states of gateways: signalled to watchers, and kept in the ledger as a channel's last error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from daemon.conversations.hubs import Hubs
from daemon.conversations.terms import ChannelTerms
from daemon.conversations.worker import Worker
from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log
from daemon.personas.channel_records import channel_named
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import PersonaTasks
from proto.gateways import ErrorClass, GatewayState

CLASSES: Final[Mapping[str, ErrorClass]] = {"stopped": "credential"}
"""The class of an error by the gateway's state, if the gateway names none; in every other state it is transient."""

NOT_RUNNING: Final = "She is not running, so messages are not answered; start her with `personad start`."


class GatewayStates:
    """Follows the states of all gateways."""

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        terms: ChannelTerms,
        hubs: Hubs,
        tasks: PersonaTasks,
        clock: Clock,
        log: Log,
    ) -> None:
        self._ledger = ledger
        self._personas = personas
        self._terms = terms
        self._hubs = hubs
        self._clock = clock
        self._log = log
        self._tasks = tasks
        self._unkept: dict[tuple[str, str], GatewayState] = {}
        """The latest state of each gateway that is being written, by persona and channel."""

    def changed(self, persona_id: str, worker: Worker, state: GatewayState) -> None:
        """Take a gateway's new state."""
        worker.gateways = [state, *(other for other in worker.gateways if other.channel != state.channel)]
        persona = self._personas.get(persona_id)
        record = channel_named(persona, state.channel) if persona else None
        if persona is None or record is None:
            return
        log = self._log.bind(persona=persona_id, channel=record.type, name=record.name)
        if state.error:
            log.warning("gateway.troubled", state=state.state, reason=state.error, hint=state.hint)
        else:
            log.info("gateway.changed", state=state.state)
        details = {"channel": {"type": record.type, "name": record.name}, "state": state.state, "reason": state.error}
        self._hubs.signal("Event", "Gateway changed", persona, details)
        key = (persona_id, state.channel)
        is_kept = key in self._unkept
        self._unkept[key] = state
        if not is_kept:
            keeping = self._tasks.of(persona_id).start(self._keep_latest(key))
            # A cancelled task writes nothing more, so the next state has to start a new one.
            keeping.add_done_callback(lambda task: task.cancelled() and self._unkept.pop(key, None))

    async def failed(self, persona_id: str, reason: str) -> None:
        """Her process has failed too often: record on each channel that it does not work until somebody acts."""
        try:
            for row in await self._ledger.channels(persona_id):
                error = f"Her process failed too often: {reason}. Fix that, then start her again."
                await self._ledger.channel_error(persona_id, row.channel, error, self._clock.time_ns(), "config")
        except LedgerError as error:
            self._log.error("channel.not_kept", persona=persona_id, reason=str(error))

    async def stopped(self, persona_id: str) -> None:
        """Record that her channels do not answer until she is started. A channel keeps an error that it already has."""
        now = self._clock.time_ns()
        try:
            for row in await self._ledger.channels_of(persona_id, now):
                if row.error is None:
                    await self._ledger.channel_error(persona_id, row.channel, NOT_RUNNING, now, "config")
        except LedgerError as error:
            self._log.error("channel.not_kept", persona=persona_id, reason=str(error))

    async def _keep_latest(self, key: tuple[str, str]) -> None:
        """Write a gateway's state, and again while it has changed meanwhile; what lay between is not written."""
        persona_id, _ = key
        while True:
            state = self._unkept[key]
            await self._keep(persona_id, state)
            if self._unkept[key] is state:
                del self._unkept[key]
                return

    async def _keep(self, persona_id: str, state: GatewayState) -> None:
        """Store the channel's error, if any, and its bot's identity, which a channel added by hand does not know yet.

        An open channel keeps the identity with which it was created.
        """
        at = self._clock.time_ns()
        try:
            if state.bot_id and not self._terms.is_open_channel(state.channel):
                await self._ledger.identified(persona_id, state.channel, state.bot_id, state.bot_name)
            if state.error:
                text, kind = f"{state.error} {state.hint}".strip(), CLASSES.get(state.state, "transient")
                await self._ledger.channel_error(persona_id, state.channel, text, at, state.error_class or kind)
            elif state.state == "connected":
                await self._ledger.channel_recovered(persona_id, state.channel)
        except LedgerError as error:
            self._log.error("channel.not_kept", persona=persona_id, reason=str(error))
