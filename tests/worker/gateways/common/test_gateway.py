"""The kernel of all gateways, with a minimal provider: states, waits, commits, webhooks and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import pytest
from msgspec.structs import replace

from proto.gateways import Delivered, Inbound, Undelivered, WebhookRequest
from proto.gateways import Gateway as Settings
from proto.secrets import Secret
from tests.worker.gateways.channel import Channel
from worker.base.backoff import Backoff
from worker.gateways.common.account import REQUEST_TIMEOUT, Account, Identity
from worker.gateways.common.batches import MAX_ITEMS
from worker.gateways.common.budget import Pace
from worker.gateways.common.gateway import MAX_SENDING, Gateway, Reading, Timing
from worker.gateways.common.sending import Part, Sender
from worker.gateways.common.splitting import Rich
from worker.gateways.common.trouble import Refusal, Trouble, TroubleError

TIMING: Final = Timing(shortest=0.001, longest=0.001)
REFUSED: Final = TroubleError(Trouble("credential", "refused", "get another one"))
DOWN: Final = ConnectionResetError(104, "Connection reset by peer")


class Someone(Account):
    """An account whose exchanges and sends the test controls.

    ``exchanges`` lists for each exchange whether it works at first, and the error it then raises, if any. Sends wait
    for ``free``.
    """

    provider = "Nowhere"
    exchanges: asyncio.Queue[tuple[bool, Exception | None]]

    def __init__(self, gateway: Settings, url: str, request_timeout: float = REQUEST_TIMEOUT) -> None:
        super().__init__(gateway, url, request_timeout)
        self.exchanges = asyncio.Queue()
        self.sent: list[str] = []
        self.asked = asyncio.Event()
        self.free = asyncio.Event()
        self.error: Exception | None = None

    async def whoami(self) -> Identity:
        return Identity("7", "her bot")

    async def chunks(self, url: str) -> AsyncIterator[bytes]:
        yield b""


class Sends(Sender[Someone]):
    """Records each send, then waits until it may go out."""

    chat_pace = bot_pace = Pace(rate=1000.0, burst=1000.0)
    max_message = max_caption = 100

    def cut(self, markdown: str) -> list[Rich]:
        return [Rich(markdown)]

    async def send(self, chat: str, part: Part) -> str:
        self.account.sent.append(part.text)
        self.account.asked.set()
        await self.account.free.wait()
        if self.account.error:
            raise self.account.error
        return "id"


class Nowhere(Gateway[Someone, Sends, Timing]):
    """A provider whose exchanges the test controls. A webhook's body is the text of one message."""

    account_type = Someone
    sender_type = Sends
    timing_type = Timing

    async def exchange(self) -> float:
        works, error = await self.account.exchanges.get()
        if works:
            self.account.answered()
            self.up()
        if error:
            raise error
        return 0.0

    async def read(self, webhooks: Sequence[WebhookRequest]) -> Reading:
        return Reading([item(webhook.body.decode()) for webhook in webhooks])


def meets(gateway: Nowhere, *errors: Exception | None) -> None:
    """Set whether the next exchanges work or fail."""
    for error in errors:
        gateway.account.exchanges.put_nowait((error is None, error))


def item(text: str) -> Inbound:
    """Return an inbound message."""
    return Inbound(text, "1", "Ann", "1", private=True, kind="text", content=text, at=1)


@asynccontextmanager
async def opened(folder: Path, timing: Timing = TIMING) -> AsyncIterator[tuple[Channel, Nowhere]]:
    """A running gateway."""
    settings = Settings("0" * 16, "slack", Secret("a-token-of-hers"))
    channel = Channel(folder, lambda media, link, log: Nowhere(settings, "http://nowhere", media, link, log, timing))
    try:
        yield channel, cast("Nowhere", channel.gateway)
    finally:
        await channel.close()


async def test_states(tmp_path: Path) -> None:
    """A channel is connecting until the first answer, then connected or degraded; each change is reported once."""
    async with opened(tmp_path) as (channel, gateway):
        meets(gateway, DOWN, DOWN, None, None, DOWN, None)
        await channel.until(lambda: len(channel.states) == 4)
        assert [state.state for state in channel.states] == ["connecting", "connected", "degraded", "connected"]
        first, _, third, last = channel.states
        assert (first.error, first.error_class, first.round_trip) == (third.error, "transient", None)
        assert first.error == "Nowhere cannot be reached: Connection reset by peer."
        assert (last.error, last.hint, last.error_class) == ("", "", None)


async def test_half_characters_arrive_as_text(tmp_path: Path) -> None:
    """What a provider's library reads from JSON may hold halves and NULs; the daemon gets none of them."""
    async with opened(tmp_path) as (channel, gateway):
        said = replace(item("x"), content="smile \ud83d\ude00 \ud83d", account_name="A\0nn", title="\udcff.txt")
        await gateway.commit([said])
        [[arrived]] = channel.batches
        assert (arrived.content, arrived.account_name, arrived.title) == ("smile 😀 \ufffd", "A\ufffdnn", "\ufffd.txt")
        gateway.log.warning("gateway.degraded", reason="half a \ud83d")
        assert "half a \ufffd" in channel.log_file.read_text()


