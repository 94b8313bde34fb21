"""The channels that have gateways: what a worker opens them with, what comes in over them, and how they stand.

The daemon alone decides who is who: a worker hands over everything that its bots receive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Final

from daemon.channels.owner_intake import OwnerIntake
from daemon.channels.visitor_intake import VisitorIntake
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox, InboxFull
from daemon.conversations.terms import ChannelTerms
from daemon.conversations.worker import Worker
from daemon.ledger import Ledger, LedgerError, OpenChannel, StoredChannel, Waiting
from daemon.logging.log import Log
from daemon.personas.channel_records import GATEWAYS, PAIRED, channel_named, conversation_of, id_of
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from daemon.settings.accounts import ReadAccount
from proto.gateways import ErrorClass, Gateway, GatewayState, Received, Taken
from proto.records import Channel, Persona
from proto.secrets import Secret

CLASSES: Final[Mapping[str, ErrorClass]] = {"stopped": "credential"}
"""What a gateway's state says of its error when the gateway itself does not; every other state passes."""

NOT_RUNNING: Final = "She is not running, so nobody is answered: start her (personad start)."

OVERLAP: Final = 3600 * 1_000_000_000
"""Nanoseconds before the last message of a channel from which its list of messages is read again after a start."""


class Channels:
    """Commits what gateways receive and answers each with ``Taken``.

    ``editing`` is held by whoever changes the channels of a record and of the ledger, which must agree. ``hooks_url``
    is where providers call, "" when they cannot.
    """

    def __init__(
        self,
        ledger: Ledger,
        personas: Personas,
        inbox: Inbox,
        terms: ChannelTerms,
        owner_intake: OwnerIntake,
        visitor_intake: VisitorIntake,
        accounts: Mapping[str, ReadAccount],
        webhooks_url: str,
        hubs: Hubs,
        clock: Clock,
        log: Log,
    ) -> None:
        self.editing = asyncio.Lock()
        self._ledger = ledger
        self._personas = personas
        self._inbox = inbox
        self._terms = terms
        self._owner_intake = owner_intake
        self._visitor_intake = visitor_intake
        self._accounts = accounts
        self._webhooks_url = webhooks_url
        self._hubs = hubs
        self._clock = clock
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    async def gateways(self, persona: Persona) -> list[Gateway]:
        """What a worker needs to open her gateways."""
        async with self.editing:
            # A channel that is being made is in the ledger and not in her record for a moment.
            persona = self._personas.get(persona.id) or persona
            await self.settle(persona)
        self._inbox.admit(persona.id, await self.recover(persona))
        stored = {row.channel: row for row in await self._ledger.channels(persona.id)}
        shown = {
            row.channel: row for row in await self._ledger.channels_of(persona.id, self._clock.time_ns()) if row.open
        }
        found = []
        for record in persona.channels or []:
            channel = id_of(record)
            if channel is None or record.type not in GATEWAYS:
                continue
            if channel not in stored and (owner := self._owner_elsewhere(persona, channel)):
                # Two records with one token, edited by hand: two gateways on it would take each other's words.
                self._log.error("channel.taken", persona=persona.id, channel=record.type, owner=owner)
            elif channel in shown:
                found.append(self._open_gateway(record, shown[channel]))
            elif record.type in PAIRED:
                found.append(_paired_gateway(record, channel, stored.get(channel)))
            else:
                self._log.error("channel.not_made_here", persona=persona.id, channel=record.type, name=record.name)
        return found

    async def settle(self, persona: Persona) -> None:
        """Let go of channels that are in the ledger and not in her record: taken out by hand, or never saved.

        Their bots may belong to somebody else now. The caller holds ``editing``, once others may.
        """
        hers = {id_of(record) for record in persona.channels or []}
        for row in await self._ledger.channels(persona.id):
            if row.channel not in hers:
                await self.closed(persona.id, row.channel)

    async def let_go(self, persona_id: str) -> None:
        """Channels were taken out of her record; one that came back meanwhile stays. Raises LedgerError."""
        async with self.editing:
            if persona := self._personas.get(persona_id):
                await self.settle(persona)

    async def closed(self, persona_id: str, channel: str) -> None:
        """A channel is not hers any more: should it come back, it begins anew. Raises LedgerError."""
        await self._ledger.remove_channel(persona_id, channel)
        self._inbox.drop_channel(persona_id, channel)
        self._owner_intake.forget(channel)

    def received(self, persona_id: str, worker: Worker, message: Received) -> None:
        """Messages of one gateway."""
        self._go(self._take(persona_id, worker, message))

    def changed(self, persona_id: str, worker: Worker, state: GatewayState) -> None:
        """A gateway's state changed just now."""
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
        self._go(self._remember(persona_id, record.type, state))

    async def failed(self, persona_id: str, reason: str) -> None:
        """Her process does not come up any more: none of her channels works until somebody acts."""
        try:
            for row in await self._ledger.channels(persona_id):
                error = f"Her process failed too often: {reason}. Mend that, and start her."
                await self._ledger.channel_error(persona_id, row.channel, error, self._clock.time_ns(), "config")
        except LedgerError as error:
            self._log.error("channel.not_kept", persona=persona_id, reason=str(error))

    async def stopped(self, persona_id: str) -> None:
        """Nobody is answered on her channels until she is started; what was wrong with one before stays told."""
        try:
            for row in await self._ledger.channels_of(persona_id, self._clock.time_ns()):
                if row.error is None:
                    await self._ledger.channel_error(
                        persona_id, row.channel, NOT_RUNNING, self._clock.time_ns(), "config"
                    )
        except LedgerError as error:
            self._log.error("channel.not_kept", persona=persona_id, reason=str(error))

    async def recover(self, persona: Persona) -> list[Waiting]:
        """Finish a pairing that was saved when the daemon died or its disk was full: release the words kept for it."""
        released: list[Waiting] = []
        for row in await self._ledger.channels(persona.id):
            record = channel_named(persona, row.channel)
            if record and record.verified_at and row.account and row.chat:
                conversation = conversation_of(record, row.channel, row.chat)
                try:
                    released += await self._ledger.release(persona.id, row.channel, conversation)
                except LedgerError as error:
                    # They stay kept, and come with her next start; a full disk must not keep her from this one.
                    self._log.error("channel.words_kept", persona=persona.id, channel=row.type, reason=str(error))
        return released

    async def close(self) -> None:
        """Cancel what is not committed: its providers will bring it again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _owner_elsewhere(self, persona: Persona, channel: str) -> str:
        """The name of another persona whose record has this channel too, or an empty text."""
        others = (other for other in self._personas.all() if other.id != persona.id)
        return next((other.name for other in others if channel_named(other, channel)), "")

    def _open_gateway(self, record: Channel, row: OpenChannel) -> Gateway:
        """An open channel's; its account's credentials are as the settings have them now."""
        account = self._accounts.get(row.fields.account)
        if row.fields.account and account is None:
            self._log.error(
                "channel.account_unknown", persona=row.persona, channel=row.channel, account=row.fields.account
            )
        credentials = account.credentials if account else {}
        token = record.credentials["token"]
        return Gateway(
            channel=row.channel,
            type=row.type,
            token=credentials.get("bot_token", token) if row.type == "slack" else token,
            open=True,
            phone=row.fields.phone or "",
            credentials=credentials,
            webhook=self._webhook(row, credentials),
            since=max(row.created_at, (row.last_message_at or 0) - OVERLAP),
        )

    def _webhook(self, row: OpenChannel, credentials: Mapping[str, Secret]) -> str:
        """Where its provider calls; "" for one that is polled or holds a socket."""
        by_socket = "app_token" in credentials or (row.type == "telegram" and "webhook_secret" not in credentials)
        return f"{self._webhooks_url}/hooks/{row.channel}" if self._webhooks_url and not by_socket else ""

    async def _remember(self, persona_id: str, type_: str, state: GatewayState) -> None:
        """Keep who the bot is, for a channel that was written into config.json by hand, and what is wrong, if anything.

        An open channel keeps the identity that it was made with.
        """
        try:
            if state.bot_id and not self._terms.is_open_channel(state.channel):
                at = self._clock.time_ns()
                await self._ledger.add_channel(persona_id, state.channel, type_, state.bot_id, state.bot_name, at)
            if state.error:
                text, kind = f"{state.error} {state.hint}".strip(), CLASSES.get(state.state, "transient")
                at = self._clock.time_ns()
                await self._ledger.channel_error(persona_id, state.channel, text, at, state.error_class or kind)
            elif state.state == "connected":
                await self._ledger.channel_recovered(persona_id, state.channel)
        except LedgerError as error:
            self._log.error("channel.not_kept", persona=persona_id, reason=str(error))

    def _go(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, persona_id: str, worker: Worker, message: Received) -> None:
        try:
            taken = await self._commit(persona_id, worker, message)
        except (LedgerError, InboxFull) as error:
            self._log.warning("channel.not_taken", persona=persona_id, reason=str(error))
            taken = False
        worker.send(Taken(message.request, taken))

    async def _commit(self, persona_id: str, worker: Worker, message: Received) -> bool:
        """Commit each message to where it belongs; False when the channel is not hers any more."""
        persona = self._personas.get(persona_id)
        record = channel_named(persona, message.channel) if persona else None
        if persona is None or record is None:
            return False
        if self._terms.is_open_channel(message.channel):
            await self._visitor_intake.take(persona_id, message)
        else:
            rows = await self._ledger.channels(persona_id)
            row = next((row for row in rows if row.channel == message.channel), None)
            await self._owner_intake.take(persona, record, row, message.channel, worker, message.items)
        return True


def _paired_gateway(record: Channel, channel: str, row: StoredChannel | None) -> Gateway:
    """A channel's that is bound to its person, or waits to be."""
    bound = row if record.verified_at else None
    return Gateway(
        channel=channel,
        type="telegram" if record.type == "telegram" else "discord",
        token=record.credentials["token"],
        account=bound.account if bound else None,
        chat=bound.chat if bound else None,
        last_key=row.last_key if row else None,
    )
