"""The channel service in the test's process: real ledger and folders, fake providers and processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.channels import pairing_codes
from daemon.channels.gateways import ChannelGateways
from daemon.channels.intake import ChannelIntake
from daemon.channels.new_channel import OpenChannelRequest
from daemon.channels.owner_intake import OwnerIntake
from daemon.channels.pairing import Pairing
from daemon.channels.register import ChannelRegister
from daemon.channels.service import ChannelService
from daemon.channels.states import GatewayStates
from daemon.channels.visitor_intake import VisitorIntake
from daemon.channels.webhook_queue import WebhookQueue
from daemon.conversations.agenda import Agenda
from daemon.conversations.hubs import Hubs, Socket
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.conversations.requests import Requests
from daemon.conversations.terms import ChannelTerms
from daemon.conversations.worker import StartFailed
from daemon.ledger import ChannelFields, Ledger, OpenChannel
from daemon.logging.log import Log
from daemon.personas import atomic_files
from daemon.personas.instructions import Instructions
from daemon.personas.personas import Personas
from daemon.runtime.clock import SystemClock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.accounts import ReadAccount
from daemon.settings.settings import Settings
from proto.gateways import Gateway, GatewayState, GatewayType, Identified, Inbound, channel_id
from proto.records import Organ, Persona
from proto.secrets import Secret
from tests.daemon.fakes.recalling import by_words

ADA = "a0000000-0000-4000-8000-000000000001"
BOB = "b0000000-0000-4000-8000-000000000002"
LINE = "+15550001111"
"""The phone number of the account ``office``."""

HOUR = 3600 * 1_000_000_000


class Killed(BaseException):
    """The daemon was killed; nothing of it may run any more."""


class Death:
    """Allows a number of writes to the disk; every later one kills the daemon. ``writes`` counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.after: int | None = None
        self.writes = 0
        self.struck = False
        self._monkeypatch = monkeypatch
        write = atomic_files.write

        def write_file(path: Path, data: bytes) -> None:
            self.strike()
            write(path, data)

        monkeypatch.setattr(atomic_files, "write", write_file)

    def watch(self, ledger: Ledger) -> None:
        """Count this ledger's writes as well."""
        submit = ledger._writer.submit

        def submitted(*arguments: Any) -> Any:
            self.strike()
            return submit(*arguments)

        self._monkeypatch.setattr(ledger._writer, "submit", submitted)

    def strike(self) -> None:
        """Count a write that is about to happen. Raises Killed."""
        if self.after is not None and self.writes >= self.after:
            self.struck = True
            raise Killed
        self.writes += 1

    def forget(self) -> None:
        """Let the next daemon write."""
        self.after, self.struck = None, False


class PlayedProcesses:
    """A fake supervisor: a running persona has the gateways of her record at her last restart."""

    def __init__(self, gateways: ChannelGateways) -> None:
        self._gateways = gateways
        self.bots: dict[str, Identified] = {}
        self.open: dict[str, list[Gateway]] = {}
        self.states: dict[str, list[GatewayState]] = {}
        self.sent: list[msgspec.Struct] = []
        self.asked: list[str] = []
        self.followed: list[str] = []
        self.clashes: list[str] = []
        """Channels that had two gateways at the same time."""
        self.fault = ""
        """Why restarts fail, or ""."""
        self.meanwhile: Callable[[], None] | None = None
        """Called while a provider is being asked."""
        self.retiring: asyncio.Event | None = None
        """If there is one, a replacement waits for it before the old process ends."""
        self.held: asyncio.Queue[str] = asyncio.Queue()
        """The personas whose replacement is waiting."""

    def running(self, persona_id: str) -> bool:
        return persona_id in self.open

    async def start(self, persona_id: str) -> None:
        """Start her."""
        self._connect(persona_id, await self._gateways.of(persona_id))

    async def follow(self, persona_id: str) -> None:
        if persona_id not in self.open:
            return
        self.followed.append(persona_id)
        gateways = await self._gateways.of(persona_id)
        if self.retiring:
            self.held.put_nowait(persona_id)
            await self.retiring.wait()
        if self.fault:
            self.open[persona_id] = []
            raise StartFailed(self.fault)
        self._connect(persona_id, gateways)

    async def match_record(self, persona_id: str) -> None:
        await self.follow(persona_id)

    async def identify(
        self, kind: GatewayType, token: Secret, phone: str = "", credentials: Mapping[str, Secret] | None = None
    ) -> Identified:
        self.asked.append(token.reveal())
        if self.meanwhile:
            self.meanwhile()
        return self.bots.get(token.reveal(), Identified(reason="The provider does not know it: get another."))

    def send(self, persona_id: str, message: msgspec.Struct) -> None:
        self.sent.append(message)

    def gateways(self, persona_id: str) -> list[GatewayState]:
        return self.states.get(persona_id, [])

    def tokens(self, persona_id: str) -> list[str]:
        """The tokens for which her process has gateways."""
        return [gateway.token.reveal() for gateway in self.open[persona_id]]

    def _connect(self, persona_id: str, gateways: list[Gateway]) -> None:
        others = [one.channel for who, them in self.open.items() if who != persona_id for one in them]
        mine = [one.channel for one in gateways]
        self.clashes += [channel for channel in mine if channel in others or mine.count(channel) > 1]
        self.open[persona_id] = gateways


