"""Budgets over the ledger: what is granted, refused, booked and opened again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from daemon.costs.days import today, zone_of
from daemon.costs.prices import MOST, Prices
from daemon.ledger import Call, Crossed, Ledger, Room
from daemon.settings.settings import Budgets, Price
from proto.costs import Budgeted, Reserve, Reserved, Spent, Used
from proto.records import Budget, Persona
from tests.daemon.costs.bookkeeping import DAY, EVE, MIND, NOON, books


async def test_calls_at_once_cannot_pass_a_budget_together(tmp_path: Path) -> None:
    """Of eight calls that are reserved at the same moment, a budget for three lets three pass."""
    async with books(tmp_path, Budgets(visitors_day="300 tokens")) as held:
        answers = await asyncio.gather(*(held.ask(call, 100, "visitor") for call in range(1, 9)))

        assert [not answer.reason for answer in answers].count(True) == 3
        assert all(answer.passing for answer in answers if answer.reason)
        assert sum(tokens for _, tokens, _ in await held.rows()) == 300


async def test_visitors_and_her_owner_have_budgets_of_their_own(tmp_path: Path) -> None:
    """What visitors used takes nothing from her owner, and the other way round."""
    async with books(tmp_path, Budgets(day="100 tokens", visitors_day="100 tokens")) as held:
        assert not (await held.ask(1, 100, "visitor")).reason
        assert (await held.ask(2, 1, "visitor")).reason
        assert not (await held.ask(3, 60, "consolidation")).reason
        assert not (await held.ask(4, 40, "answer")).reason
        assert (await held.ask(5, 1, "feed")).reason


async def test_what_a_call_leaves_of_its_reservation_is_free_again(tmp_path: Path) -> None:
    """A call that waits for others in progress is told to come again when one of them ends, and nobody is told."""
    async with books(tmp_path, Budgets(day="100 tokens")) as held:
        assert not (await held.ask(1, 80)).reason
        assert (await held.ask(2, 80)).passing
        assert held.costs.closed(EVE) == []
        await held.end(1, 10)

        assert held.afforded == [EVE]
        assert not (await held.ask(3, 80)).reason


async def test_room_that_comes_while_a_call_is_refused_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last call in progress may end between the ledger's answer and ours: nobody else would tell of its room."""
    async with books(tmp_path, Budgets(day="100 tokens")) as held:
        await held.ask(1, 80)
        reserve = held.ledger.reserve_call

        async def slow(call: Call, rooms: Sequence[Room]) -> int | Crossed:
            found = await reserve(call, rooms)
            await held.end(1, 10)
            return found

        monkeypatch.setattr(held.ledger, "reserve_call", slow)
        assert not (await held.ask(2, 80)).reason


async def test_a_used_up_budget_says_what_and_until_when_and_opens_the_next_day(tmp_path: Path) -> None:
    """The reason names the limit; it is told in the status, and goes with the next day."""
    async with books(tmp_path, Budgets(day="100 tokens")) as held:
        await held.ask(1, 100)
        await held.end(1, 100)
        refused = await held.ask(2, 1)

        assert refused.reason == (
            "The budget of this persona for the day is 100 tokens, and it is used up. It opens again tomorrow."
        )
        assert not refused.passing
        assert held.costs.closed(EVE) == [refused.reason]
        held.clock.ring()
        assert held.afforded == []
        held.clock.now += DAY
        held.clock.ring()
        assert (held.afforded, held.costs.closed(EVE)) == ([EVE], [])
        assert not (await held.ask(3, 100)).reason
        await held.booked()
        assert [day for day, _, _ in await held.rows()] == ["2026-11-02", "2026-11-03"]


async def test_a_month_goes_on_over_its_days(tmp_path: Path) -> None:
    """A month's budget does not open with the next day, but with the next month."""
    async with books(tmp_path, Budgets(month="100 tokens")) as held:
        await held.ask(1, 100)
        await held.end(1, 100)
        held.clock.now += DAY
        assert "next month" in (await held.ask(2, 1)).reason
        held.clock.now = NOON + 29 * DAY
        held.clock.ring()
        assert not (await held.ask(3, 1)).reason


