"""A bot's token becomes a channel: what is saved, what is refused, and which persona has the bot."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path

import pytest

from tests.daemon.api.channels.routes import Make, add, channel, channels_on_disk, config_file, new_token, remove
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.discord import DiscordEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.observed import status


def test_add_saves_an_unverified_channel_and_replaces_her_process(
    shared_daemon: DaemonProcess, make: Make, provider: tuple[str, TelegramEmulator | DiscordEmulator]
) -> None:
    """The answer is 200 with the kind; the channel has the bot's handle. The old process goes, a new one connects."""
    kind, emulator = provider
    persona_id, token = make(), new_token(emulator, "eve_bot")
    before = status(shared_daemon, persona_id)
    answer = add(shared_daemon, persona_id, kind, token)
    assert (answer.status_code, answer.json()) == (200, {"kind": kind})
    after = status(shared_daemon, persona_id)
    assert (after["running"], after["state"]) == (True, "running")
    assert after["generation"] == before["generation"] + 1
    assert not Path(f"/proc/{before['pid']}").exists()
    saved = {"type": kind, "name": "eve_bot", "credentials": {"token": token}, "verified_at": None}
    assert channels_on_disk(shared_daemon, persona_id) == [saved]
    views = shared_daemon.http.get("/api/personas").json()["personas"]
    assert {"type": kind, "name": "eve_bot", "verified": False} in next(
        one["channels"] for one in views if one["id"] == persona_id
    )
    wait_for(lambda: channel(shared_daemon, persona_id)["state"] == "connected", "the gateway to connect")


def test_two_kinds_added_at_once_are_both_saved(
    shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator, discord: DiscordEmulator
) -> None:
    """Changes of one record take turns; none is lost."""
    persona_id = make()
    tokens = {"telegram": new_token(telegram, "both_bot"), "discord": new_token(discord, "both_bot")}
    threads = [threading.Thread(target=add, args=(shared_daemon, persona_id, *item)) for item in tokens.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one["type"] for one in channels_on_disk(shared_daemon, persona_id)} == {"telegram", "discord"}


@pytest.mark.parametrize("body", [b"nonsense", b"{}", b'{"kind": "telegram", "credentials": {"token": "x"}}'])
def test_add_to_nobody_is_404_before_all_else(shared_daemon: DaemonProcess, body: bytes) -> None:
    """An unknown persona is 404, whatever the body is."""
    answer = shared_daemon.http.post(f"/api/persona/{uuid.uuid4()}/channels", content=body)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Persona not found."})


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b"{}", [["body", "kind"], ["body", "credentials"]]),
        (b'{"kind": 1, "credentials": {"token": "x"}}', [["body", "kind"]]),
        (b'{"kind": "telegram"}', [["body", "credentials"]]),
        (b'{"kind": "telegram", "credentials": null}', [["body", "credentials"]]),
        (b'{"kind": "telegram", "credentials": "123:abc"}', [["body", "credentials"]]),
        (b'{"kind": "telegram", "credentials": {}}', [["body", "credentials"]]),
        (b'{"kind": "telegram", "credentials": {"token": null}}', [["body", "credentials", "token"]]),
        (b'{"kind": "telegram", "credentials": {"token": "\\ud800"}}', [["body", "credentials"]]),
        (b"[]", [["body"]]),
        (b"", [["body"]]),
        (b'{"kind"', [["body", 7]]),
    ],
)
def test_add_of_another_shape_is_422(
    shared_daemon: DaemonProcess, make: Make, body: bytes, faults: list[object]
) -> None:
    """Each faulty field is named, and nothing changes."""
    persona_id = make()
    answer = shared_daemon.http.post(f"/api/persona/{persona_id}/channels", content=body)
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["detail"]] == faults
    assert channels_on_disk(shared_daemon, persona_id) == []


