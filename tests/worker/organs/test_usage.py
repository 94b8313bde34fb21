"""What each call of a provider reports, against servers that report as the real ones do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proto.costs import Reserve, Reserved, Spent, Used
from proto.messages import ChatTurn, MindLimits
from proto.records import Organ, Slot
from tests.emulators import samples
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Emulator, Step
from tests.patience import PATIENCE
from worker.base.organ_errors import OrganUnreachable
from worker.organs.choice import mind_for
from worker.organs.metering import Meter, Unaffordable
from worker.organs.mind import Mind
from worker.organs.openai_organs import OpenAIEar, OpenAIImagination, OpenAIMouth
from worker.organs.urls import versioned_url
from worker.organs.usage import of_anthropic, of_openai, of_organ
from worker.prompting.exchange import Usage

LIMITS = MindLimits(first_token=PATIENCE, total=PATIENCE, retries=0)
HELLO = [ChatTurn("system", "You are Adam."), ChatTurn("user", "hello there")]


class Books:
    """What a meter sends."""

    def __init__(self) -> None:
        self.reserved: list[Reserve] = []
        self.spent: list[Spent] = []
        self.meter = Meter(self._take, waits=False)

    def _take(self, message: Reserve | Spent) -> None:
        if isinstance(message, Reserve):
            self.reserved.append(message)
        else:
            self.spent.append(message)


@pytest.fixture(params=["openai", "anthropic"])
def emulator(request: pytest.FixtureRequest) -> Emulator:
    """Each provider's server in turn."""
    served = request.getfixturevalue(request.param)
    assert isinstance(served, Emulator)
    return served


async def no_host(_turns: list[ChatTurn], _max_tokens: int) -> str:
    raise AssertionError("a remote mind asks no organ host")


@asynccontextmanager
async def mind_at(emulator: Emulator, limits: MindLimits = LIMITS) -> AsyncIterator[Mind]:
    provider = "anthropic" if isinstance(emulator, AnthropicEmulator) else "openai"
    mind = mind_for(Organ("test-model", provider, None, emulator.url), limits, {}, no_host)
    try:
        yield mind
    finally:
        await mind.close()


async def test_the_providers_numbers_are_booked(emulator: Emulator) -> None:
    """Input, output and cached tokens of a streamed answer, with what they were for, after a reservation."""
    books = Books()
    emulator.script(Step(used=(1000, 77, 600)))
    async with mind_at(emulator) as mind:
        with books.meter.charged("consolidation"):
            await mind.think(HELLO, 100)

    [reserved], [spent] = books.reserved, books.spent
    assert (reserved.purpose, reserved.organ, reserved.model) == ("consolidation", "thinking", "test-model")
    assert reserved.used.output == 100
    assert 0 < reserved.used.input < 100
    assert spent == Spent(reserved.call, Used(1000, 77, 600), "reported")


async def test_a_server_that_takes_no_stream_options_is_asked_without_them(openai: OpenAIEmulator) -> None:
    """It is learned once, the refused call costs nothing, and what it does not report is estimated."""
    books = Books()
    openai.takes_stream_options = False
    async with mind_at(openai) as mind:
        with books.meter.charged("answer"):
            for _ in range(2):
                assert await mind.think(HELLO, 100) == "hello there"

    assert ["stream_options" in entry.body for entry in openai.journal] == [True, False, False]
    assert [spent.used and spent.used.output for spent in books.spent] == [None, 3, 3]
    assert [spent.source for spent in books.spent[1:]] == ["estimated", "estimated"]


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
async def test_a_refused_call_is_free(emulator: Emulator, status: int) -> None:
    """A provider bills no call that it refuses."""
    books = Books()
    emulator.script(Step(status=status))
    async with mind_at(emulator) as mind:
        with books.meter.charged("answer"), pytest.raises(OrganUnreachable):
            await mind.think(HELLO, 100)

    assert [spent.used for spent in books.spent] == [None]


async def test_a_server_that_is_not_there_is_free() -> None:
    """Nothing arrived."""
    books = Books()
    mind = mind_for(Organ("m", "openai", None, "http://127.0.0.1:9"), LIMITS, {}, no_host)
    with books.meter.charged("answer"), pytest.raises(OrganUnreachable):
        await mind.think(HELLO, 100)
    await mind.close()

    assert [spent.used for spent in books.spent] == [None]


@pytest.mark.parametrize("failure", ["hang_mid", "drop", "cut"])
async def test_a_call_that_broke_off_is_booked_as_far_as_it_came(emulator: Emulator, failure: str) -> None:
    """The prompt was read and words were written, so both are billed; each further try is a call of its own."""
    books = Books()
    emulator.script(Step(failure=failure), Step())  # type: ignore[arg-type]  # of these literals
    limits = MindLimits(first_token=PATIENCE, total=1.5 if failure == "hang_mid" else PATIENCE, retries=1)
    async with mind_at(emulator, limits) as mind:
        with books.meter.charged("answer"):
            try:
                await mind.think(HELLO, 100)
            except OrganUnreachable:
                assert failure == "hang_mid"
    emulator.release()

    broken = books.spent[0]
    assert broken.used
    assert broken.used.input > 0
    assert broken.source == "estimated"
    assert len(books.spent) == len(books.reserved) == len(emulator.journal)