@pytest.mark.parametrize(("stable", "waits"), [(60.0, [4]), (0.0, [1, 1, 1, 1])])
async def test_waits_grow_until_a_connection_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stable: float, waits: list[int]
) -> None:
    """Waits grow with each failure and start again at the shortest after a stable connection."""
    made: list[int] = []

    class Counted(Backoff):
        def __init__(self, shortest: float, longest: float) -> None:
            super().__init__(shortest, longest)
            made.append(0)

        def next(self) -> float:
            made[-1] += 1
            return 0.0

    monkeypatch.setattr("worker.gateways.common.gateway.Backoff", Counted)
    async with opened(tmp_path, replace(TIMING, stable=stable)) as (channel, gateway):
        for _ in range(4):
            gateway.account.exchanges.put_nowait((True, DOWN))
        await channel.until(lambda: len(channel.states) == 8)
    assert [number for number in made if number] == waits


async def test_what_passes_and_what_stops(tmp_path: Path) -> None:
    """Configuration trouble with a retry time passes; without one it stops the channel, including its sends."""
    passes = TroubleError(Trouble("config", "another program polls", "stop it", retry_after=0.001))
    async with opened(tmp_path) as (channel, gateway):
        meets(gateway, None, passes, None, REFUSED)
        await channel.in_state("stopped")
        states = [(state.state, state.error_class) for state in channel.states]
        assert states == [("connected", None), ("degraded", "config"), ("connected", None), ("stopped", "credential")]
        meets(gateway, None)
        channel.deliver("hello", "1")
        assert getattr(await channel.outcome(), "permanent", None) is False
        assert (gateway.account.sent, gateway.account.exchanges.qsize()) == ([], 1)


async def test_a_refusal_at_a_send_stops_what_is_in_hand(tmp_path: Path) -> None:
    """The first refused send stops the channel; one that is still waiting goes back without a request."""
    async with opened(tmp_path) as (channel, gateway):
        meets(gateway, None)
        await channel.in_state("connected")
        channel.deliver("one", "1")
        await gateway.account.asked.wait()
        gateway.sender.budget.pause("2", 0.2)
        channel.deliver("two", "2", seq=2)
        gateway.account.error = REFUSED
        gateway.account.free.set()
        assert [getattr(await channel.outcome(seq), "reason", "") for seq in (1, 2)] == ["refused", "refused"]
        assert gateway.account.sent == ["one"]
        assert channel.states[-1].state == "stopped"


async def test_too_many_sends_at_once(tmp_path: Path) -> None:
    """Sends over the limit go back to the outbox at once; finished sends make room again."""
    async with opened(tmp_path) as (channel, gateway):
        meets(gateway, None)
        await channel.in_state("connected")
        for seq in range(MAX_SENDING + 1):
            channel.deliver("hello", str(seq), seq=seq)
        assert "busy" in getattr(await channel.outcome(MAX_SENDING), "reason", "")
        gateway.account.free.set()
        for seq in range(MAX_SENDING):
            assert isinstance(await channel.outcome(seq), Delivered)
        while isinstance(back := await again(channel), Undelivered):
            assert "busy" in back.reason
            # A finished send is only counted in the next iteration of the loop.
            await asyncio.sleep(0)


async def again(channel: Channel) -> Delivered | Undelivered:
    """Deliver one more message, and wait for its outcome."""
    channel.reports.clear()
    channel.deliver("again", "1", seq=1000)
    return await channel.outcome(1000)


async def test_webhooks_are_done_with_their_last_message(tmp_path: Path) -> None:
    """Many messages go in several batches, each repeated until committed; the last one names the webhook request."""
    async with opened(tmp_path) as (channel, gateway):
        channel.refusals = 2
        items = [item(str(number)) for number in range(2 * MAX_ITEMS + 1)]
        await gateway.commit(items, [7])
        assert [len(batch) for batch in channel.offers] == [100, 100, 100, 100, 1]
        assert channel.items == items
        assert channel.webhooks_done == [7]


async def test_what_is_committed_already_is_read_by_a_stopped_channel(tmp_path: Path) -> None:
    """A committed webhook request is read even after the credentials were refused."""
    async with opened(tmp_path) as (channel, gateway):
        meets(gateway, REFUSED)
        await channel.in_state("stopped")
        number = channel.webhook(b"still", "text/plain")
        await channel.until(lambda: channel.webhooks_done)
        assert (channel.texts, channel.webhooks_done) == (["still"], [number])


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (Refusal(400, 7, "no"), (True, False)),
        (Refusal(409, 7, "no"), (True, False)),
        (Refusal(413, None, "too large"), (True, False)),
        (Refusal(403, None, "a proxy's page"), (False, False)),
        (Refusal(408, 7, "slow"), (False, False)),
        (Refusal(429, 7, "wait", 1.0), (False, False)),
        (Refusal(500, 7, "fault"), (False, True)),
        (TimeoutError(), (False, True)),
        (DOWN, (False, True)),
    ],
)
async def test_what_a_failed_send_means(tmp_path: Path, error: Exception, fate: tuple[bool, bool]) -> None:
    """A provider's own refusal is final; after silence or a server error the message may have been taken."""
    async with opened(tmp_path) as (channel, gateway):
        meets(gateway, None)
        await channel.in_state("connected")
        gateway.account.error = error
        gateway.account.free.set()
        channel.deliver("hello", "1")
        outcome = await channel.outcome()
        assert isinstance(outcome, Undelivered)
        assert (outcome.permanent, outcome.ambiguous) == fate