@pytest.mark.parametrize("limit", ["0 tokens", "0 USD", "0.000000000 USD"])
async def test_a_budget_of_nothing_lets_nothing_pass(tmp_path: Path, limit: str) -> None:
    """Also a call that is expected to use nothing, and one that costs nothing."""
    async with books(tmp_path, Budgets(day=limit), {"openai/m-1": Price()}) as held:
        refused = await held.ask(1, 0)

        assert refused.reason.endswith("no call is made.")
        assert await held.rows() == []


async def test_a_call_larger_than_what_is_left_says_how_large(tmp_path: Path) -> None:
    """It is no riddle why a budget that is not used up lets a call not pass."""
    async with books(tmp_path, Budgets(day="5000 tokens")) as held:
        refused = await held.ask(1, 6000)

        assert "5,000 tokens are left: the next call may take 6,000 tokens" in refused.reason


async def test_her_record_goes_before_the_settings(tmp_path: Path) -> None:
    """Her own limit holds, also an unlimited one; where she has none the settings' do. A change counts at once."""
    own = Budget(day="unlimited")
    async with books(tmp_path, Budgets(day="0 tokens", visitors_day="0 tokens"), budget=own) as held:
        assert not (await held.ask(1, 10**9)).reason
        assert (await held.ask(2, 1, "visitor")).reason
        persona = held.personas.get(EVE)
        assert persona
        persona.budget = Budget(day="unlimited", visitors_day="unlimited")
        await held.personas.save(persona)
        held.costs.changed(EVE)

        assert held.process.sent[-1] == Budgeted(is_set=False)
        assert (held.afforded, held.costs.closed(EVE)) == ([EVE], [])
        assert not (await held.ask(3, 10**9, "visitor")).reason


async def test_money_is_counted_to_the_nano_unit(tmp_path: Path) -> None:
    """A cached token costs its own price; what is booked is exact, and a budget in money holds by it."""
    price = Price(input=2.5, cached_input=0.25, output=10)
    async with books(tmp_path, Budgets(day="0.01 USD"), {"openai/m-1": price}) as held:
        assert not (await held.ask(1, 1000)).reason
        held.costs.received(EVE, Spent(1, Used(1000, 500, 400), "reported"))
        await held.booked()
        [row] = await held.ledger.usage(EVE, "2026-11-02", "2026-11-02")

        assert (row.cost, row.currency) == (600 * 2500 + 400 * 250 + 500 * 10_000, "USD")
        assert "0.0034 USD are left: the next call may take 0.01 USD" in (await held.ask(2, 4000)).reason


async def test_a_budget_in_money_lets_nothing_pass_that_has_no_price(tmp_path: Path) -> None:
    """What cannot be measured is refused, with the name that needs a price."""
    async with books(tmp_path, Budgets(day="5 USD"), {"openai/m-1": Price(input=1)}) as held:
        assert '[prices] in personad.toml has none for "openai/other"' in (await held.ask(1, 10, model="other")).reason
        assert not (await held.ask(2, 10)).reason


async def test_a_record_in_another_currency_is_refused(tmp_path: Path) -> None:
    """A budget by hand in a currency that no price has lets nothing pass, and says so."""
    async with books(tmp_path, prices={"openai/m-1": Price(input=1)}, budget=Budget(day="5 EUR")) as held:
        assert "is in EUR, but the prices in personad.toml are in USD" in (await held.ask(1, 10)).reason


async def test_what_a_killed_process_had_in_hand_is_booked_as_reserved(tmp_path: Path) -> None:
    """Nobody will tell what it used. A late report of it changes nothing."""
    async with books(tmp_path) as held:
        await held.ask(1, 70)
        await held.ask(2, 30)
        await held.end(2, 20)
        await held.costs.detach(EVE, crashed=True)
        held.costs.received(EVE, Spent(1, Used(5), "reported"))
        await held.booked()

        assert sorted(await held.rows()) == [("2026-11-02", 20, "reported"), ("2026-11-02", 70, "estimated")]


