"""Channels are added, removed and paired as the channels seed says, against the providers on loopback."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.discord import DiscordEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_people import Person
from tests.emulators.telegram_world import Bot
from tests.saboteur import at_start

Make = Callable[..., str]

INVALID = "Pairing code is invalid or has expired."
NOT_ACTIVE = "Persona is not active."


@pytest.fixture(scope="module")
def telegram() -> Iterator[TelegramEmulator]:
    """Telegram on loopback."""
    with TelegramEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def discord() -> Iterator[DiscordEmulator]:
    """Discord on loopback."""
    with DiscordEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, telegram: TelegramEmulator, discord: DiscordEmulator
) -> Iterator[DaemonProcess]:
    """A daemon whose providers are on loopback."""
    urls = {"PERSONAD_PROVIDERS_TELEGRAM_URL": telegram.url, "PERSONAD_PROVIDERS_DISCORD_URL": discord.url}
    process = DaemonProcess(tmp_path_factory.mktemp("channels") / "state", urls)
    try:
        yield process.start().ready()
    finally:
        process.close()


@pytest.fixture
def organs(mind: OpenAIEmulator) -> dict[str, str]:
    """The fields of a mind that echoes."""
    return {
        "thinking_model": "echo",
        "thinking_provider": "openai",
        "thinking_api_key": "k",
        "thinking_url": mind.url,
    }


@pytest.fixture
def make(house: DaemonProcess, organs: dict[str, str]) -> Iterator[Make]:
    """Make personas that are deleted after the test."""
    made: list[str] = []

    def make(name: str = "Eve") -> str:
        made.append(house.create(name, **organs))
        return made[-1]

    yield make
    for persona_id in made:
        house.http.post(f"/api/persona/{persona_id}/delete")


def add(house: DaemonProcess, persona_id: str, kind: str, token: str) -> httpx.Response:
    body = {"kind": kind, "credentials": {"token": token}}
    return house.http.post(f"/api/persona/{persona_id}/channels", json=body)


def remove(house: DaemonProcess, persona_id: str, name: str) -> httpx.Response:
    return house.http.delete(f"/api/persona/{persona_id}/channels/{quote(name, safe='')}")


def pair(house: DaemonProcess, persona_id: str, code: str) -> httpx.Response:
    return house.http.post(f"/api/persona/{persona_id}/pair", json={"code": code})


def config_file(house: DaemonProcess, persona_id: str) -> Path:
    return house.state_dir / "personas" / persona_id / "config.json"


def channels_on_disk(house: DaemonProcess, persona_id: str) -> list[dict[str, Any]]:
    return json.loads(config_file(house, persona_id).read_text())["channels"] or []


def status(house: DaemonProcess, persona_id: str) -> dict[str, Any]:
    personas = house.http.get("/api/status").json()["personas"]
    found: dict[str, Any] = next(one for one in personas if one["id"] == persona_id)
    return found


def channel(house: DaemonProcess, persona_id: str) -> dict[str, Any]:
    """The health of her one channel."""
    (found,) = status(house, persona_id)["channels"]
    assert isinstance(found, dict)
    return found


def new_token(emulator: TelegramEmulator | DiscordEmulator, name: str) -> str:
    """A bot's token."""
    if isinstance(emulator, TelegramEmulator):
        return emulator.add_bot(username=name).token
    return emulator.add_bot(name).token


def code_for(telegram: TelegramEmulator, person: Person, bot: Bot, words: str = "hello") -> str:
    """Write to an unverified bot and return the code that it shows."""
    before = len(telegram.sent(person.id))
    person.write(words, bot=bot)
    text = str(telegram.wait_for_sent(person.id, before + 1)[-1]["text"])
    found = re.search(r"^[A-Z2-9]{6}$", text, re.MULTILINE)
    assert found, text
    return found[0]


@pytest.fixture(params=["telegram", "discord"])
def provider(request: pytest.FixtureRequest) -> tuple[str, TelegramEmulator | DiscordEmulator]:
    """Both kinds in turn, with their emulators."""
    return request.param, request.getfixturevalue(request.param)


