"""What is due is told once, when it is due or as soon as that is possible, and where the person is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from daemon.ledger import Ledger, LedgerFull
from daemon.reminders import rules
from daemon.reminders.service import ReminderChange
from tests.daemon.reminders.stage import EVE, HOUR, Stage, play

DAY = 24 * HOUR


def test_a_reminder_is_told_when_it_is_due(tmp_path: Path) -> None:
    """Not before, once, and then it is gone; one that is added meanwhile and comes first does not wait."""

    async def scene(stage: Stage) -> None:
        stage.begin()
        await stage.remind("water the fern", 100)
        await asyncio.sleep(90)
        await stage.remind("sooner", 5)
        assert await stage.said() == []
        await asyncio.sleep(6)
        assert await stage.said() == ["Reminder: sooner"]
        await asyncio.sleep(DAY)
        assert await stage.said() == ["Reminder: sooner", "Reminder: water the fern"]
        assert await stage.reminders.all(EVE) == []

    play(tmp_path, scene)


def test_what_came_due_meanwhile_is_told_at_the_start(tmp_path: Path) -> None:
    """With when it was meant; a routine's missed repetitions as one; and not once more at the next start."""

    async def scene(stage: Stage) -> list[str]:
        stage.set("2026-11-27T08:00:00")
        await stage.remind("pills", HOUR)
        await stage.remind("stretch", cron="30 * * * *")
        await asyncio.sleep(5 * HOUR)
        for _ in range(2):
            stage.begin()
            await asyncio.sleep(60)
            await stage.end()
        return await stage.said()

    assert play(tmp_path, scene) == [
        "Reminder: stretch\n(This was due 5 times since Friday, 27 November 2026, 08:30.)",
        "Reminder: pills\n(This was due on Friday, 27 November 2026, 09:00.)",
    ]


def test_the_clock_jumps(tmp_path: Path) -> None:
    """Forwards, what is due then is told within seconds; backwards, nothing is told once more."""

    async def scene(stage: Stage) -> None:
        stage.set("2026-11-27T08:10:00")
        await stage.remind("stretch", cron="0 * * * *")
        await stage.remind("far", 30 * DAY)
        stage.begin()
        await asyncio.sleep(1)
        stage.jump(HOUR)
        await asyncio.sleep(20)
        assert await stage.said() == ["Reminder: stretch\n(This was due on Friday, 27 November 2026, 09:00.)"]
        stage.jump(-HOUR)
        await asyncio.sleep(HOUR)
        assert len(await stage.said()) == 1
        await asyncio.sleep(HOUR)
        assert (await stage.said())[1:] == ["Reminder: stretch"]

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("zone", "eve", "hour"),
    [
        ("Europe/Oslo", "2026-03-28T12:00:00", 2),
        ("Europe/Oslo", "2026-10-24T12:00:00", 2),
        ("America/New_York", "2026-03-07T12:00:00", 2),
        ("America/New_York", "2026-10-31T12:00:00", 1),
    ],
)
def test_daylight_saving(tmp_path: Path, zone: str, eve: str, hour: int) -> None:
    """Three nights, of which one has no such hour or two: three times; and at eight whatever the offset."""

    async def scene(stage: Stage) -> tuple[list[str], list[str]]:
        stage.set(eve, zone)
        await stage.change(own_zone=zone)
        await stage.remind("night", cron=f"30 {hour} * * *")
        await stage.remind("day", cron="0 8 * * *")
        stage.begin()
        await asyncio.sleep(3 * DAY)
        told = await stage.ledger.tellings(EVE, 0, 2**62, 100)
        assert all(one.at - one.due < 1_000_000_000 for one in told)
        return await stage.said(), [one.body for one in told]

    said, told = play(tmp_path, scene)
    assert said == ["Reminder: night", "Reminder: day"] * 3
    assert told == ["night", "day"] * 3


def test_a_stopped_persona_keeps_hers(tmp_path: Path) -> None:
    """They are told when she runs again, those of others meanwhile not held up."""

    async def scene(stage: Stage) -> None:
        await stage.change(status="hibernate")
        await stage.remind("pills", HOUR)
        stage.begin()
        await asyncio.sleep(2 * HOUR)
        assert await stage.said() == []
        await stage.change(status="active")
        stage.start_her()
        await asyncio.sleep(1)
        [said] = await stage.said()
        assert said.startswith("Reminder: pills\n(This was due on ")

    play(tmp_path, scene)


def test_quiet_hours_hold_back_routines_only(tmp_path: Path) -> None:
    """A routine waits for their end, and comes once then; a reminder that was asked for comes in the night."""

    async def scene(stage: Stage) -> None:
        await stage.change(own_quiet_hours="22:00-07:00", own_zone="Asia/Tokyo")
        stage.set("2026-11-27T21:30:00", "Asia/Tokyo")
        await stage.remind("stretch", cron="0 * * * *")
        await stage.remind("take it out of the oven", HOUR)
        await stage.remind("alarm", cron="15 22 * * *", quiet=False)
        stage.begin()
        await asyncio.sleep(9 * HOUR)
        assert await stage.said() == ["Reminder: alarm", "Reminder: take it out of the oven"]
        await asyncio.sleep(HOUR)
        assert (await stage.said())[2:] == [
            "Reminder: stretch\n(This was due 10 times since Friday, 27 November 2026, 22:00.)"
        ]

    play(tmp_path, scene)


