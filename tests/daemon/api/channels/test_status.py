"""The health of a channel in the status and the metrics."""

from __future__ import annotations

import json
import re

from tests.daemon.api.channels.routes import Make, add, channel, code_for, config_file, pair
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.telegram import TelegramEmulator
from tests.observed import status


def test_status_and_metrics_show_how_a_channel_is(
    shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator
) -> None:
    """They show counters, a dead letter, an outage of a provider (the daemon stays ready) and a revoked token."""
    persona_id, bot = make(), telegram.add_bot(username='"q"_bot')
    ann = telegram.user(username="annie")
    assert add(shared_daemon, persona_id, "telegram", bot.token).status_code == 200
    up = f'personad_channel_up{{persona="{persona_id}",type="telegram",name="\\"q\\"_bot",channel='
    wait_for(
        lambda: re.search(re.escape(up) + r'"\w+"\} 1$', shared_daemon.http.get("/metrics").text, re.MULTILINE),
        "the metric",
    )
    assert pair(shared_daemon, persona_id, code_for(telegram, ann, bot)).status_code == 200
    telegram.wait_for_sent(ann.id, 3)
    ann.block(bot)
    ann.write("x" * 200, bot=bot)
    wait_for(lambda: channel(shared_daemon, persona_id)["dead"] == 1, "the dead letter")
    seen = channel(shared_daemon, persona_id)
    assert (seen["name"], seen["received"], seen["sent"], seen["pending"]) == ("annie", 2, 2, 0)
    letters = shared_daemon.http.get("/api/status").json()["dead_letters"]
    (letter,) = [one for one in letters if one["persona"] == persona_id]
    assert (letter["persona_name"], letter["type"], letter["name"]) == ("Eve", "telegram", "annie")
    assert len(letter["content"]) == 80
    assert "blocked" in letter["reason"]
    telegram.down()
    try:
        wait_for(lambda: channel(shared_daemon, persona_id)["state"] == "degraded", "the outage to show")
        assert channel(shared_daemon, persona_id)["error"]
        assert shared_daemon.http.get("/readyz").status_code == 200
    finally:
        telegram.up()
    wait_for(lambda: channel(shared_daemon, persona_id)["state"] == "connected", "it to mend by itself")
    telegram.revoke(bot)
    wait_for(lambda: channel(shared_daemon, persona_id)["state"] == "stopped", "the revoked token to show")
    assert "@BotFather" in channel(shared_daemon, persona_id)["hint"]
    assert bot.token not in shared_daemon.http.get("/metrics").text + shared_daemon.http.get("/api/status").text


def test_a_channel_without_a_gateway_says_so(shared_daemon: DaemonProcess, make: Make) -> None:
    """A record may have a kind that this version cannot open; she runs, and the status says why it is closed."""
    persona_id = make()
    file = config_file(shared_daemon, persona_id)
    record = {"name": "s", "credentials": {"token": "t"}, "verified_at": None}
    channels = [{"type": "matrix", **record}, {"type": "slack", **record}]
    file.write_text(json.dumps({**json.loads(file.read_text()), "channels": channels}))
    seen = wait_for(lambda: status(shared_daemon, persona_id)["channels"], "the edit to be taken")
    assert [one["state"] for one in seen] == ["closed", "closed"]
    assert "no gateway for matrix" in seen[0]["error"]
    assert "Remove" in seen[0]["hint"]
    assert "POST /v1/channels" in seen[1]["error"]
    wait_for(lambda: status(shared_daemon, persona_id)["state"] == "running", "her to run")
