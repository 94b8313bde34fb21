"""Channels that fail, are removed or edited by hand: what is reported, and that everything else keeps working."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from tests.daemon.channels.stage import Stage
from tests.daemon_process import wait_for
from tests.listener import Listener
from tests.observed import config, config_file, logged
from tests.patience import PATIENCE
from tests.providers import Telegram


def edit_channels(stage: Stage, channels: list[dict[str, object]]) -> None:
    """Write her record as an editor does."""
    record = {**config(stage.daemon, stage.id), "channels": channels}
    config_file(stage.daemon, stage.id).write_text(json.dumps(record, indent=2))


def talks_on_the_web(stage: Stage, word: str) -> None:
    """Assert that her mind answers in the web chat."""
    with Listener(stage.daemon, stage.id) as web:
        assert stage.daemon.read(stage.id, word).status_code == 200
        web.hears(word)


def test_a_revoked_token(stage: Stage) -> None:
    """The channel stops with an error and a hint, and asks the provider no more; everything else keeps working."""
    stage.paired()
    pid = stage.view()["pid"]
    stage.provider.revoke(stage.token)
    health = wait_for(lambda: (found := stage.channel())["state"] == "stopped" and found, "the channel to stop")
    assert isinstance(health, dict)
    assert "token" in health["error"]
    assert "the channel again" in health["hint"]
    requests = stage.provider.requests(stage.token)
    talks_on_the_web(stage, "still here")
    view = stage.view()
    assert (view["state"], view["pid"], view["running"]) == ("running", pid, True)
    (told,) = logged(stage.daemon, "gateway.troubled", stage.id)
    assert (told["state"], told["hint"]) == ("stopped", health["hint"])
    # One answer later, still nothing was asked.
    talks_on_the_web(stage, "and here")
    assert stage.provider.requests(stage.token) == requests


@pytest.mark.parametrize("provider", ["telegram"], indirect=True)
def test_another_program_polls(stage: Stage, telegram: Telegram) -> None:
    """With a second poller of the same token the channel is degraded and says why; she keeps running."""
    stage.paired()
    foreign = httpx.get(f"{telegram.url}/bot{stage.token}/getUpdates", params={"timeout": 1}, timeout=PATIENCE)
    assert foreign.status_code in (200, 409)
    health = wait_for(lambda: (found := stage.channel())["state"] == "degraded" and found, "the conflict to be seen")
    assert isinstance(health, dict)
    assert "Another program polls" in health["error"]
    assert "Stop the other program" in health["hint"]
    talks_on_the_web(stage, "quite well")


def test_removing(stage: Stage) -> None:
    """Only the exact name removes a channel; its gateway is closed, and what waited for it is a dead letter."""
    chat = stage.paired()
    stage.brain.hold("waiting")
    chat.write("waiting words")
    wait_for(lambda: stage.brain.times("waiting words") == 1, "her mind")
    stage.provider.fail_sends(503, times=1000)
    stage.brain.let_go("waiting")
    wait_for(lambda: stage.channel()["pending"] == 1, "a pending message")
    for name in (chat.handle.upper(), chat.handle[:-1], f" {chat.handle}"):
        answer = stage.remove(name)
        assert (answer.status_code, answer.json()) == (200, {"removed": name})
        assert len(stage.view()["channels"]) == 1
    assert stage.remove(chat.handle).json() == {"removed": chat.handle}
    removed_at = time.time()
    stage.provider.heal()
    assert stage.view()["channels"] == []
    assert not config(stage.daemon, stage.id)["channels"]
    (letter,) = stage.dead_letters()
    assert "waiting words" in letter["content"]
    requests = stage.provider.requests(stage.token)
    chat.write("is anybody there?")
    talks_on_the_web(stage, "only here now")
    assert stage.provider.requests(stage.token) == requests
    assert stage.brain.times("is anybody there?") == 0
    if isinstance(stage.provider, Telegram):
        assert all(call.at < removed_at for call in stage.provider.emulator.calls("getUpdates", stage.token))


def test_a_removed_bot_can_come_back(stage: Stage) -> None:
    """Removed and added again, the same bot is unverified and shows a new code."""
    chat = stage.paired()
    stage.remove(chat.handle)
    body = {"kind": stage.provider.kind, "credentials": {"token": stage.token}}
    assert stage.post("channels", body).status_code == 200
    stage.connected()
    assert stage.channel()["verified"] is False
    assert stage.pair(chat.ask_for_code("me again")).status_code == 200
    chat.hears("me again")


def test_channels_written_by_hand(stage: Stage) -> None:
    """A channel that appears in config.json opens and can be paired; one that disappears closes."""
    token = stage.provider.add_bot("byhand")
    channel: dict[str, object] = {"type": stage.provider.kind, "name": "byhand", "credentials": {"token": token}}
    edit_channels(stage, [{**channel, "verified_at": None}])
    wait_for(lambda: [one["state"] for one in stage.view()["channels"]] == ["connected"], "the new channel")
    chat = stage.provider.chat(token, "alice_hand")
    assert stage.pair(chat.ask_for_code("by hand")).status_code == 200
    chat.hears("by hand")
    generation = stage.view()["generation"]
    edit_channels(stage, [])
    wait_for(lambda: stage.view()["generation"] > generation and stage.view()["state"] == "running", "her restart")
    assert stage.view()["channels"] == []
    requests = stage.provider.requests(token)
    talks_on_the_web(stage, "closed")
    assert stage.provider.requests(token) == requests
    assert stage.provider.peak(token) == 1
