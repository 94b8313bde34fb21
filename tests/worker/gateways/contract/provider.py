"""A provider as the tests of the contract see it: people who write, an API that fails, and what was asked of it.

The expectations stand here once for all providers. Where a provider's documentation says otherwise, its driver names
the rule in ``fates`` or ``standings``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, Final, Literal, NamedTuple, TypeAlias, TypeVar

import msgspec

from proto.gateways import Deliver, ErrorClass, GatewayState, Undelivered
from tests.emulators.front import Answer, Front, Trouble, page
from tests.worker.gateways.channel import Channel, OpenGateway
from worker.gateways.common.gateway import Timing

T = TypeVar("T", bound=Timing)

Case: TypeAlias = Literal[
    "401",
    "403",
    "409",
    "429 with a time",
    "429 without a time",
    "500",
    "page 200",
    "page 403",
    "page 503",
    "reset",
    "hang",
    "slow",
]
"""What a request meets: a status in the provider's own words, a web page with a status, or trouble on the way."""

ASKED_WAIT: Final = 1
"""Seconds that the provider asks for where a test waits for them."""

SHORT: Final = {"request": 0.3, "margin": 0.3, "fetch": 0.2}
"""Seconds for an answer, for that of a long poll beyond its own time, and for a file, where a provider takes too long.

On a busy machine such a gateway may be impatient for no reason: its tests say nothing of requests that are well.
"""


class Person(NamedTuple):
    """Somebody who writes to her; ``chat`` is where she answers."""

    account: str
    chat: str


class Fate(NamedTuple):
    """What a failed send means for the message, and ``stops`` for the channel; ``rule`` is where a provider says so.

    ``waits``: ``retry_after`` is given.
    """

    permanent: bool = False
    blocked: bool = False
    ambiguous: bool = False
    waits: bool = False
    stops: ErrorClass | None = None
    rule: str = ""


class Standing(NamedTuple):
    """How a channel stands whose gateway cannot ask what it asks for; ``rule`` is where a provider says so."""

    state: Literal["degraded", "stopped"]
    error_class: ErrorClass
    rule: str = ""


FATES: Final[Mapping[Case, Fate]] = {
    "401": Fate(stops="credential"),
    "403": Fate(permanent=True),
    "409": Fate(permanent=True),
    "429 with a time": Fate(waits=True),
    "429 without a time": Fate(waits=True),
    "500": Fate(ambiguous=True),
    "page 200": Fate(ambiguous=True),
    "page 403": Fate(),
    "page 503": Fate(ambiguous=True),
    "reset": Fate(ambiguous=True),
    "hang": Fate(ambiguous=True),
    "slow": Fate(ambiguous=True),
}
"""A refusal in the provider's own words is final, and a proxy's one passes. A fault on the other side, an answer that
is none of the provider's, or no answer at all leave it open whether the message was taken."""

STANDINGS: Final[Mapping[Case, Standing]] = {
    "401": Standing("stopped", "credential"),
    "403": Standing("degraded", "transient"),
    "409": Standing("degraded", "transient"),
    "429 with a time": Standing("degraded", "throttle"),
    "429 without a time": Standing("degraded", "throttle"),
    "500": Standing("degraded", "transient"),
    "page 200": Standing("degraded", "transient"),
    "page 403": Standing("degraded", "transient"),
    "page 503": Standing("degraded", "transient"),
    "reset": Standing("degraded", "transient"),
    "hang": Standing("degraded", "transient"),
    "slow": Standing("degraded", "transient"),
}


