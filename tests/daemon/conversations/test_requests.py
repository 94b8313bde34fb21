"""A request's answer as its client sees it: every end reaches who waits, and nothing that was shown is taken back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import msgspec
import pytest

from daemon.api.openai.completions import Shown
from daemon.api.openai.refusals import Refused
from daemon.conversations.agenda import Agenda
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.conversations.publisher import Publisher
from daemon.conversations.requests import Answering, Failed, Requests
from daemon.conversations.terms import ChannelTerms
from daemon.conversations.unkept import Unkept
from daemon.ledger import Ledger, Piece
from daemon.ledger.requests import conversation_of
from daemon.logging.log import Log, Sink
from daemon.personas.instructions import Instructions
from daemon.personas.personas import Personas
from daemon.runtime.clock import SystemClock
from daemon.runtime.tasks import PersonaTasks
from daemon.settings.settings import Logs, Settings
from proto.costs import Used
from proto.gateways import GatewayState
from proto.messages import Deferred, Line, MindDown, Outgoing, Perceive, Reply
from proto.streaming import Delta
from proto.texts import MAX_TEXT
from tests.daemon.fakes.recalling import by_words

EVE = "11111111-1111-4111-8111-111111111111"
HERE = conversation_of("k")


def ended(answering: Answering) -> list[Outgoing] | Failed | None:
    """How it ended so far, which each call may have changed."""
    return answering.end


async def test_who_waits_gets_the_end() -> None:
    """Words that come meanwhile are shown, and the first end counts."""
    requests = Requests(cast("Ledger", None))
    with requests.waiting(EVE, "k") as answering, requests.waiting(EVE, "k") as other:
        assert other is answering
        answering.expect(2)
        change = answering.change
        requests.drafted(EVE, HERE, Delta(7, HERE, 0, "Hel"))
        requests.drafted(EVE, HERE, Delta(7, HERE, 3, "lo"))
        assert (change.done(), answering.text, answering.turn) == (True, "Hello", 7)
        requests.answered(EVE, HERE, Reply(7, [1], [Outgoing("Hello")], used=Used(10, 2, 1)))
        assert ended(answering) is None
        requests.answered(EVE, HERE, Reply(8, [2], [Outgoing("again")], used=Used(20, 3, 1)))
        requests.failed(EVE, HERE, "mind_down", "too late")
        assert ended(answering) == [Outgoing("Hello"), Outgoing("again")]
        assert answering.used == Used(30, 5, 2)
    with requests.waiting(EVE, "k") as later:
        assert later is not answering


async def test_an_answer_that_comes_before_its_row_is_known() -> None:
    """The answer to a request that waits already may be committed while it is looked up."""
    answering = Answering()
    answering.answered(Reply(1, [5], [Outgoing("hi")]))
    assert ended(answering) is None
    answering.expect(5)
    assert ended(answering) == [Outgoing("hi")]


async def test_others_hear_nothing() -> None:
    """What is said in another conversation, or to another request, or of another persona."""
    requests = Requests(cast("Ledger", None))
    with requests.waiting(EVE, "k") as answering:
        answering.expect(1)
        reply = Reply(1, [1], [Outgoing("hi")])
        requests.answered("22222222-2222-4222-8222-222222222222", HERE, reply)
        requests.answered(EVE, conversation_of("other"), reply)
        requests.answered(EVE, msgspec.structs.replace(HERE, type="web"), reply)
        assert ended(answering) is None
        requests.forget(EVE)
        assert ended(answering) == Failed("stopped", "She was deleted.")


async def test_nothing_that_was_shown_is_taken_back() -> None:
    """New words follow; what begins anew within a turn follows after an empty line; another turn ends the stream."""
    answering = Answering()
    shown = Shown(answering)
    answering.drafted(Delta(1, HERE, 0, "Let me see"))
    assert shown.more(answering.text) == "Let me see"
    answering.drafted(Delta(1, HERE, 10, "."))
    assert shown.more(answering.text) == "."
    answering.drafted(Delta(1, HERE, 0, "It rains"))
    assert shown.more(answering.text) == "\n\nIt rains"
    answering.drafted(Delta(2, HERE, 0, "It rains"))
    assert shown.more(answering.text) == ""
    answering.drafted(Delta(3, HERE, 0, "The sun"))
    with pytest.raises(Refused) as refused:
        shown.more(answering.text)
    assert refused.value.code == "interrupted"


class Process:
    """Her process; the test answers for it."""

    def __init__(self) -> None:
        self.gateways: list[GatewayState] = []
        self.sent: list[msgspec.Struct] = []
        self.asked = asyncio.Event()

    def send(self, message: msgspec.Struct) -> None:
        self.sent.append(message)
        self.asked.set()


class Bench:
    """The parts that take a request that is not kept."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        log, clock = Log(Sink(Logs(), 2, terminal=False)), SystemClock()
        self.ledger = ledger
        self.tasks = PersonaTasks(clock, log)
        settings = Settings(state_dir=folder, runtime_dir=folder)
        personas = Personas(folder / "personas", log)
        self.requests = Requests(ledger)
        hubs = Hubs(ledger, settings.limits, 0, clock)
        publisher = Publisher(ledger, hubs, personas, self.requests, lambda _: None, clock, log)
        terms = ChannelTerms(ledger, {}, clock, log)
        orders, quiet = Instructions(personas, log), (lambda _: None, lambda _: None)
        recaller, agenda = by_words(ledger, personas, clock, log), Agenda(ledger)
        inbox = Inbox(
            settings, ledger, personas, orders, terms, publisher, recaller, *quiet, self.tasks, clock, log, agenda
        )
        self.unkept = Unkept(inbox, recaller, personas, self.tasks, clock)
        self.process = Process()
        self.unkept.attach(EVE, self.process)


