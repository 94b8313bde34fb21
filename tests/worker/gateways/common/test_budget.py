"""The pace that a provider allows, with a fake clock."""

from __future__ import annotations

from worker.gateways.common.budget import MAX_CHATS, Budget, Pace


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def budget(clock: Clock) -> Budget:
    """One per second in a chat after a burst of three; ten per second in all."""
    return Budget(Pace(1.0, 3.0), Pace(10.0, 10.0), clock)


def test_burst_and_then_the_rate() -> None:
    """A burst goes out at once, the rest one per second, in the order of the requests."""
    clock = Clock()
    pace = budget(clock)
    assert [pace.reserve("a") for _ in range(6)] == [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]
    clock.now += 10.0
    assert [pace.reserve("a") for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


def test_chats_share_the_bot() -> None:
    """Chats do not wait for each other until the bot's own budget is used up."""
    pace = budget(Clock())
    waits = [pace.reserve(str(chat)) for chat in range(12)]
    assert waits == [0.0] * 10 + [0.1, 0.2]


def test_asking_takes_nothing() -> None:
    """Asking how long the wait would be takes no token."""
    pace = budget(Clock())
    assert [pace.ahead("a") for _ in range(5)] == [0.0] * 5
    assert [pace.reserve("a") for _ in range(3)] == [0.0] * 3
    assert pace.ahead("a") == 1.0


def test_spare_leaves_room_for_a_message() -> None:
    """An optional request never takes the last token."""
    clock = Clock()
    pace = budget(clock)
    assert [pace.spare("a") for _ in range(3)] == [True, True, False]
    assert pace.reserve("a") == 0.0
    assert not pace.spare("a")
    assert pace.until_spare("a") == 2.0
    clock.now += 2.0
    assert (pace.until_spare("a"), pace.spare("a"), pace.until_spare("a")) == (0.0, True, 1.0)


def test_pause() -> None:
    """A pause stops this chat for its whole time and leaves other chats alone."""
    clock = Clock()
    pace = budget(clock)
    pace.pause("a", 30.0)
    assert (pace.ahead("a"), pace.ahead("b")) == (30.0, 0.0)
    clock.now += 29.0
    assert pace.reserve("a") == 1.0


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    """A later, shorter pause does not shorten a longer one."""
    pace = budget(Clock())
    pace.pause("a", 30.0)
    pace.pause("a", 5.0)
    assert pace.ahead("a") == 30.0


def test_chats_are_forgotten() -> None:
    """Only a bounded number of chats is kept, and idle ones are dropped before one that is waiting."""
    clock = Clock()
    pace = budget(clock)
    pace.pause("busy", 10_000.0)
    for chat in range(3 * MAX_CHATS):
        pace.ahead(str(chat))
    assert pace.ahead("busy") == 10_000.0
    assert len(pace._chats) <= MAX_CHATS + 1