def test_add_saves_an_unverified_channel_and_replaces_her_process(
    house: DaemonProcess, make: Make, provider: tuple[str, TelegramEmulator | DiscordEmulator]
) -> None:
    """200 with the kind; saved with the bot's handle; the old process is gone and the new one connects."""
    kind, emulator = provider
    persona_id, token = make(), new_token(emulator, "eve_bot")
    before = status(house, persona_id)
    answer = add(house, persona_id, kind, token)
    assert (answer.status_code, answer.json()) == (200, {"kind": kind})
    after = status(house, persona_id)
    assert (after["running"], after["state"]) == (True, "running")
    assert after["generation"] == before["generation"] + 1
    assert not Path(f"/proc/{before['pid']}").exists()
    saved = {"type": kind, "name": "eve_bot", "credentials": {"token": token}, "verified_at": None}
    assert channels_on_disk(house, persona_id) == [saved]
    views = house.http.get("/api/personas").json()["personas"]
    assert {"type": kind, "name": "eve_bot", "verified": False} in next(
        one["channels"] for one in views if one["id"] == persona_id
    )
    wait_for(lambda: channel(house, persona_id)["state"] == "connected", "the gateway to connect")


def test_two_kinds_added_at_once_are_both_saved(
    house: DaemonProcess, make: Make, telegram: TelegramEmulator, discord: DiscordEmulator
) -> None:
    """Edits of one record take turns; none is lost."""
    persona_id = make()
    tokens = {"telegram": new_token(telegram, "both_bot"), "discord": new_token(discord, "both_bot")}
    threads = [threading.Thread(target=add, args=(house, persona_id, *item)) for item in tokens.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one["type"] for one in channels_on_disk(house, persona_id)} == {"telegram", "discord"}


@pytest.mark.parametrize("body", [b"nonsense", b"{}", b'{"kind": "telegram", "credentials": {"token": "x"}}'])
def test_add_to_nobody_is_404_before_all_else(house: DaemonProcess, body: bytes) -> None:
    """Whatever the body is, her absence is what is said."""
    answer = house.http.post(f"/api/persona/{uuid.uuid4()}/channels", content=body)
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
def test_add_of_another_shape_is_422(house: DaemonProcess, make: Make, body: bytes, faults: list[object]) -> None:
    """Each faulty field is named, and nothing changes."""
    persona_id = make()
    answer = house.http.post(f"/api/persona/{persona_id}/channels", content=body)
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["detail"]] == faults
    assert channels_on_disk(house, persona_id) == []


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
def test_a_token_or_kind_of_no_use_is_400(house: DaemonProcess, make: Make, kind: str, token: str, words: str) -> None:
    """The documented text, a reason to act on, the token repeated nowhere, nothing saved, nobody restarted."""
    persona_id = make()
    answer = add(house, persona_id, kind, token)
    assert answer.status_code == 400
    detail = answer.json()["detail"]
    assert detail.startswith(f"{kind} validation failed: ")
    assert words in detail
    if token:
        assert token not in answer.text
        assert token not in house.log.read_text()
    assert channels_on_disk(house, persona_id) == []
    assert status(house, persona_id)["generation"] == 1


def test_a_provider_that_cannot_be_reached_is_400(
    house: DaemonProcess, make: Make, provider: tuple[str, TelegramEmulator | DiscordEmulator]
) -> None:
    """The reason is the network, not the token."""
    kind, emulator = provider
    persona_id, token = make(), new_token(emulator, "far_bot")
    emulator.down()
    try:
        answer = add(house, persona_id, kind, token)
    finally:
        emulator.up()
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"{kind} validation failed: ")
    assert "network" in answer.json()["detail"]
    assert channels_on_disk(house, persona_id) == []