async def test_unkept_turns_go_past_the_ledger(tmp_path: Path) -> None:
    """One at a time, told as such to her process; each end is the end of the request."""
    ledger = await Ledger.open(tmp_path / "ledger.db")
    bench = Bench(tmp_path, ledger)
    ends: list[object] = []
    for number, end in enumerate((Reply, MindDown, "death")):
        with bench.requests.waiting(EVE, f"u{number}") as answering:
            history = [Line("person", "before", 1)]
            task = bench.unkept.ask(EVE, f"u{number}", [Piece("text", "psst")], history, "be brief", answering)
            await bench.process.asked.wait()
            bench.process.asked.clear()
            asked = bench.process.sent[-1]
            assert isinstance(asked, Perceive)
            assert (asked.kept, asked.instructions, asked.history) == (False, "be brief", history)
            assert asked.turn < 0
            ids = [one.id for one in asked.perceptions]
            if end is Reply:
                assert bench.unkept.received(EVE, Reply(asked.turn, ids, [Outgoing("yes")]))
            elif end is MindDown:
                assert bench.unkept.received(EVE, MindDown(asked.turn, "It is down.", "Wait."))
                assert bench.unkept.received(EVE, Deferred(asked.turn))
            else:
                await bench.unkept.detach(EVE, crashed=True)
            await task
            ends.append(answering.end)
    assert ends[0] == [Outgoing("yes")]
    assert isinstance(ends[1], Failed)
    assert (ends[1].trouble, ends[1].detail) == ("mind_down", "It is down. Wait.")
    assert isinstance(ends[2], Failed)
    assert ends[2].trouble == "ended"
    assert not bench.unkept.received(EVE, Reply(1, [1], []))
    assert ledger.commits == 0
    await bench.tasks.close()
    await ledger.close()


async def test_words_without_end_are_cut() -> None:
    """A process that says more than an answer may have fills no memory."""
    requests = Requests(cast("Ledger", None))
    with requests.waiting(EVE, "k") as answering:
        for number in range(3):
            requests.drafted(EVE, HERE, Delta(7, HERE, number * MAX_TEXT, "x" * MAX_TEXT))
        assert len(answering.text) == MAX_TEXT