async def test_what_a_killed_daemon_had_in_hand_is_booked_at_the_next_start(tmp_path: Path) -> None:
    """The reservation is on the disk before the call is made, and stays spent."""
    async with books(tmp_path, Budgets(day="100 tokens")) as held:
        await held.ask(1, 70)
    ledger = await Ledger.open(tmp_path / "ledger.db")
    try:
        assert await ledger.settle_calls(None) == 1
        assert await ledger.settle_calls(None) == 0
        [row] = await ledger.usage(EVE, "2026-11-02", "2026-11-02")
    finally:
        await ledger.close()

    assert (row.input, row.source) == (70, "estimated")


async def test_a_call_that_was_refused_leaves_no_row(tmp_path: Path) -> None:
    """What the provider refused costs nothing, and gives its room back."""
    async with books(tmp_path, Budgets(day="100 tokens")) as held:
        await held.ask(1, 100)
        await held.end(1, None)

        assert await held.rows() == []
        assert not (await held.ask(2, 100)).reason


async def test_a_process_cannot_book_what_it_never_announced(tmp_path: Path) -> None:
    """Neither a call without a reservation, nor one twice."""
    async with books(tmp_path) as held:
        held.costs.received(EVE, Spent(9, Used(5), "reported"))
        await held.ask(1, 10)
        held.costs.received(EVE, Reserve(1, "answer", "thinking", "openai", "m-1", Used(99)))
        await held.end(1, 3)
        await held.end(1, 50)

        assert await held.rows() == [("2026-11-02", 3, "reported")]


async def test_a_reservation_that_does_not_wait_is_not_answered(tmp_path: Path) -> None:
    """Without a budget nothing comes back: the call is on its way already."""
    async with books(tmp_path) as held:
        held.costs.received(EVE, Reserve(1, "answer", "thinking", "openai", "m-1", Used(10)))
        await held.end(1, 7)

        assert not [one for one in held.process.sent if isinstance(one, Reserved)]
        assert await held.rows() == [("2026-11-02", 7, "reported")]


async def test_old_days_are_folded_together(tmp_path: Path) -> None:
    """The sums stay, one row by model and purpose; days of another decade go."""
    async with books(tmp_path) as held:
        for call in range(1, 6):
            await held.ask(call, 10, "answer" if call < 4 else "feed")
            await held.end(call, call)
        before = await held.ledger.usage(EVE, "2026-01-01", "2026-12-31")
        assert await held.ledger.roll_up_calls("2026-11-02", "2020-01-01") == 0
        assert await held.ledger.roll_up_calls("2026-11-03", "2020-01-01") == 3
        assert await held.ledger.roll_up_calls("2026-11-03", "2020-01-01") == 0
        assert await held.ledger.usage(EVE, "2026-01-01", "2026-12-31") == before
        assert await held.ledger.roll_up_calls("2026-11-03", "2026-11-03") == 2
        assert await held.rows() == []


def test_the_day_begins_in_the_zone_of_her_person() -> None:
    """The day, the month and their ends are those of her zone, also when clocks change on that day."""
    oslo = zone_of(Persona(EVE, "Eve", MIND, own_zone="Europe/Oslo"))
    evening = 1_792_793_600_000_000_000  # 24 October 2026 in Oslo; the day after has 25 hours
    saturday = today(oslo, evening)
    sunday = today(oslo, saturday.next_day)

    assert (saturday.day, saturday.month) == ("2026-10-24", "2026-10-01")
    assert (sunday.day, sunday.next_day - saturday.next_day) == ("2026-10-25", 25 * 3600 * 10**9)
    assert today(oslo, sunday.next_month).month == "2026-11-01"


def test_a_claim_beyond_reason_is_no_number_too_large_for_the_ledger() -> None:
    """A worker that is taken over may claim what it wants: the ledger's numbers end at 2**63."""
    prices = Prices({"openai/m": Price(image=1_000_000.0)})
    assert prices.cost("openai", "m", Used(unit="images", units=10**9)) == MOST
