"""A code that a bot showed binds its channel to an account, once, for this persona only."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime
from pathlib import Path

import pytest

from tests.daemon.api.channels.routes import (
    INVALID,
    NOT_ACTIVE,
    Make,
    add,
    channel,
    channels_on_disk,
    code_for,
    config_file,
    pair,
    remove,
)
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.discord import DiscordEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.observed import status


def test_pairing_binds_the_channel_to_the_account(
    shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator
) -> None:
    """The documented answer comes unmasked; the first messages are answered; a stranger is counted and gets nothing."""
    persona_id, bot = make(), telegram.add_bot(username="pair_bot")
    ann, eve = telegram.user(username="ann"), telegram.user(username="mallory")
    assert add(shared_daemon, persona_id, "telegram", bot.token).status_code == 200
    code = code_for(telegram, ann, bot, "what is the time?")
    answer = pair(shared_daemon, persona_id, code.lower())
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["persona", "channel"]
    assert list(body["channel"]) == ["type", "name", "credentials", "verified_at"]
    assert (body["channel"]["type"], body["channel"]["name"]) == ("telegram", "ann")
    assert body["channel"]["credentials"] == {"token": bot.token}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", body["channel"]["verified_at"])
    age = datetime.now().astimezone() - datetime.fromisoformat(body["channel"]["verified_at"])
    assert 0 <= age.total_seconds() < 20
    assert body["persona"]["channels"] == [body["channel"]] == channels_on_disk(shared_daemon, persona_id)
    texts = [str(message["text"]) for message in telegram.wait_for_sent(ann.id, 3)]
    assert "connected" in texts[1]
    assert "what is the time?" in texts[2]
    eve.write("let me in", bot=bot)
    wait_for(lambda: channel(shared_daemon, persona_id)["strangers"] == 1, "the stranger to be counted")
    assert telegram.sent(eve.id) == []
    again = pair(shared_daemon, persona_id, code)
    assert (again.status_code, again.json()) == (400, {"detail": INVALID})
    assert code not in shared_daemon.log.read_text()


def test_pairing_on_discord(shared_daemon: DaemonProcess, make: Make, discord: DiscordEmulator) -> None:
    """A direct message gets a code, and is answered once the code is claimed."""
    persona_id, bot = make(), discord.add_bot("pair_bot")
    assert add(shared_daemon, persona_id, "discord", bot.token).status_code == 200
    wait_for(lambda: channel(shared_daemon, persona_id)["state"] == "connected", "the gateway to connect")
    ann = discord.add_user("ann")
    talk = discord.dm(ann, bot.token)
    discord.say("what is the time?", channel_id=talk)
    (shown,) = discord.wait_for_sent(talk)
    found = re.search(r"^[A-Z2-9]{6}$", shown.content, re.MULTILINE)
    assert found, shown.content
    answer = pair(shared_daemon, persona_id, found[0])
    assert (answer.status_code, answer.json()["channel"]["name"]) == (200, "ann")
    assert "what is the time?" in discord.wait_for_sent(talk, 3)[2].content


def test_two_channels_of_one_kind_are_each_paired(
    shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator
) -> None:
    """A code belongs to the bot that showed it, also for the same account."""
    persona_id, ann = make(), telegram.user(username="ann_twice")
    bots = [telegram.add_bot(username=f"twin{number}_bot") for number in (1, 2)]
    for bot in bots:
        assert add(shared_daemon, persona_id, "telegram", bot.token).status_code == 200
    codes = [code_for(telegram, ann, bot) for bot in bots]
    for bot, code in reversed(list(zip(bots, codes, strict=True))):
        answer = pair(shared_daemon, persona_id, code)
        assert answer.json()["channel"]["credentials"]["token"] == bot.token
    assert [one["verified"] for one in status(shared_daemon, persona_id)["channels"]] == [True, True]
    lines = [
        line for line in shared_daemon.http.get("/metrics").text.splitlines() if line.startswith("personad_channel_up")
    ]
    assert len({line.rpartition(" ")[0] for line in lines}) == len(lines)


def test_pair_needs_her_running(shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """A stopped and an unknown persona are 409, whatever the code is."""
    persona_id, bot = make(), telegram.add_bot(username="late_bot")
    assert add(shared_daemon, persona_id, "telegram", bot.token).status_code == 200
    code = code_for(telegram, telegram.user(), bot)
    shared_daemon.http.post(f"/api/persona/{persona_id}/stop")
    for nobody in (persona_id, str(uuid.uuid4())):
        answer = pair(shared_daemon, nobody, code)
        assert (answer.status_code, answer.json()) == (409, {"detail": NOT_ACTIVE})
    shared_daemon.http.post(f"/api/persona/{persona_id}/start")
    assert pair(shared_daemon, persona_id, code).status_code == 200


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"{}", {"type": "missing", "loc": ["body", "code"], "msg": "Field required"}),
        (b'{"code": 1}', {"type": "string_type", "loc": ["body", "code"], "msg": "Input should be a valid string"}),
        (b'{"code": null}', {"type": "string_type", "loc": ["body", "code"], "msg": "Input should be a valid string"}),
    ],
)
def test_pair_without_a_code_is_422(shared_daemon: DaemonProcess, make: Make, body: bytes, fault: object) -> None:
    """The body's form is checked first."""
    for persona_id in (make(), str(uuid.uuid4())):
        answer = shared_daemon.http.post(f"/api/persona/{persona_id}/pair", content=body)
        assert (answer.status_code, answer.json()) == (422, {"detail": [fault]})


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_code_goes_with_its_channel(
    shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator, by_hand: bool
) -> None:
    """Once the channel is removed, by the route or from the record by hand, its code is refused."""
    persona_id, bot = make(), telegram.add_bot(username="gone_bot")
    assert add(shared_daemon, persona_id, "telegram", bot.token).status_code == 200
    code = code_for(telegram, telegram.user(), bot)
    if by_hand:
        file, generation = config_file(shared_daemon, persona_id), status(shared_daemon, persona_id)["generation"]
        file.write_text(json.dumps({**json.loads(file.read_text()), "channels": None}))
        wait_for(lambda: status(shared_daemon, persona_id)["generation"] > generation, "the edit to be taken")
        wait_for(lambda: status(shared_daemon, persona_id)["state"] == "running", "her to run")
    else:
        assert remove(shared_daemon, persona_id, "gone_bot").status_code == 200
    answer = pair(shared_daemon, persona_id, code)
    assert (answer.status_code, answer.json()) == (400, {"detail": INVALID})