@dataclass
class Rig:
    """The channels of one daemon."""

    folder: Path
    ledger: Ledger
    personas: Personas
    inbox: Inbox
    terms: ChannelTerms
    hubs: Hubs
    register: ChannelRegister
    gateways: ChannelGateways
    intake: ChannelIntake
    states: GatewayStates
    processes: PlayedProcesses
    service: ChannelService
    tasks: PersonaTasks
    log: Log
    accounts: dict[str, ReadAccount]
    watcher: Socket = field(init=False)

    def __post_init__(self) -> None:
        self.watcher = self.hubs.connect(None)

    def bot(self, token: str, bot_id: str = "", name: str = "") -> str:
        """A bot that the provider knows."""
        self.processes.bots[token] = Identified(bot_id or token, name or f"{token}_bot")
        return token

    async def persona(self, persona_id: str = ADA, name: str = "Ada") -> Persona:
        """A running persona."""
        await self.personas.create(Persona(persona_id, name, Organ("echo")))
        await self.processes.start(persona_id)
        return self.record(persona_id)

    def record(self, persona_id: str = ADA) -> Persona:
        """Her record as the daemon has it."""
        persona = self.personas.get(persona_id)
        assert persona is not None
        return persona

    def request(self, token: str, persona_id: str = ADA) -> OpenChannelRequest:
        """An open Telegram channel."""
        fields = ChannelFields(name="Front desk")
        return OpenChannelRequest(persona=persona_id, type="telegram", fields=fields, token=Secret(token))

    def file(self, persona_id: str = ADA) -> Path:
        """Her config.json."""
        return self.personas.folder(persona_id) / "config.json"

    def listed(self, persona_id: str = ADA) -> list[dict[str, Any]]:
        """Her channels in config.json."""
        channels = json.loads(self.file(persona_id).read_text())["channels"]
        return channels or []

    def paste(self, channels: list[dict[str, Any]] | None, persona_id: str = ADA) -> None:
        """Write the list by hand; the daemon has not read it yet."""
        record = json.loads(self.file(persona_id).read_text())
        self.file(persona_id).write_text(json.dumps({**record, "channels": channels}))

    async def edit(self, channels: list[dict[str, Any]] | None, persona_id: str = ADA) -> None:
        """Write the list by hand, and have the daemon read it and follow."""
        self.paste(channels, persona_id)
        await self.see(persona_id)

    async def see(self, persona_id: str = ADA) -> None:
        """Do what the watch of config.json does, until everything has followed."""
        if persona := await self.personas._reload(persona_id):
            await self.service.edited(persona)
        while following := [task for owner in self.tasks._owners.values() for task in owner._commands]:
            await asyncio.gather(*following)

    async def rows(self, persona_id: str = ADA) -> list[OpenChannel]:
        """Her rows."""
        return await self.ledger.channels_of(persona_id, 0)

    async def write_to_bot(self, token: str, words: str = "hello", code: str = "ABCDEF") -> str:
        """Have a person write to an unpaired bot; returns the code that is shown."""
        channel = channel_id("telegram", token)
        now = SystemClock().time_ns()
        item = Inbound("1", "77", "ann", "77", private=True, kind="text", content=words, at=now)
        await self.ledger.hold(ADA, channel, [item], now)
        hashed = await pairing_codes.code_hash(ADA, code)
        assert await self.ledger.add_code(ADA, channel, "77", "ann", "77", hashed, now + HOUR, now)
        return code

    def events(self) -> list[str]:
        """The titles of the system's signals since the last call."""
        titles = [json.loads(frame)["title"] for frame in self.watcher._frames]
        self.watcher._frames.clear()
        return titles

    def logged(self) -> list[str]:
        """The names of the events in the log."""
        return [json.loads(line)["event"] for line in self.log.tail.last(1000)]

    async def state(self) -> object:
        """The whole state of channels: config.json's lists, the rows, what waits, and the valid codes."""
        people = {}
        for persona in self.personas.all():
            rows = {
                row.channel: (row.type, row.open, row.fields, row.status, row.bot_id)
                for row in await self.rows(persona.id)
            }
            paired = {row.channel: row.account for row in await self.ledger.channels(persona.id)}
            listed = [(one["type"], one["name"], bool(one["verified_at"])) for one in self.listed(persona.id)]
            waiting = [item.perception.content for item in await self.ledger.waiting(persona.id)]
            hashed = await pairing_codes.code_hash(persona.id, "ABCDEF")
            good = await self.ledger.find_code(persona.id, hashed, SystemClock().time_ns()) is not None
            people[persona.id] = (rows, paired, listed, waiting, good)
        return people, sorted(await self.ledger.channel_owners())

    async def close(self) -> None:
        """Stop the daemon."""
        await self.tasks.close()
        await self.ledger.close()


