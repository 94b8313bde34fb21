"""Visitors read her words while she writes them, too."""

from __future__ import annotations

from tests.daemon.channels.open.counter import Counter
from tests.daemon_process import wait_for
from tests.emulators.server import Step


def test_a_visitor_reads_along(counter: Counter) -> None:
    """Each of two visitors sees the beginning of the own answer only, and gets it once."""
    counter.open()
    counter.brain.answer = lambda text: Step(text=f"Dear {text}, welcome to our shop!", failure="hang_mid")
    guests = counter.visitors(2)
    shown = counter.telegram.emulator.draft
    try:
        for number, guest in enumerate(guests):
            guest.write(f"guest{number}")
        for number, guest in enumerate(guests):
            wait_for(lambda: shown(guest.person.id) == f"Dear guest{number}, welcome", "her first words")  # noqa: B023  called in this turn of the loop
            assert guest.texts() == []
    finally:
        counter.brain.release()
        counter.brain.answer = lambda _: None
    for number, guest in enumerate(guests):
        guest.hears("our shop!")
        assert guest.texts() == [f"Dear guest{number}, welcome to our shop!"]
        assert shown(guest.person.id) is None