def test_a_code_is_worth_nothing_to_another_persona(
    shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator
) -> None:
    """A code belongs to the persona whose bot showed it."""
    persona_id, other, bot = make(), make(), telegram.add_bot(username="mine_bot")
    assert add(shared_daemon, persona_id, "telegram", bot.token).status_code == 200
    code = code_for(telegram, telegram.user(), bot)
    answer = pair(shared_daemon, other, code)
    assert (answer.status_code, answer.json()) == (400, {"detail": INVALID})
    assert pair(shared_daemon, persona_id, code).status_code == 200


def test_guesses_are_throttled(tmp_path: Path, telegram: TelegramEmulator, organs: dict[str, str]) -> None:
    """After five wrong codes the right one is refused with the same text, so that guessing reveals nothing."""
    daemon = DaemonProcess(tmp_path / "state", {"PERSONAD_PROVIDERS_TELEGRAM_URL": telegram.url})
    try:
        persona_id, bot = daemon.start_warm("telegram").create("Eve", **organs), telegram.add_bot(username="guess_bot")
        assert add(daemon, persona_id, "telegram", bot.token).status_code == 200
        code = code_for(telegram, telegram.user(), bot)
        for guess in ("AAAAAA", "", "BBBBBB", "1' OR 1", "CCCCCC", code):
            answer = pair(daemon, persona_id, guess)
            assert (answer.status_code, answer.json()) == (400, {"detail": INVALID})
    finally:
        daemon.close()