async def test_a_cancelled_call_is_booked(openai: OpenAIEmulator) -> None:
    """A message that joins the turn cancels its call; the provider has read the prompt by then."""
    books = Books()
    openai.script(Step(failure="hang"))
    async with mind_at(openai) as mind:
        with books.meter.charged("answer"):
            asked = asyncio.get_running_loop().create_task(mind.think(HELLO, 100))
        await openai.requests(1)
        asked.cancel()
        await asyncio.wait([asked])
    openai.release()

    assert [(spent.used is not None, spent.source) for spent in books.spent] == [(True, "estimated")]


async def test_without_an_account_nothing_is_counted(openai: OpenAIEmulator) -> None:
    """A rehearsal before the fork costs nothing and tells nobody."""
    books = Books()
    async with mind_at(openai) as mind:
        await mind.think(HELLO, 100)

    assert (books.reserved, books.spent) == ([], [])


async def test_a_refused_reservation_makes_no_call(openai: OpenAIEmulator) -> None:
    """The daemon's reason reaches the caller, and the provider sees nothing."""
    sent: list[Reserve | Spent] = []
    meter = Meter(sent.append, waits=True)
    async with mind_at(openai) as mind:
        with meter.charged("visitor"):
            asked = asyncio.get_running_loop().create_task(mind.think(HELLO, 100))
        while not sent:  # noqa: ASYNC110  the reservation is sent by the task
            await asyncio.sleep(0)
        [reserve] = sent
        assert isinstance(reserve, Reserve)
        assert reserve.waits
        meter.receive(Reserved(reserve.call, "The budget is used up.", "Raise it."))
        with pytest.raises(Unaffordable, match="used up"):
            await asked

    assert (len(openai.journal), sent) == (0, [reserve])


async def test_a_daemon_that_does_not_answer_makes_no_call(openai: OpenAIEmulator) -> None:
    """Without an answer nothing is spent, and the reservation is given back."""
    sent: list[Reserve | Spent] = []
    meter = Meter(sent.append, waits=True, timeout=0.01)
    async with mind_at(openai) as mind:
        with meter.charged("answer"), pytest.raises(Unaffordable) as caught:
            await mind.think(HELLO, 100)

    assert caught.value.passing
    assert [type(one).__name__ for one in sent] == ["Reserve", "Spent"]
    assert openai.journal == []


@pytest.mark.parametrize(
    ("slot", "call", "used", "source"),
    [
        ("ear", lambda organ: organ.hear("a.ogg"), Used(unit="seconds", units=1), "reported"),
        ("mouth", lambda organ: organ.speak("hello"), Used(unit="characters", units=5), "counted"),
        ("imagination", lambda organ: organ.paint("a cat"), Used(unit="images", units=1), "counted"),
    ],
)
async def test_other_organs_are_booked_in_what_their_providers_bill(
    openai: OpenAIEmulator, tmp_path: Path, slot: Slot, call: Callable[[object], object], used: Used, source: str
) -> None:
    """Seconds of a recording as reported, characters of spoken text and pictures as counted."""
    books = Books()
    (tmp_path / "a.ogg").write_bytes(samples.ogg())
    kinds = {"ear": OpenAIEar, "mouth": OpenAIMouth, "imagination": OpenAIImagination}
    record = Organ("test-model", "openai", None, openai.url)
    organ = kinds[slot](record, LIMITS, versioned_url(openai.url), slot, tmp_path)
    with books.meter.charged("answer"):
        await call(organ)  # type: ignore[misc]  # an awaitable
    await organ.close()

    assert [(one.organ, one.used.unit) for one in books.reserved] == [(slot, used.unit)]
    assert [(one.used, one.source) for one in books.spent] == [(used, source)]


@pytest.mark.parametrize(
    ("document", "usage"),
    [
        ('{"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}', Usage(9, 4)),
        # xAI and Gemini count reasoning in the total only.
        ('{"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 40}}', Usage(9, 31)),
        ('{"usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 8}}', Usage(9, 4, 8)),
        ('{"x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 4}}}', Usage(9, 4)),
        ('{"usage": null}', None),
        ('{"usage": {"prompt_tokens": -1, "completion_tokens": 1e99}}', None),
        ('{"usage": {"prompt_tokens": true, "completion_tokens": "4"}}', None),
        ('{"usage": {"prompt_tokens": 10000000000000000000000, "completion_tokens": 4}}', Usage(None, 4)),
        ('{"usage": [1, 2]}', None),
    ],
)
def test_what_servers_of_openais_api_report(document: str, usage: Usage | None) -> None:
    """Every known form is read, and nonsense is nothing."""
    assert of_openai(json.loads(document)) == usage


def test_what_anthropic_reports() -> None:
    """What is read from a cache and written to one is part of the input; a first event says nothing of the answer."""
    start = {"input_tokens": 5, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 20, "output_tokens": 1}
    first = of_anthropic({"type": "message_start", "message": {"usage": start}})
    last = of_anthropic({"type": "message_delta", "usage": {"output_tokens": 44}})

    assert first == Usage(95, None, 70)
    assert last
    assert first.and_then(last) == Usage(95, 44, 70)
    assert of_anthropic({"type": "ping"}) is None


def test_what_transcriptions_and_pictures_report() -> None:
    """Seconds round up; tokens are tokens; nonsense is nothing."""
    assert of_organ({"usage": {"type": "duration", "seconds": 6.2}}) == Used(unit="seconds", units=7)
    assert of_organ({"usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 45}}) == Used(14, 45)
    for nonsense in ({}, {"usage": {"seconds": float("nan")}}, {"usage": {"seconds": -1}}, "no"):
        assert of_organ(nonsense) is None