class Provider(ABC):
    """One provider behind its emulator, which is already running."""

    name: ClassVar[str]
    first: ClassVar[str]
    """The first request of a gateway, as a pattern for ``METHOD /path``."""
    listening: ClassVar[str]
    """What it asks again and again, or when its socket ended."""
    sending: ClassVar[str]
    fetching: ClassVar[str]
    """The download of an incoming file."""
    fates: ClassVar[Mapping[Case, Fate]] = {}
    standings: ClassVar[Mapping[Case, Standing]] = {}
    unsent: ClassVar[Fate | None] = Fate(permanent=True)
    """What becomes of a message whose file cannot be sent; None where files are never sent and words go instead."""
    largest: ClassVar[int]
    """Bytes of a picture that may be sent."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.ann, self.bob = self.people()

    @abstractmethod
    def people(self) -> tuple[Person, Person]:
        """Two people whose files are wanted, or the first one's only where there can be but one."""

    @abstractmethod
    def secrets(self) -> list[str]:
        """What must be shown to nobody."""

    @abstractmethod
    def gateway(self, limits: Mapping[str, float]) -> OpenGateway:
        """How to open a gateway before the emulator's front door; ``limits`` are fields of its Timing."""

    @abstractmethod
    def refusal(self, status: int, retry_after: int | None = None) -> Answer:
        """The provider's own words for a status."""

    @abstractmethod
    def says(self, channel: Channel, person: Person, words: str) -> None:
        """A person writes."""

    @abstractmethod
    def shows(self, channel: Channel, person: Person, data: bytes, size: int | None = None) -> None:
        """A person sends a picture; ``size`` is what the provider says of it, None for the truth."""

    @abstractmethod
    def sent(self, person: Person) -> list[str]:
        """The texts that a person got."""

    @abstractmethod
    def block(self, person: Person) -> None:
        """A person wants to hear nothing more, or cannot."""

    @abstractmethod
    def revoke(self) -> None:
        """Somebody takes the credentials away."""

    @abstractmethod
    async def forget_the_past(self, channel: Channel) -> None:
        """What the gateway would ask for from before is too old, or gone; it has noticed when this returns."""

    def interrupt(self) -> None:
        """End what the gateway holds open, so that it asks again; where it asks by itself there is nothing to end."""
        return

    def sockets(self) -> int:
        """The connections that the provider holds for this bot."""
        return 0

    def how(self, case: Case) -> Answer | Trouble:
        """What a request meets in this case."""
        match case:
            case "reset" | "hang" | "slow":
                return case
            case "page 200" | "page 403" | "page 503":
                return page(int(case.removeprefix("page ")))
            case "429 with a time":
                return self.refusal(429, ASKED_WAIT)
            case "429 without a time":
                return self.refusal(429)
            case _:
                return self.refusal(int(case))

    def fate(self, case: Case) -> Fate:
        """What a send that meets this case means."""
        return self.fates.get(case, FATES[case])

    def standing(self, case: Case) -> Standing:
        """How the channel stands while its gateway meets this case."""
        return self.standings.get(case, STANDINGS[case])

    def stop_listening(self, case: Case, times: int | None = None) -> None:
        """Let what the gateway asks for fail, from now on."""
        self.front.fail(self.listening, self.how(case), times)
        self.interrupt()

    @asynccontextmanager
    async def opened(self, folder: Path, *, impatient: bool = False) -> AsyncIterator[Channel]:
        """A running gateway; ``impatient`` with little time for each request. What it said is looked through after."""
        limits = SHORT if impatient else {}
        channel = Channel(folder, self.gateway(limits))
        try:
            yield channel
        finally:
            await channel.close()
        self._look_through(channel, folder)

    @asynccontextmanager
    async def connected(self, folder: Path, *, impatient: bool = False) -> AsyncIterator[Channel]:
        """A gateway that is connected."""
        async with self.opened(folder, impatient=impatient) as channel:
            await channel.in_state("connected")
            yield channel

    def _look_through(self, channel: Channel, folder: Path) -> None:
        """No secret stands anywhere, no path and no errno where people read, and nothing was committed twice."""
        states = [text for state in channel.states for text in (state.error, state.hint)]
        reasons = [report.reason for report in channel.reports if isinstance(report, Undelivered)]
        shown = [*states, *reasons, *channel.words]
        for secret in self.secrets():
            assert not [text for text in [*shown, channel.log()] if secret in text]
        told_too_much = [text for text in shown if str(folder) in text or "Errno" in text]
        assert not told_too_much, told_too_much
        keys = [item.key for item in channel.items]
        assert len(keys) == len(set(keys)), keys


def within(timing: T, limits: Mapping[str, float]) -> T:
    """A Timing with those of these limits that its provider has."""
    return msgspec.structs.replace(
        timing, **{name: limits[name] for name in timing.__struct_fields__ if name in limits}
    )


async def stands(channel: Channel, wanted: Standing) -> GatewayState:
    """Wait until the channel stands so, and return it."""

    def found() -> GatewayState | None:
        last = channel.states[-1:]
        return next((one for one in last if (one.state, one.error_class) == (wanted.state, wanted.error_class)), None)

    try:
        return await channel.until(found)
    except TimeoutError:
        raise AssertionError(f"never {wanted}: {channel.states}") from None


async def heard(channel: Channel, words: str) -> None:
    """Wait until these words were committed."""
    await channel.until(lambda: words in channel.words)


async def refused(channel: Channel, seq: int = 1) -> Undelivered:
    """Wait until a delivery has failed."""
    outcome = await channel.outcome(seq)
    assert isinstance(outcome, Undelivered), outcome
    assert outcome.reason
    return outcome


def picture(channel: Channel, person: Person, name: str, seq: int = 1) -> None:
    """Ask for the delivery of a picture that she made."""
    channel.gateway.deliver(
        Deliver(
            seq,
            channel.gateway.channel,
            person.chat,
            f"key-{seq}",
            kind="image",
            content="look",
            media=name,
            parts_sent=0,
            ambiguous=False,
        )
    )
