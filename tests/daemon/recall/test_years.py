"""What was said over years is found: a small fixed version of the table that the bench measures."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from daemon.ledger import Ledger
from daemon.personas.personas import Personas
from proto.messages import Conversation, Perception
from proto.records import Organ, Persona
from tests.bench.repeater import is_right, repeated
from tests.bench.talks import KINDS, archived, years
from tests.daemon.fakes.recalling import by_words
from tests.daemon.supervision.played import ManualClock, log_to
from worker.prompting.prompt import Prompt
from worker.prompting.size import tokens

EVE: Final = Persona("00000000-0000-4000-8000-0000000000e5", "Eve", Organ("m"))
WEB: Final = Conversation("web", EVE.id)
BEGIN: Final = 1_672_531_200_000_000_000
"""The first day of 2023."""
NOW: Final = datetime(2026, 11, 27, 12, 0, tzinfo=ZoneInfo("UTC"))


async def test_years_of_talk_are_remembered(tmp_path: Path) -> None:
    """Nearly every question finds its evidence in the prompt; what was never said is answered as such, always."""
    told = years(talks=120, questions=4, seed=3, begin=BEGIN)
    ledger = await Ledger.open(tmp_path / "ledger.db")
    await ledger.put_back(EVE.id, archived(told.lines, EVE.id))
    right = dict.fromkeys(KINDS, 0)
    longest = 0
    with log_to(tmp_path / "log") as log:
        recaller = by_words(ledger, Personas(tmp_path / "personas", log), ManualClock(), log)
        for question in told.questions:
            recalled = await recaller.passages(EVE.id, WEB, [question.words], 0)
            new = [Perception(1, "text", question.words, 1)]
            system = Prompt(EVE, {}, [], new, NOW, recalled=recalled).system()
            right[question.kind] += is_right(repeated(system, question), question)
            longest = max(longest, tokens(system))
    await ledger.close()
    assert right["never said"] == 4
    assert sum(right.values()) >= 0.95 * len(told.questions), right
    assert longest < 2_500
