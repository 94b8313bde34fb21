"""Tokens in the request that creates a persona."""

from __future__ import annotations

import pytest

from tests.daemon.api.channels.routes import new_token
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.discord import DiscordEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.observed import status


def test_create_takes_tokens(
    shared_daemon: DaemonProcess, telegram: TelegramEmulator, discord: DiscordEmulator, organs: dict[str, str]
) -> None:
    """Tokens in create become channels of the new persona, unverified and connected."""
    tokens = {"telegram": new_token(telegram, "born_bot"), "discord": new_token(discord, "born_bot")}
    fields = {f"{kind}_token": token for kind, token in tokens.items()}
    answer = shared_daemon.http.post("/api/persona/create", json={"name": "Eve", **organs, **fields})
    assert answer.status_code == 200, answer.text
    persona = answer.json()["persona"]
    assert persona["channels"] == [
        {"type": kind, "name": "born_bot", "credentials": {"token": token}, "verified_at": None}
        for kind, token in tokens.items()
    ]
    wait_for(
        lambda: {one["state"] for one in status(shared_daemon, persona["id"])["channels"]} == {"connected"},
        "both to connect",
    )
    shared_daemon.http.post(f"/api/persona/{persona['id']}/delete")


@pytest.mark.parametrize("kind", ["telegram", "discord"])
def test_create_with_a_token_of_no_use_makes_nobody(
    shared_daemon: DaemonProcess, organs: dict[str, str], telegram: TelegramEmulator, kind: str
) -> None:
    """The answer is 400 with the documented text; nothing is made, and a good token beside the bad one stays free."""
    good = new_token(telegram, "unborn_bot")
    before = shared_daemon.http.get("/api/personas").json()
    body = {"name": "Eve", **organs, "telegram_token": good, f"{kind}_token": "secret-nonsense"}
    answer = shared_daemon.http.post("/api/persona/create", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"{kind.title()} validation failed: ")
    assert "secret-nonsense" not in answer.text
    assert shared_daemon.http.get("/api/personas").json() == before
    answer = shared_daemon.http.post("/api/persona/create", json={"name": "Eve", **organs, "telegram_token": good})
    assert answer.status_code == 200, answer.text
    shared_daemon.http.post(f"/api/persona/{answer.json()['persona']['id']}/delete")
