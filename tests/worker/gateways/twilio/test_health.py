"""The state of a Twilio channel, and whose number it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proto.gateways import GatewayType, Identified, Identify
from proto.secrets import Secret
from tests.emulators.twilio import TwilioEmulator
from tests.worker.gateways.twilio.channel import ANN, OURS, opened
from worker.gateways.identify import identify


@pytest.fixture
def twilio() -> Iterator[TwilioEmulator]:
    """An account with one number."""
    with TwilioEmulator(OURS) as emulator:
        yield emulator


async def ask(twilio: TwilioEmulator, phone: str = OURS, kind: GatewayType = "sms", **wrong: str) -> Identified:
    """Identify a channel of this account."""
    credentials = {"account_sid": twilio.sid, "auth_token": twilio.token, **wrong}
    secrets = {name: Secret(value) for name, value in credentials.items()}
    return await identify(Identify(kind, Secret(phone), {"twilio": twilio.url}, phone, secrets))


async def test_whose_number(twilio: TwilioEmulator) -> None:
    """The account and its number are checked, and the reason says what is wrong."""
    assert await ask(twilio) == Identified(OURS[1:], f"Line {OURS}")
    assert await ask(twilio, ANN, "whatsapp") == Identified(ANN[1:], ANN)
    assert "20003" in (await ask(twilio, auth_token="wrong")).reason
    assert f"does not own {ANN}" in (await ask(twilio, ANN)).reason
    twilio.add_number("+15005550010", sms=False)
    assert "cannot send text messages" in (await ask(twilio, "+15005550010")).reason
    twilio.status = "suspended"
    assert "suspended" in (await ask(twilio)).reason
    assert "no phone number" in (await ask(twilio, "")).reason


@pytest.mark.parametrize(
    ("wrong", "error_class"), [({"auth_token": "wrong"}, "credential"), ({"auth_token": ""}, "config")]
)
async def test_refused_credentials_stop_it(
    twilio: TwilioEmulator, tmp_path: Path, wrong: dict[str, Any], error_class: str
) -> None:
    """After refused credentials no further request is made, and the error shows no secret."""
    async with opened(twilio, tmp_path, **wrong) as channel:
        stopped = await channel.in_state("stopped")
        asked = len(twilio.calls)
        channel.deliver("hello", int(ANN))
        await channel.outcome()
    assert stopped.error_class == error_class
    assert "Twilio" in stopped.hint
    assert len(twilio.calls) == asked
    assert twilio.token not in channel.log() + stopped.error


@pytest.mark.parametrize(
    "what", [{"trouble": "drop"}, {"trouble": "garbage"}, {"status": 503}, {"status": 429, "retry_after": 1}]
)
async def test_trouble_passes(twilio: TwilioEmulator, tmp_path: Path, what: dict[str, object]) -> None:
    """An outage is reported while it lasts, and messages from that time are not lost."""
    async with opened(twilio, tmp_path) as channel:
        await channel.in_state("connected")
        twilio.fail("GET", "Messages.json", **what)
        degraded = await channel.in_state("degraded")
        twilio.text(ANN, OURS, "meanwhile")
        await channel.in_state("connected")
        await channel.first()
    assert degraded.error
    assert degraded.error_class in ("transient", "throttle")
    assert channel.texts == ["meanwhile"]