def test_a_task_waits_for_her_mind(tmp_path: Path) -> None:
    """It is no word of the person's, it is not said, and an inbox that is full gets it later."""

    async def scene(stage: Stage) -> None:
        stage.set("2026-11-27T07:59:00")
        await stage.remind("read the news", cron="0 8 * * *", task=True)
        stage.inbox.full = True
        stage.begin()
        await asyncio.sleep(100)
        assert stage.inbox.admitted == []
        stage.inbox.full = False
        await asyncio.sleep(HOUR)
        [content] = stage.inbox.admitted
        first, second = content.splitlines()
        assert first.startswith("(Due now, as arranged;")
        assert first.endswith("It was meant for 2026-11-27T08:00:00+00:00:)")
        assert second == "read the news"
        assert [one.perception.content for one in await stage.ledger.waiting(EVE)] == [content]
        assert await stage.said() == []

    play(tmp_path, scene)


def test_a_change_moves_the_timer(tmp_path: Path) -> None:
    """Earlier, later, into a routine, and gone."""

    async def scene(stage: Stage) -> None:
        stage.set("2026-11-27T08:00:00")
        stage.begin()
        row = await stage.remind("pills", DAY)
        await stage.reminders.change(EVE, row.id, ReminderChange(at="2026-11-27T08:10:00", body="two pills"))
        await asyncio.sleep(0.9 * HOUR)
        assert await stage.said() == ["Reminder: two pills"]
        row = await stage.remind("tea", DAY)
        changed = await stage.reminders.change(EVE, row.id, ReminderChange(cron="0 9 * * *"))
        assert (changed.cron, changed.due < row.due) == ("0 9 * * *", True)
        await asyncio.sleep(HOUR)
        assert (await stage.said())[1:] == ["Reminder: tea"]
        removed = await stage.reminders.remove(EVE, row.id)
        assert removed.told == 1
        await asyncio.sleep(2 * DAY)
        assert len(await stage.said()) == 2

    play(tmp_path, scene)


def test_it_goes_where_it_was_asked_for_and_on_when_that_is_dead(tmp_path: Path) -> None:
    """A dead letter goes to the web with a note, once; a revoked channel and one that is gone are not tried."""

    async def scene(stage: Stage) -> None:
        channel = await stage.pair_telegram()
        await stage.hears_on_telegram(channel)
        stage.begin()
        await stage.remind("pills", 10, channel="telegram")
        await asyncio.sleep(11)
        assert await stage.said() == ["telegram: Reminder: pills"]
        [row] = await stage.ledger.outgoing(EVE)
        await stage.ledger.dead(row.seq, "blocked", stage.clock.time_ns())
        await asyncio.sleep(60)
        assert (await stage.said())[1:] == ["Reminder: pills\n(It could not be delivered on telegram.)"]
        await stage.remind("tea", 10, channel="telegram")
        await stage.ledger.channel_error(EVE, channel, "revoked", stage.clock.time_ns(), "credential")
        await asyncio.sleep(60)
        assert (await stage.said())[2:] == ["Reminder: tea"]
        await stage.remind("sleep", 10, channel="telegram")
        await stage.ledger.remove_channel(EVE, channel)
        await asyncio.sleep(DAY)
        assert (await stage.said())[3:] == ["Reminder: sleep"]
        assert await stage.ledger.open_tellings() == []

    play(tmp_path, scene)


def test_without_a_place_it_goes_where_the_person_wrote_last(tmp_path: Path) -> None:
    """On the web in the end; words of hers count for nothing."""

    async def scene(stage: Stage) -> None:
        channel = await stage.pair_telegram()
        await stage.hears_on_telegram(channel)
        stage.begin()
        await stage.remind("pills", 10)
        await asyncio.sleep(60)
        assert await stage.said() == ["telegram: Reminder: pills"]

    play(tmp_path, scene)


def test_a_full_disk_delays_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as soon as the ledger takes it, once."""
    tell, failures = Ledger.tell_reminder, [LedgerFull("the disk is full")] * 3

    async def tell_later(self: Ledger, *args: Any) -> Any:
        if failures:
            raise failures.pop()
        return await tell(self, *args)

    async def scene(stage: Stage) -> list[str]:
        stage.begin()
        await stage.remind("pills", 10)
        await asyncio.sleep(HOUR)
        return await stage.said()

    monkeypatch.setattr(Ledger, "tell_reminder", tell_later)
    assert play(tmp_path, scene) == ["Reminder: pills"]
    assert not failures


def test_a_fault_over_one_row_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a fault of that persona, and is tried again later."""
    faults = [RuntimeError("nobody expected this")]
    known = rules.missed

    def missed(*arguments: Any) -> int:
        if faults:
            raise faults.pop()
        return known(*arguments)

    async def scene(stage: Stage) -> list[str]:
        stage.set("2026-11-27T08:00:00")
        stage.begin()
        await stage.remind("stretch", cron="30 8 * * *")
        await stage.remind("pills", HOUR)
        await asyncio.sleep(1.1 * HOUR)
        assert stage.tasks.of(EVE).fault.done()
        assert await stage.said() == ["Reminder: pills"]
        await asyncio.sleep(HOUR)
        return await stage.said()

    monkeypatch.setattr(rules, "missed", missed)
    assert play(tmp_path, scene)[1:] == ["Reminder: stretch\n(This was due on Friday, 27 November 2026, 08:30.)"]
