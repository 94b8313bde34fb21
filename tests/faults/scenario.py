"""A day with everything in it, and what must hold at its end."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Final

from daemon.channels.new_channel import NewChannel, OpenChannelRequest
from daemon.ledger import ChannelFields
from daemon.ledger.pairing import CODES
from daemon.personas.channel_records import channel_named
from proto.gateways import GatewayState, Identified, Receipt, Undelivered, channel_id
from proto.records import Organ, Persona
from proto.secrets import Secret
from tests.daemon.fakes.processes import Outside
from tests.faults.assembled_daemon import SENDER_PER_MINUTE, AssembledDaemon
from tests.faults.clients import PATIENCE, Clients
from tests.faults.people import ADA, BOB, DEAD, DESK, EVE, NOBODY, OWNER, PHONE, ZOE

QUIET: Final = 400.0
"""Seconds after which everything is answered, whatever happened: more than one webhook request's patience."""


class Day(Clients):
    """What the clients do, part by part, and whether it came out right."""

    async def set_up(self, daemon: AssembledDaemon) -> None:
        """Ada, who runs, with a paired channel and an open one."""
        await daemon.personas.create(Persona(ADA, "Ada", Organ("echo"), idle_timeout=60))
        await daemon.by_people.start(ADA)
        await daemon.channels.add(ADA, "telegram", "phone")
        self.post(PHONE, OWNER, "p0")
        await asyncio.sleep(1)
        await daemon.channels.pair(ADA, self._code())
        await daemon.channels.open(
            OpenChannelRequest(
                persona=ADA,
                type="telegram",
                fields=ChannelFields(name="Desk", welcome="Welcome!"),
                token=Secret("desk"),
            )
        )
        await self.ask(self.say(daemon, "w0"))
        await asyncio.sleep(120)
        # What a kill left: a row of nobody, and a name that did not come into the list.
        now = daemon.clock.time_ns()
        await daemon.ledger.add_channel(NOBODY, channel_id("telegram", "gone"), "telegram", "id-gone", "gone", now)
        await daemon.ledger.update_open_channel(DESK, ChannelFields(name="Front", welcome="Welcome!"), now)

    async def run(self, daemon: AssembledDaemon, mended: Callable[[], None]) -> None:
        """Everything that can happen; ``mended`` is called when no later fault can repair an earlier one."""
        watching = asyncio.ensure_future(self._watch(daemon))
        try:
            for part in (
                self._faults,
                self._talks,
                self._troubles,
                self._deaths,
                self._commands,
                self._changes,
                self._pairings,
                self._persons,
                self._gives_up,
            ):
                await part(daemon)
                await self._on_all_lanes(daemon)
                await asyncio.sleep(QUIET)
                if part == self._faults:
                    mended()
                answered = {*await self._lines(daemon, "assistant")}
                deaf = [words for words in self.accepted if f"re: {words}" not in answered]
                self.lies += [f"{words} is not answered {QUIET:g} s after {part.__name__}" for words in deaf]
        finally:
            watching.cancel()

    async def last_words(self, daemon: AssembledDaemon) -> None:
        """Start her if she was stopped, and use every lane once more; returns when it is quiet."""
        for _ in range(2):
            await self._on_all_lanes(daemon)
            await asyncio.sleep(PATIENCE)

    async def _on_all_lanes(self, daemon: AssembledDaemon) -> None:
        """Start her if she was stopped, and write on every lane."""
        for _ in range(3):
            if not daemon.supervisor.running(ADA):
                await self.ask(daemon.by_people.start(ADA))
        self._keys += 1
        self._last = [f"{lane}-last{self._keys}" for lane in "wpvh"]
        on_web, from_owner, from_visitor, by_webhook = self._last
        await self.ask(self.say(daemon, on_web))
        self.post(PHONE, OWNER, from_owner)
        self.post(DESK, "v1", from_visitor)
        await self.ask(self.call(daemon, by_webhook))

    async def judge(self, daemon: AssembledDaemon) -> list[str]:
        """What is wrong now that it is quiet."""
        wrong = list(self.lies)
        answers = Counter(await self._lines(daemon, "assistant"))
        untaken = [item.content for items in self.outside.pending.values() for item in items]
        wrong += [f"not taken: {words}" for words in untaken]
        wrong += [
            f"{words} answered {answers[f're: {words}']} times"
            for words in self.accepted
            if answers[f"re: {words}"] != 1
        ]
        wrong += [f"waits: {item.perception.content}" for item in await daemon.ledger.waiting(ADA)]
        for words in self.answers_sent:
            sent = [one for one in self.outside.arrived if one.content == f"re: {words}"]
            if not sent and words not in DEAD and words in self.accepted:
                wrong.append(f"answer to {words} never arrived")
            wrong += [f"answer to {words} arrived again, unmarked" for one in sent[1:] if not one.ambiguous]
        if open_ := [row.content for row in await daemon.ledger.outgoing(ADA)]:
            wrong.append(f"still to be delivered: {open_}")
        if daemon.supervisor.view(ADA).state != "running":
            wrong.append(f"she is {daemon.supervisor.view(ADA)}")
        wrong += [f"{words} was not accepted" for words in self._last if words not in self.accepted]
        if depth := daemon.inbox.depth(ADA):
            wrong.append(f"the inbox's depth is {depth}")
        return wrong

    async def _watch(self, daemon: AssembledDaemon) -> None:
        """Status never says running without a process."""
        while True:
            view = daemon.supervisor.view(ADA)
            if view.state == "running" and view.pid not in {worker.process.pid for worker in self.outside.living}:
                self.lies.append(f"running, but there is no process: {view}")
            await asyncio.sleep(3)

    async def _talks(self, daemon: AssembledDaemon) -> None:
        failing = self.outside.failing
        failing["re: p1"] = Undelivered(0, "try later")
        failing["re: v-dead"] = Undelivered(0, "never", permanent=True)
        failing["re: v-blocked"] = Undelivered(0, "blocked", blocked=True)
        await self.ask(self.say(daemon, "w1"))
        self.post(PHONE, OWNER, "p1")
        for account, words in (("v1", "v1"), ("v2", "v2"), ("v3", "v-dead"), ("v4", "v-blocked")):
            self.post(DESK, account, words)
        await self.ask(self.call(daemon, "h1"))
        await self.ask(self.call(daemon, "ph1", PHONE))
        self.outside.unreadable.add("h-unread")
        await self.ask(self._call_with(daemon, DESK, "h-unread"))
        self.post(DESK, "v10", "v-out")
        self.post(DESK, "v10", "STOP", answered=False, opt_out=True)
        self.post(DESK, "v5", "v-group", answered=False, private=False)
        self.post(PHONE, "99", "p-stranger", answered=False)
        self.post(DESK, "v1", "v-twice", key="twice")
        self.post(DESK, "v1", "v-twice", answered=False, key="twice", media="open-1.png", kind="image")
        for number in range(SENDER_PER_MINUTE + 1):
            self.post(DESK, "v9", f"v-many{number}", answered=number < SENDER_PER_MINUTE, media=f"open-{number}.png")
        self.outside.drawing.add("w-draw")
        await self.ask(self.say(daemon, "w-draw"))
        await asyncio.sleep(2)
        self.outside.report(Receipt(PHONE, _provider_id(self.outside), "never reached", "credential"))
        self.outside.report(Receipt(PHONE, "unknown", "never reached"))
        await self.ask(daemon.consolidation.sleep(ADA))
        await self.ask(self.say(daemon, "w2"))

    async def _troubles(self, daemon: AssembledDaemon) -> None:
        self.outside.troubling |= {"w-away", "v-away"}
        await self.ask(self.say(daemon, "w-away"))
        self.post(DESK, "v1", "v-away")
        self.post(PHONE, OWNER, "p-away")
        await asyncio.sleep(10)
        disk = daemon.disk
        for operation in ("history", "answer", "outgoing", "sending", "sent", "open_webhooks", "visit"):
            disk.full_for[operation] = 1
        self.post(DESK, "v6", "v-full")
        self.post(PHONE, OWNER, "p-full")
        await self.ask(self.call(daemon, "h-full"))
        await asyncio.sleep(20)
        disk.full_for.clear()
        disk.full_for["unconsolidated"] = 1
        await asyncio.sleep(150)
        disk.full_for.clear()
        for state in ("degraded", "connected"):
            error = "it is away" if state == "degraded" else ""
            self.outside.trouble(GatewayState(PHONE, state, error))
            await asyncio.sleep(1)

    async def _deaths(self, daemon: AssembledDaemon) -> None:
        self.outside.fatal |= {"w-fatal", "h-fatal"}
        self.outside.refused |= {"w-refused"}
        await self.ask(self.say(daemon, "w-refused"))
        await asyncio.sleep(5)
        for _ in range(2):
            # A person whose request failed asks again.
            await self.ask(daemon.inbox.take_up(ADA, None))
        self.outside.silent.add("re: p-cut")
        self.post(PHONE, OWNER, "p-cut")
        await asyncio.sleep(1)
        await self.ask(self.say(daemon, "w-fatal"))
        await asyncio.sleep(5)
        await self.ask(self.call(daemon, "h-fatal"))
        await asyncio.sleep(5)
        await self.ask(daemon.by_people.stop(ADA))
        await self.ask(self.say(daemon, "w-asleep"))
        await self.ask(daemon.by_people.start(ADA))
        await self.ask(daemon.by_people.restart(ADA))

    async def _commands(self, daemon: AssembledDaemon) -> None:
        for command in ("hello", "hush", "restart", "dance", "stop"):
            self.post(PHONE, OWNER, f"/{command}", answered=False, command=command)
            self.post(PHONE, OWNER, f"p-{command}")
            await asyncio.sleep(15)
        if not daemon.supervisor.running(ADA):
            await self.ask(daemon.by_people.start(ADA))

    async def _changes(self, daemon: AssembledDaemon) -> None:
        channels, disk = daemon.channels, daemon.disk
        request = OpenChannelRequest(
            persona=ADA, type="telegram", fields=ChannelFields(name="Shop"), token=Secret("shop")
        )
        shop = channel_id("telegram", "shop")
        disk.full_for["config.json"] = 1
        await self.ask(channels.open(request))
        disk.full_for.clear()
        await self.ask(channels.open(request))
        self.post(shop, "s1", "s1")
        await asyncio.sleep(2)
        disk.full_for["config.json"] = 1
        await self.ask(channels.update(shop, ChannelFields(name="Mall")))
        disk.full_for.clear()
        await self.ask(channels.update(shop, ChannelFields(name="Mart")))
        disk.full_for["config.json"] = 1
        await self.ask(channels.renew(shop, Secret("shop:new")))
        disk.full_for.clear()
        await self.ask(channels.renew(shop, Secret("shop:newer")))
        await self.ask(channels.pause(shop))
        self.post(shop, "s1", "s2")
        await asyncio.sleep(1)
        await self.ask(channels.resume(shop))
        await asyncio.sleep(60)
        known, answered = await self._lines(daemon, "person"), await self._lines(daemon, "assistant")
        deaf = [
            words for words in self.accepted if words[0] == "s" and words in known and f"re: {words}" not in answered
        ]
        self.lies += [f"{words} is not answered when its channel is deleted" for words in deaf]
        await self.ask(channels.delete(shop))
        # What visitors said on a channel is erased with it, at once or when a fault is repaired.
        self.outside.pending.pop(shop, None)
        self.accepted = [words for words in self.accepted if words[0] != "s"]
        await self._edit(daemon)

    async def _edit(self, daemon: AssembledDaemon) -> None:
        """A name is changed by hand, and one that the ledger knows better. Then she is stopped by hand, and started."""
        file = daemon.personas.folder(ADA) / "config.json"
        record = json.loads(file.read_text())
        for channel in record["channels"] or []:
            if channel["credentials"]["token"] == "desk":
                channel["name"] = "Counter"
        for status in ("active", "hibernate", "active"):
            file.write_text(json.dumps({**record, "status": status}))
            if persona := await daemon.personas._reload(ADA):
                await self.ask(daemon.channels.edited(persona))
            await asyncio.sleep(5)

    async def _pairings(self, daemon: AssembledDaemon) -> None:
        channels, disk = daemon.channels, daemon.disk
        second = channel_id("telegram", "second")
        await self.ask(channels.add(ADA, "telegram", "second"))
        self.post(second, "88", "q-group", answered=False, private=False)
        self.post(second, "88", "q1")
        await asyncio.sleep(1)
        for number in range(CODES):
            self.post(second, f"9{number}", f"q-stranger{number}", answered=False)
        await asyncio.sleep(2)
        unpaired = daemon.personas.get(ADA)
        disk.full_for["config.json"] = 1
        await self.ask(channels.pair(ADA, self._code(second)))
        disk.full_for.clear()
        await self.ask(channels.pair(ADA, self._code(second)))
        await asyncio.sleep(5)
        if unpaired and (record := channel_named(unpaired, second)) and self.outside.living:
            # Its row was read before the pairing, its words come after.
            (worker,) = self.outside.living
            late = [self._item("88", "q-late")]
            await self.ask(daemon.channels._register._owner_intake.take(unpaired, record, None, second, worker, late))
        self.post(second, "88", "q2")
        await asyncio.sleep(60)
        persona = daemon.personas.get(ADA)
        names = [one.name for one in (persona.channels if persona else None) or []]
        await self.ask(channels.remove(ADA, next((name for name in names if name == "name-88"), "second_bot")))
        left = {item.content for item in self.outside.pending.pop(second, [])}
        known = await self._lines(daemon, "person")
        self.accepted = [words for words in self.accepted if words[0] != "q" or (words not in left and words in known)]

    async def _persons(self, daemon: AssembledDaemon) -> None:
        new = [NewChannel(type="telegram", token=Secret("bob"), bot=Identified("id-bob", "bob_bot"))]
        shared = [NewChannel(type="telegram", token=Secret("desk"), bot=Identified("id-desk", "desk_bot"))]
        bob = Persona(BOB, "Bob", Organ("echo"))
        daemon.disk.full_for["config.json"] = 1
        await self.ask(daemon.channels.create(bob, new))
        daemon.disk.full_for.clear()
        await self.ask(daemon.channels.create(bob, new))
        await self.ask(daemon.supervisor.probe(Organ("echo"), "thinking", BOB))
        await self.ask(daemon.channels.create(Persona(EVE, "Eve", Organ("echo")), shared))
        await self.ask(daemon.supervisor._channels.stopped(BOB))
        if daemon.personas.get(BOB):
            await self.ask(daemon.supervisor.start(BOB))
            await self.ask(daemon.supervisor.stop(BOB))
            await self.ask(daemon.personas.delete(BOB))
            daemon.supervisor.forget(BOB)
            daemon.channels.forget(BOB)
            await self.ask(daemon.ledger.forget(BOB))
            await self.ask(daemon.personas.remove_deleted(BOB))
        zoe = Persona(ZOE, "Zoe", Organ("echo"))
        other = [NewChannel(type="telegram", token=Secret("zoe"), bot=Identified("id-zoe", "zoe_bot"))]
        await self.ask(daemon.channels.bring_back(zoe, [*other, *shared], daemon.personas.create))
        await self.ask(daemon.parts.channels._register.bring_back(zoe, shared, daemon.personas.save))
        await self.ask(daemon.parts.channels._register.change_record(ADA, lambda persona: persona))

    async def _faults(self, daemon: AssembledDaemon) -> None:
        """Faults in every run, because recovery can fail too. They come first: recovery repairs others, too."""
        await self.ask(self.say(daemon, "w-fault"))
        self.post(PHONE, OWNER, "p-fault")
        await asyncio.sleep(0.03)
        daemon.supervisor._tasks.of(ADA).failed(RuntimeError("a fault of every run"))
        await asyncio.sleep(60)
        self.outside.refusing = True
        for worker in list(self.outside.living):
            worker.process.kill()
        await asyncio.sleep(0.05)
        daemon.supervisor._tasks.of(ADA).failed(RuntimeError("a fault while nobody runs"))
        self.outside.refusing = False
        await asyncio.sleep(60)

    async def _gives_up(self, daemon: AssembledDaemon) -> None:
        self.outside.refusing = True
        for worker in list(self.outside.living):
            worker.process.kill()
        await asyncio.sleep(200)
        self.outside.refusing = False
        await self.ask(daemon.by_people.start(ADA))
        self.outside.refusing = True
        await self.ask(daemon.by_people.restart(ADA))
        self.outside.refusing = False
        await asyncio.sleep(60)


def _provider_id(outside: Outside) -> str:
    sent = [one.seq for one in outside.arrived if one.channel == PHONE]
    return f"p{sent[-1]}" if sent else "none"
