"""Channels of a persona who is restored from her archive."""

from __future__ import annotations

from tests.daemon.api.archives import exported, restored, shown
from tests.daemon.api.channels.routes import Make, add, channel, code_for, pair
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.telegram import TelegramEmulator


def test_channels_come_back_unpaired(shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """A paired bot is restored unpaired; a bot that is taken, or whose token is refused, is left out and reported."""
    eve, adam = make("Eve"), make("Adam")
    bots = [telegram.add_bot(username=f"{name}_bot") for name in ("kept", "taken", "revoked")]
    ann, bea = telegram.user(username="ann"), telegram.user(username="bea")
    for bot in bots:
        assert add(shared_daemon, eve, "telegram", bot.token).status_code == 200
    assert pair(shared_daemon, eve, code_for(telegram, ann, bots[0], "words from before")).status_code == 200
    wait_for(lambda: any("words from before" in one["content"] for one in shown(shared_daemon, eve)[1:]), "an answer")
    before = shown(shared_daemon, eve)
    archive = exported(shared_daemon, eve)
    shared_daemon.http.post(f"/api/persona/{eve}/delete")
    assert add(shared_daemon, adam, "telegram", bots[1].token).status_code == 200
    telegram.revoke(bots[2])
    answer = restored(shared_daemon, archive)

    assert answer.status_code == 200, answer.text
    kept = {"type": "telegram", "name": "kept_bot", "credentials": {"token": bots[0].token}, "verified_at": None}
    assert answer.json()["persona"]["channels"] == [kept]
    taken, revoked = sorted(answer.json()["left_out"], reverse=True)
    assert taken == "the telegram channel taken_bot: its bot belongs to Adam here"
    assert revoked.startswith("the telegram channel revoked_bot: ")
    assert shown(shared_daemon, eve) == before
    wait_for(lambda: channel(shared_daemon, eve)["state"] == "connected", "the bot to connect")
    assert pair(shared_daemon, eve, code_for(telegram, bea, bots[0], "here again")).status_code == 200
    wait_for(
        lambda: any("here again" in one["content"] for one in shown(shared_daemon, eve)[len(before) + 1 :]), "an answer"
    )
    assert {one["channel"]["name"] for one in shown(shared_daemon, eve)} == {"ann", "bea"}
