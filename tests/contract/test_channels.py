"""Channels, "Add channel" and "Remove channel"."""

from __future__ import annotations

import pytest

from tests.contract.bots import Bot, code_for
from tests.contract.server import Server, nobody


def test_add_saves_an_unverified_channel(server: Server, eve: str, bot: Bot) -> None:
    """200 {"kind": ...}: the channel "is appended to her channels and persisted" and "starts unverified"."""
    answer = server.add(eve, bot.kind, bot.token)
    assert (answer.status_code, answer.json()) == (200, {"kind": bot.kind})
    (channel,) = server.channels(eve)
    assert (channel["type"], channel["verified"]) == (bot.kind, False)
    assert channel["name"]
    assert bot.token not in str(channel)


def test_add_to_a_running_persona_opens_the_gateway(server: Server, eve: str, bot: Bot) -> None:
    """The page: "If she's running, her agent is restarted to open the new gateway"."""
    assert server.add(eve, bot.kind, bot.token).status_code == 200
    bot.connected()
    assert server.view(eve)["running"] is True
    assert code_for(bot.chat("ann"))


def test_add_and_remove_work_while_she_is_stopped(server: Server, eve: str, bot: Bot) -> None:
    """The page: they "work whether she's running or not"; she stays as she was, and her start opens the gateway."""
    server.post(eve, "stop")
    assert server.add(eve, bot.kind, bot.token).status_code == 200
    assert server.view(eve)["running"] is False
    assert bot.gateways() == 0
    server.post(eve, "start")
    bot.connected()
    server.post(eve, "stop")
    name = server.channels(eve)[0]["name"]
    assert server.remove(eve, name).json() == {"removed": name}
    assert (server.view(eve)["running"], server.channels(eve)) == (False, [])


def test_remove_drops_the_channel_and_closes_its_gateway(server: Server, eve: str, bot: Bot) -> None:
    """200 {"removed": ...}: "dropped from her channels ... her agent is restarted so the gateway closes"."""
    server.add(eve, bot.kind, bot.token)
    bot.connected()
    name = server.channels(eve)[0]["name"]
    answer = server.remove(eve, name)
    assert (answer.status_code, answer.json()) == (200, {"removed": name})
    assert server.channels(eve) == []
    before = bot.gateways()
    # A gateway that had stayed open would be seen beside that of the same bot's next channel.
    assert server.add(eve, bot.kind, bot.token).status_code == 200
    bot.connected(before)
    assert code_for(bot.chat("ann"))
    assert bot.provider.peak(bot.token) == 1


def test_remove_matches_the_name_exactly_and_never_the_kind(server: Server, eve: str, bot: Bot) -> None:
    """Remove: "Matched exactly against channel.name"; "The match is on name, not kind"."""
    server.add(eve, bot.kind, bot.token)
    name = server.channels(eve)[0]["name"]
    for other in (bot.kind, name.upper(), name[:-1], f"{name} "):
        answer = server.remove(eve, other)
        assert (answer.status_code, answer.json()) == (200, {"removed": other})
    assert [channel["name"] for channel in server.channels(eve)] == [name]


@pytest.mark.parametrize("name", ["my_handle", "telegram", "Zoë ✓", "50% @home"])
def test_remove_of_an_absent_name_changes_nothing(server: Server, eve: str, name: str) -> None:
    """Remove: "Removing a name that isn't present is a no-op that still returns 200"."""
    answer = server.remove(eve, name)
    assert (answer.status_code, answer.json()) == (200, {"removed": name})
    assert server.view(eve)["running"] is True


def test_nobody_has_no_channels(server: Server) -> None:
    """404: "No persona with that id", for both routes."""
    assert server.add(nobody(), "telegram", "123456789:AAE").status_code == 404
    assert server.remove(nobody(), "my_handle").status_code == 404


@pytest.mark.parametrize("kind", ["carrier-pigeon", "slack"])
def test_an_unknown_kind_is_400(server: Server, eve: str, kind: str) -> None:
    """400 "<kind> validation failed: <reason>": "unknown kind"; today's kinds are telegram and discord."""
    answer = server.add(eve, kind, "123456789:AAE")
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"{kind} validation failed: ")
    assert server.channels(eve) == []


def test_a_token_that_the_provider_rejects_is_400(server: Server, eve: str, bot: Bot) -> None:
    """400 "<kind> validation failed: <reason>": "bad token"; "validated ... before anything is saved"."""
    answer = server.add(eve, bot.kind, bot.token[:-4] + "XXXX")
    assert answer.status_code == 400
    detail = answer.json()["detail"]
    assert detail.startswith(f"{bot.kind} validation failed: ")
    assert detail.removeprefix(f"{bot.kind} validation failed: ")
    assert server.channels(eve) == []
