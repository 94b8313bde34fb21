"""A provider as the contract tests see it: people who write, an API that fails, and the requests that it got.

The expectations are defined here once for all providers. Where a provider's documentation differs, its driver names the
rule in ``fates`` or ``standings``.
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
"""What happens to a request: the provider's own error with a status, a web page with a status, or a network fault."""

ASKED_WAIT: Final = 1
"""Seconds that the provider asks for, in tests that wait for them."""

SHORT: Final = {"request": 0.3, "margin": 0.3, "fetch": 0.2}
"""Time limits in seconds, in tests of a slow provider: for an answer, for a long poll beyond its own time, for a file.

On a busy machine such a gateway may time out for no reason, so its tests check nothing about healthy requests.
"""


class Person(NamedTuple):
    """A person who writes to her. ``chat`` is where she answers."""

    account: str
    chat: str


class Fate(NamedTuple):
    """What a failed send means for the message. ``rule`` is the provider's documentation of it.

    ``stops``: the channel stops. ``waits``: the report has a ``retry_after``.
    """

    permanent: bool = False
    blocked: bool = False
    ambiguous: bool = False
    waits: bool = False
    stops: ErrorClass | None = None
    rule: str = ""


class Standing(NamedTuple):
    """The state of a channel whose requests fail. ``rule`` is the provider's documentation of it."""

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
"""A refusal by the provider itself is final; a refusal by a proxy passes. After a server error, an answer that is not
the provider's, or no answer at all, the message may have been taken."""

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
    """One provider, with its emulator already running."""

    name: ClassVar[str]
    first: ClassVar[str]
    """A gateway's first request, as a pattern for ``METHOD /path``."""
    listening: ClassVar[str]
    """The request that a gateway repeats, or makes when its socket has closed."""
    sending: ClassVar[str]
    fetching: ClassVar[str]
    """The download of an incoming file."""
    fates: ClassVar[Mapping[Case, Fate]] = {}
    standings: ClassVar[Mapping[Case, Standing]] = {}
    unsent: ClassVar[Fate | None] = Fate(permanent=True)
    """The fate of a message whose file cannot be sent; None if the gateway never sends files, but a text instead."""
    largest: ClassVar[int]
    """The largest picture that may be sent, in bytes."""

    def __init__(self, front: Front) -> None:
        self.front = front
        self.ann, self.bob = self.people()

    @abstractmethod
    def people(self) -> tuple[Person, Person]:
        """Two people; the files of both are fetched, or only of the first if the channel is paired."""

    @abstractmethod
    def secrets(self) -> list[str]:
        """Texts that must never be shown."""

    @abstractmethod
    def gateway(self, limits: Mapping[str, float]) -> OpenGateway:
        """Return how to open a gateway at the emulator's front door. ``limits`` are fields of its Timing."""

    @abstractmethod
    def refusal(self, status: int, retry_after: int | None = None) -> Answer:
        """Return the provider's own error answer for a status."""

    @abstractmethod
    def says(self, channel: Channel, person: Person, text: str) -> None:
        """Let a person write a text."""

    @abstractmethod
    def shows(self, channel: Channel, person: Person, data: bytes, size: int | None = None) -> None:
        """Let a person send a picture. ``size`` is the size that the provider states, None for the true one."""

    @abstractmethod
    def sent(self, person: Person) -> list[str]:
        """Return the texts that a person has received."""

    @abstractmethod
    def block(self, person: Person) -> None:
        """Let a person block her, or become unreachable."""

    @abstractmethod
    def revoke(self) -> None:
        """Revoke the credentials."""

    @abstractmethod
    async def forget_the_past(self, channel: Channel) -> None:
        """Make the past that the gateway would ask for too old, or gone; returns once the gateway has noticed."""

    def interrupt(self) -> None:
        """Close the gateway's open connections, so that it makes a new request; does nothing if it polls."""
        return

    def sockets(self) -> int:
        """The connections that this bot holds to the provider."""
        return 0

    def how(self, case: Case) -> Answer | Trouble:
        """Return what happens to a request in this case."""
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
        """Return what a failed send means in this case."""
        return self.fates.get(case, FATES[case])

    def standing(self, case: Case) -> Standing:
        """Return the channel's state while its requests fail in this way."""
        return self.standings.get(case, STANDINGS[case])

    def stop_listening(self, case: Case, times: int | None = None) -> None:
        """Let the gateway's requests fail from now on."""
        self.front.fail(self.listening, self.how(case), times)
        self.interrupt()

    @asynccontextmanager
    async def opened(self, folder: Path, *, impatient: bool = False) -> AsyncIterator[Channel]:
        """A running gateway, ``impatient`` with short time limits. All that it reported is checked afterwards."""
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
        """Check that no secret appears anywhere, people see no path or errno, and nothing was committed twice."""
        states = [text for state in channel.states for text in (state.error, state.hint)]
        reasons = [report.reason for report in channel.reports if isinstance(report, Undelivered)]
        shown = [*states, *reasons, *channel.texts]
        for secret in self.secrets():
            assert not [text for text in [*shown, channel.log()] if secret in text]
        told_too_much = [text for text in shown if str(folder) in text or "Errno" in text]
        assert not told_too_much, told_too_much
        keys = [item.key for item in channel.items]
        assert len(keys) == len(set(keys)), keys


def within(timing: T, limits: Mapping[str, float]) -> T:
    """Return a Timing with those of these limits that its type has."""
    return msgspec.structs.replace(
        timing, **{name: limits[name] for name in timing.__struct_fields__ if name in limits}
    )


async def stands(channel: Channel, wanted: Standing) -> GatewayState:
    """Wait until the channel is in this state, and return it."""

    def found() -> GatewayState | None:
        last = channel.states[-1:]
        return next((one for one in last if (one.state, one.error_class) == (wanted.state, wanted.error_class)), None)

    try:
        return await channel.until(found)
    except TimeoutError:
        raise AssertionError(f"never {wanted}: {channel.states}") from None


async def heard(channel: Channel, text: str) -> None:
    """Wait until this text is committed."""
    await channel.until(lambda: text in channel.texts)


async def refused(channel: Channel, seq: int = 1) -> Undelivered:
    """Wait until a delivery has failed, and return its report."""
    outcome = await channel.outcome(seq)
    assert isinstance(outcome, Undelivered), outcome
    assert outcome.reason
    return outcome


def picture(channel: Channel, person: Person, name: str, seq: int = 1) -> None:
    """Deliver a picture that she made."""
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