async def open_rig(folder: Path, log: Log, death: Death | None = None) -> Rig:
    """Start a daemon's channels on this folder."""

    settings = Settings(state_dir=folder, runtime_dir=folder)
    clock = SystemClock()
    ledger = await Ledger.open(folder / "ledger.db")
    personas = Personas(folder / "personas", log)
    await personas.load()
    hubs = Hubs(ledger, settings.limits, await ledger.last_seq(), clock)
    tasks = PersonaTasks(clock, log)
    publisher = Publisher(ledger, hubs, personas, Requests(ledger), lambda _: None, clock, log)
    terms = ChannelTerms(ledger, {}, clock, log)
    told, quiet = Instructions(personas, log), (lambda _: None, lambda _: None)
    recaller, agenda = by_words(ledger, personas, clock, log), Agenda(ledger)
    inbox = Inbox(settings, ledger, personas, told, terms, publisher, recaller, *quiet, tasks, clock, log, agenda)
    owner_intake = OwnerIntake(ledger, personas, inbox, hubs, asyncio.Queue(), clock)
    queue = WebhookQueue(ledger, 3, tasks, clock, log, "1")
    visitor_intake = VisitorIntake(settings.channels, ledger, personas, inbox, publisher, queue, clock)
    register = ChannelRegister(ledger, personas, terms, inbox, owner_intake, clock, log)
    accounts = {
        "office": ReadAccount("office", "twilio", (LINE,), {"auth_token": Secret("shh")}),
        "branch": ReadAccount("branch", "twilio", (LINE,), {"auth_token": Secret("shh")}),
        "team": ReadAccount("team", "slack", (), {"bot_token": Secret("xoxb-1")}),
    }
    gateways = ChannelGateways(register, ledger, personas, accounts, "", clock, log)
    processes = PlayedProcesses(gateways)
    pairing = Pairing(
        register=register,
        ledger=ledger,
        personas=personas,
        inbox=inbox,
        publisher=publisher,
        hubs=hubs,
        processes=processes,
        clock=clock,
        log=log,
    )
    service = ChannelService(
        register=register,
        pairing=pairing,
        ledger=ledger,
        personas=personas,
        processes=processes,
        accounts=accounts,
        hubs=hubs,
        tasks=tasks,
        clock=clock,
        log=log,
    )
    await register.reconcile()
    for persona in personas.all():
        await inbox.load(persona.id)
    if death:
        death.watch(ledger)
    return Rig(
        folder,
        ledger,
        personas,
        inbox,
        terms,
        hubs,
        register,
        gateways,
        ChannelIntake(ledger, personas, terms, owner_intake, visitor_intake, queue, tasks, log),
        GatewayStates(ledger, personas, terms, hubs, tasks, clock, log),
        processes,
        service,
        tasks,
        log,
        accounts,
    )