def test_a_bot_has_one_owner(house: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """A bot that has a channel is refused, also with another token of its own, until that channel is removed."""
    owner, other = make("Ada"), make("Bob")
    bot = telegram.add_bot(username="one_bot")
    second_token = telegram.add_bot(f"{bot.id}:{'B' * 35}", username="one_bot").token
    assert add(house, owner, "telegram", bot.token).status_code == 200
    for persona_id in (owner, other):
        for token in (bot.token, second_token):
            answer = add(house, persona_id, "telegram", token)
            words = "telegram validation failed: this bot already belongs to Ada's channel. Remove that one first."
            assert (answer.status_code, answer.json()) == (400, {"detail": words})
    assert channels_on_disk(house, other) == []
    assert remove(house, owner, "one_bot").status_code == 200
    assert add(house, other, "telegram", second_token).status_code == 200


def test_a_bot_is_free_when_its_owner_is_deleted_or_edited(
    house: DaemonProcess, make: Make, telegram: TelegramEmulator
) -> None:
    """Neither a deleted persona nor one whose channel was taken out by hand keeps a bot."""
    first, second, third = make(), make(), make()
    bot = telegram.add_bot(username="free_bot")
    assert add(house, first, "telegram", bot.token).status_code == 200
    assert house.http.post(f"/api/persona/{first}/delete").status_code == 200
    assert add(house, second, "telegram", bot.token).status_code == 200
    house.http.post(f"/api/persona/{second}/stop")
    file = config_file(house, second)
    file.write_text(json.dumps({**json.loads(file.read_text()), "channels": None}))
    wait_for(lambda: status(house, second)["channels"] == [], "the edit to be taken")
    assert add(house, third, "telegram", bot.token).status_code == 200


def test_a_stopped_persona_is_not_started(house: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """Add and remove edit the record of a stopped persona and leave her stopped; the channel counts when she starts."""
    persona_id = make()
    house.http.post(f"/api/persona/{persona_id}/stop")
    assert add(house, persona_id, "telegram", new_token(telegram, "calm_bot")).status_code == 200
    assert (status(house, persona_id)["running"], channel(house, persona_id)["state"]) == (False, "closed")
    house.http.post(f"/api/persona/{persona_id}/start")
    wait_for(lambda: channel(house, persona_id)["state"] == "connected", "the gateway to connect")
    house.http.post(f"/api/persona/{persona_id}/stop")
    assert remove(house, persona_id, "calm_bot").json() == {"removed": "calm_bot"}
    assert (status(house, persona_id)["running"], channels_on_disk(house, persona_id)) == (False, [])


@pytest.mark.parametrize("name", ["plain_bot", "a/b", "Zoë ✓", "50% @home", "what?", "../up", "#1", "a%2Fb"])
def test_remove_takes_any_name(house: DaemonProcess, make: Make, telegram: TelegramEmulator, name: str) -> None:
    """The name in the path is decoded once and matched exactly; the gateway closes with the process."""
    persona_id, bot = make(), telegram.add_bot(username=name)
    assert add(house, persona_id, "telegram", bot.token).status_code == 200
    telegram.wait_for_calls("getUpdates", token=bot.token)
    before = status(house, persona_id)
    for other in (name.upper() + "x", name[:-1]):
        answer = remove(house, persona_id, other)
        assert (answer.status_code, answer.json()) == (200, {"removed": other})
    assert status(house, persona_id)["pid"] == before["pid"]
    answer = remove(house, persona_id, name)
    assert (answer.status_code, answer.json()) == (200, {"removed": name})
    assert channels_on_disk(house, persona_id) == []
    after = status(house, persona_id)
    assert (after["generation"], after["channels"]) == (before["generation"] + 1, [])
    assert not Path(f"/proc/{before['pid']}").exists()
    assert bot.most_polls == 1


def test_a_slash_need_not_be_encoded(house: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """A client that leaves slashes as they are means the same name."""
    persona_id = make()
    assert add(house, persona_id, "telegram", new_token(telegram, "with/a/slash")).status_code == 200
    answer = house.http.delete(f"/api/persona/{persona_id}/channels/with/a/slash")
    assert answer.json() == {"removed": "with/a/slash"}
    assert channels_on_disk(house, persona_id) == []


def test_remove_of_nobody_is_404(house: DaemonProcess) -> None:
    """No persona, no channel."""
    answer = remove(house, str(uuid.uuid4()), "name")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Persona not found."})


def test_pairing_binds_the_channel_to_the_account(house: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """The seed's answer, unmasked; the words that asked are answered; a stranger is counted and hears nothing."""
    persona_id, bot = make(), telegram.add_bot(username="pair_bot")
    ann, eve = telegram.user(username="ann"), telegram.user(username="mallory")
    assert add(house, persona_id, "telegram", bot.token).status_code == 200
    code = code_for(telegram, ann, bot, "what is the time?")
    answer = pair(house, persona_id, code.lower())
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert list(body) == ["persona", "channel"]
    assert list(body["channel"]) == ["type", "name", "credentials", "verified_at"]
    assert (body["channel"]["type"], body["channel"]["name"]) == ("telegram", "ann")
    assert body["channel"]["credentials"] == {"token": bot.token}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", body["channel"]["verified_at"])
    age = datetime.now().astimezone() - datetime.fromisoformat(body["channel"]["verified_at"])
    assert 0 <= age.total_seconds() < 20
    assert body["persona"]["channels"] == [body["channel"]] == channels_on_disk(house, persona_id)
    texts = [str(message["text"]) for message in telegram.wait_for_sent(ann.id, 3)]
    assert "connected" in texts[1]
    assert "what is the time?" in texts[2]
    eve.write("let me in", bot=bot)
    wait_for(lambda: channel(house, persona_id)["strangers"] == 1, "the stranger to be counted")
    assert telegram.sent(eve.id) == []
    again = pair(house, persona_id, code)
    assert (again.status_code, again.json()) == (400, {"detail": INVALID})
    assert code not in house.log.read_text()


def test_pairing_on_discord(house: DaemonProcess, make: Make, discord: DiscordEmulator) -> None:
    """A direct message gets a code; claimed, the words are answered."""
    persona_id, bot = make(), discord.add_bot("pair_bot")
    assert add(house, persona_id, "discord", bot.token).status_code == 200
    wait_for(lambda: channel(house, persona_id)["state"] == "connected", "the gateway to connect")
    ann = discord.add_user("ann")
    talk = discord.dm(ann, bot.token)
    discord.say("what is the time?", channel_id=talk)
    (shown,) = discord.wait_for_sent(talk)
    found = re.search(r"^[A-Z2-9]{6}$", shown.content, re.MULTILINE)
    assert found, shown.content
    answer = pair(house, persona_id, found[0])
    assert (answer.status_code, answer.json()["channel"]["name"]) == (200, "ann")
    assert "what is the time?" in discord.wait_for_sent(talk, 3)[2].content


def test_two_channels_of_one_kind_are_each_paired(house: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """A code belongs to the bot that showed it, also for the same account."""
    persona_id, ann = make(), telegram.user(username="ann_twice")
    bots = [telegram.add_bot(username=f"twin{number}_bot") for number in (1, 2)]
    for bot in bots:
        assert add(house, persona_id, "telegram", bot.token).status_code == 200
    codes = [code_for(telegram, ann, bot) for bot in bots]
    for bot, code in reversed(list(zip(bots, codes, strict=True))):
        answer = pair(house, persona_id, code)
        assert answer.json()["channel"]["credentials"]["token"] == bot.token
    assert [one["verified"] for one in status(house, persona_id)["channels"]] == [True, True]
    lines = [line for line in house.http.get("/metrics").text.splitlines() if line.startswith("personad_channel_up")]
    assert len({line.rpartition(" ")[0] for line in lines}) == len(lines)


def test_pair_needs_her_running(house: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """409 for a stopped persona and for nobody, whatever the code is."""
    persona_id, bot = make(), telegram.add_bot(username="late_bot")
    assert add(house, persona_id, "telegram", bot.token).status_code == 200
    code = code_for(telegram, telegram.user(), bot)
    house.http.post(f"/api/persona/{persona_id}/stop")
    for nobody in (persona_id, str(uuid.uuid4())):
        answer = pair(house, nobody, code)
        assert (answer.status_code, answer.json()) == (409, {"detail": NOT_ACTIVE})
    house.http.post(f"/api/persona/{persona_id}/start")
    assert pair(house, persona_id, code).status_code == 200


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"{}", {"type": "missing", "loc": ["body", "code"], "msg": "Field required"}),
        (b'{"code": 1}', {"type": "string_type", "loc": ["body", "code"], "msg": "Input should be a valid string"}),
        (b'{"code": null}', {"type": "string_type", "loc": ["body", "code"], "msg": "Input should be a valid string"}),
    ],
)
def test_pair_without_a_code_is_422(house: DaemonProcess, make: Make, body: bytes, fault: object) -> None:
    """The shape is looked at first."""
    for persona_id in (make(), str(uuid.uuid4())):
        answer = house.http.post(f"/api/persona/{persona_id}/pair", content=body)
        assert (answer.status_code, answer.json()) == (422, {"detail": [fault]})


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_code_goes_with_its_channel(
    house: DaemonProcess, make: Make, telegram: TelegramEmulator, by_hand: bool
) -> None:
    """Once the channel is removed, by the route or out of the record by hand, its code is good for nothing."""
    persona_id, bot = make(), telegram.add_bot(username="gone_bot")
    assert add(house, persona_id, "telegram", bot.token).status_code == 200
    code = code_for(telegram, telegram.user(), bot)
    if by_hand:
        file, generation = config_file(house, persona_id), status(house, persona_id)["generation"]
        file.write_text(json.dumps({**json.loads(file.read_text()), "channels": None}))
        wait_for(lambda: status(house, persona_id)["generation"] > generation, "the edit to be taken")
        wait_for(lambda: status(house, persona_id)["state"] == "running", "her to run")
    else:
        assert remove(house, persona_id, "gone_bot").status_code == 200
    answer = pair(house, persona_id, code)
    assert (answer.status_code, answer.json()) == (400, {"detail": INVALID})


def test_a_code_is_worth_nothing_to_another_persona(
    house: DaemonProcess, make: Make, telegram: TelegramEmulator
) -> None:
    """A code belongs to the persona whose bot showed it."""
    persona_id, other, bot = make(), make(), telegram.add_bot(username="mine_bot")
    assert add(house, persona_id, "telegram", bot.token).status_code == 200
    code = code_for(telegram, telegram.user(), bot)
    answer = pair(house, other, code)
    assert (answer.status_code, answer.json()) == (400, {"detail": INVALID})
    assert pair(house, persona_id, code).status_code == 200


def test_guesses_are_throttled(tmp_path: Path, telegram: TelegramEmulator, organs: dict[str, str]) -> None:
    """After five wrong codes the right one is refused in the same words, so that guessing learns nothing."""
    daemon = DaemonProcess(tmp_path / "state", {"PERSONAD_PROVIDERS_TELEGRAM_URL": telegram.url})
    try:
        persona_id, bot = daemon.start().ready().create("Eve", **organs), telegram.add_bot(username="guess_bot")
        assert add(daemon, persona_id, "telegram", bot.token).status_code == 200
        code = code_for(telegram, telegram.user(), bot)
        for guess in ("AAAAAA", "", "BBBBBB", "1' OR 1", "CCCCCC", code):
            answer = pair(daemon, persona_id, guess)
            assert (answer.status_code, answer.json()) == (400, {"detail": INVALID})
    finally:
        daemon.close()


STILLBORN = """\
import os, sys

def die():
    if os.path.exists({flag!r}):
        os._exit(70)

if sys.orig_argv[-3:-2] == ["worker"]:
    die()
os.register_at_fork(after_in_child=die)
"""


def test_what_is_saved_stays_when_the_restart_fails(
    tmp_path: Path, telegram: TelegramEmulator, organs: dict[str, str]
) -> None:
    """500 with the documented text; the record keeps the change, and she comes back with it by herself."""
    flag, bot = tmp_path / "no process is born", telegram.add_bot(username="slow_bot")
    settings = {
        "PERSONAD_PROVIDERS_TELEGRAM_URL": telegram.url,
        "PERSONAD_SUPERVISOR_FAILURES": "500",
        "PERSONAD_SUPERVISOR_BACKOFF_MAX": "0.5",
        "PYTHONPATH": at_start(tmp_path / "hook", STILLBORN.format(flag=str(flag))),
    }
    daemon = DaemonProcess(tmp_path / "state", settings)
    try:
        persona_id = daemon.start().ready().create("Eve", **organs)
        telegram.fail("hang", "getMe", token=bot.token)
        answers: list[httpx.Response] = []
        adding = threading.Thread(target=lambda: answers.append(add(daemon, persona_id, "telegram", bot.token)))
        adding.start()
        telegram.wait_for_calls("getMe", token=bot.token)
        flag.touch()
        telegram.heal()
        adding.join()
        assert answers[0].status_code == 500, answers[0].text
        assert answers[0].json()["detail"].startswith("Channel added but restart failed: ")
        assert [one["name"] for one in channels_on_disk(daemon, persona_id)] == ["slow_bot"]
        flag.unlink()
        wait_for(lambda: channel(daemon, persona_id)["state"] == "connected", "her to come back", timeout=60)
        flag.touch()
        answer = remove(daemon, persona_id, "slow_bot")
        assert answer.status_code == 500
        assert answer.json()["detail"].startswith("Channel removed but restart failed: ")
        assert channels_on_disk(daemon, persona_id) == []
        flag.unlink()
        wait_for(lambda: status(daemon, persona_id)["state"] == "running", "her to come back", timeout=60)
    finally:
        daemon.close()


def test_create_takes_tokens(
    house: DaemonProcess, telegram: TelegramEmulator, discord: DiscordEmulator, organs: dict[str, str]
) -> None:
    """Tokens in create become channels of the new persona, unverified and connected."""
    tokens = {"telegram": new_token(telegram, "born_bot"), "discord": new_token(discord, "born_bot")}
    fields = {f"{kind}_token": token for kind, token in tokens.items()}
    answer = house.http.post("/api/persona/create", json={"name": "Eve", **organs, **fields})
    assert answer.status_code == 200, answer.text
    persona = answer.json()["persona"]
    assert persona["channels"] == [
        {"type": kind, "name": "born_bot", "credentials": {"token": token}, "verified_at": None}
        for kind, token in tokens.items()
    ]
    wait_for(
        lambda: {one["state"] for one in status(house, persona["id"])["channels"]} == {"connected"}, "both to connect"
    )
    house.http.post(f"/api/persona/{persona['id']}/delete")


@pytest.mark.parametrize("kind", ["telegram", "discord"])
def test_create_with_a_token_of_no_use_makes_nobody(
    house: DaemonProcess, organs: dict[str, str], telegram: TelegramEmulator, kind: str
) -> None:
    """400 with the documented text; nothing is made, and the good token beside the bad one stays free."""
    good = new_token(telegram, "unborn_bot")
    before = house.http.get("/api/personas").json()
    body = {"name": "Eve", **organs, "telegram_token": good, f"{kind}_token": "secret-nonsense"}
    answer = house.http.post("/api/persona/create", json=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"{kind.title()} validation failed: ")
    assert "secret-nonsense" not in answer.text
    assert house.http.get("/api/personas").json() == before
    answer = house.http.post("/api/persona/create", json={"name": "Eve", **organs, "telegram_token": good})
    assert answer.status_code == 200, answer.text
    house.http.post(f"/api/persona/{answer.json()['persona']['id']}/delete")


def test_status_and_metrics_show_how_a_channel_is(house: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """Counters, a dead letter, a provider's outage that leaves the daemon ready, and a revoked token, all honest."""
    persona_id, bot = make(), telegram.add_bot(username='"q"_bot')
    ann = telegram.user(username="annie")
    assert add(house, persona_id, "telegram", bot.token).status_code == 200
    up = f'personad_channel_up{{persona="{persona_id}",type="telegram",name="\\"q\\"_bot",channel='
    wait_for(
        lambda: re.search(re.escape(up) + r'"\w+"\} 1$', house.http.get("/metrics").text, re.MULTILINE), "the metric"
    )
    assert pair(house, persona_id, code_for(telegram, ann, bot)).status_code == 200
    telegram.wait_for_sent(ann.id, 3)
    ann.block(bot)
    ann.write("x" * 200, bot=bot)
    wait_for(lambda: channel(house, persona_id)["dead"] == 1, "the dead letter")
    seen = channel(house, persona_id)
    assert (seen["name"], seen["received"], seen["sent"], seen["pending"]) == ("annie", 2, 2, 0)
    letters = house.http.get("/api/status").json()["dead_letters"]
    (letter,) = [one for one in letters if one["persona"] == persona_id]
    assert (letter["persona_name"], letter["type"], letter["name"]) == ("Eve", "telegram", "annie")
    assert len(letter["content"]) == 80
    assert "blocked" in letter["reason"]
    telegram.down()
    try:
        wait_for(lambda: channel(house, persona_id)["state"] == "degraded", "the outage to show")
        assert channel(house, persona_id)["error"]
        assert house.http.get("/readyz").status_code == 200
    finally:
        telegram.up()
    wait_for(lambda: channel(house, persona_id)["state"] == "connected", "it to mend by itself", timeout=60)
    telegram.revoke(bot)
    wait_for(lambda: channel(house, persona_id)["state"] == "stopped", "the revoked token to show")
    assert "@BotFather" in channel(house, persona_id)["hint"]
    assert bot.token not in house.http.get("/metrics").text + house.http.get("/api/status").text


def test_a_channel_without_a_gateway_says_so(house: DaemonProcess, make: Make) -> None:
    """A record may hold a kind that this version cannot open; she runs, and the status says why it is closed."""
    persona_id = make()
    file = config_file(house, persona_id)
    slack = {"type": "slack", "name": "s", "credentials": {"token": "t"}, "verified_at": None}
    file.write_text(json.dumps({**json.loads(file.read_text()), "channels": [slack]}))
    seen = wait_for(lambda: status(house, persona_id)["channels"], "the edit to be taken")[0]
    assert seen["state"] == "closed"
    assert "no gateway for slack" in seen["error"]
    assert "Remove" in seen["hint"]
    wait_for(lambda: status(house, persona_id)["state"] == "running", "her to run")