@pytest.mark.parametrize(
    ("kind", "token", "words"),
    [
        ("telegram", "7000000001:AAFakeFakeFakeFakeFakeFakeFakeFakeFak", "@BotFather"),
        ("telegram", "secret-nonsense", "@BotFather"),
        ("telegram", "", "@BotFather"),
        ("discord", "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.FakeFakeFakeFakeFakeFakeFakeFakeFakeFa", "developer portal"),
        ("discord", "secret-nonsense", "developer portal"),
        ("discord", "", "developer portal"),
        ("slack", "secret-nonsense", "use telegram or discord"),
        ("", "secret-nonsense", "use telegram or discord"),
    ],
)
def test_a_token_or_kind_of_no_use_is_400(
    shared_daemon: DaemonProcess, make: Make, kind: str, token: str, words: str
) -> None:
    """The text is the documented one with a reason, without the token; nothing is saved and no process restarted."""
    persona_id = make()
    answer = add(shared_daemon, persona_id, kind, token)
    assert answer.status_code == 400
    detail = answer.json()["detail"]
    assert detail.startswith(f"{kind} validation failed: ")
    assert words in detail
    if token:
        assert token not in answer.text
        assert token not in shared_daemon.log.read_text()
    assert channels_on_disk(shared_daemon, persona_id) == []
    assert status(shared_daemon, persona_id)["generation"] == 1


def test_a_provider_that_cannot_be_reached_is_400(
    shared_daemon: DaemonProcess, make: Make, provider: tuple[str, TelegramEmulator | DiscordEmulator]
) -> None:
    """The reason names the network, not the token."""
    kind, emulator = provider
    persona_id, token = make(), new_token(emulator, "far_bot")
    emulator.down()
    try:
        answer = add(shared_daemon, persona_id, kind, token)
    finally:
        emulator.up()
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"{kind} validation failed: ")
    assert "network" in answer.json()["detail"]
    assert channels_on_disk(shared_daemon, persona_id) == []


def test_a_bot_has_one_owner(shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """A bot with a channel is refused until that is removed. Only its owner may give it another token of its own."""
    owner, other = make("Ada"), make("Bob")
    bot = telegram.add_bot(username="one_bot")
    second_token = telegram.add_bot(f"{bot.id}:{'B' * 35}", username="one_bot").token
    assert add(shared_daemon, owner, "telegram", bot.token).status_code == 200
    words = "telegram validation failed: this bot already belongs to Ada's channel. Remove that one first."
    for persona_id, token in ((owner, bot.token), (other, bot.token), (other, second_token)):
        answer = add(shared_daemon, persona_id, "telegram", token)
        assert (answer.status_code, answer.json()) == (400, {"detail": words})
    assert add(shared_daemon, owner, "telegram", second_token).status_code == 200
    assert [one["credentials"]["token"] for one in channels_on_disk(shared_daemon, owner)] == [second_token]
    assert channels_on_disk(shared_daemon, other) == []
    assert remove(shared_daemon, owner, "one_bot").status_code == 200
    assert add(shared_daemon, other, "telegram", second_token).status_code == 200


def test_a_bot_is_free_when_its_owner_is_deleted_or_edited(
    shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator
) -> None:
    """Neither a deleted persona nor one whose channel was taken out by hand keeps a bot."""
    first, second, third = make(), make(), make()
    bot = telegram.add_bot(username="free_bot")
    assert add(shared_daemon, first, "telegram", bot.token).status_code == 200
    assert shared_daemon.http.post(f"/api/persona/{first}/delete").status_code == 200
    assert add(shared_daemon, second, "telegram", bot.token).status_code == 200
    shared_daemon.http.post(f"/api/persona/{second}/stop")
    file = config_file(shared_daemon, second)
    file.write_text(json.dumps({**json.loads(file.read_text()), "channels": None}))
    wait_for(lambda: status(shared_daemon, second)["channels"] == [], "the edit to be taken")
    assert add(shared_daemon, third, "telegram", bot.token).status_code == 200
