"""Adding and removing a channel when her process is stopped, or cannot be replaced."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.daemon.api.channels.routes import Make, add, channel, channels_on_disk, new_token, remove
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.telegram import TelegramEmulator
from tests.observed import lives, status, worker
from tests.saboteur import at_start


def test_a_stopped_persona_is_not_started(shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """Add and remove edit the record of a stopped persona and leave her stopped; the channel counts when she starts."""
    persona_id = make()
    shared_daemon.http.post(f"/api/persona/{persona_id}/stop")
    assert add(shared_daemon, persona_id, "telegram", new_token(telegram, "calm_bot")).status_code == 200
    assert (status(shared_daemon, persona_id)["running"], channel(shared_daemon, persona_id)["state"]) == (
        False,
        "closed",
    )
    shared_daemon.http.post(f"/api/persona/{persona_id}/start")
    wait_for(lambda: channel(shared_daemon, persona_id)["state"] == "connected", "the gateway to connect")
    shared_daemon.http.post(f"/api/persona/{persona_id}/stop")
    assert remove(shared_daemon, persona_id, "calm_bot").json() == {"removed": "calm_bot"}
    assert (status(shared_daemon, persona_id)["running"], channels_on_disk(shared_daemon, persona_id)) == (False, [])


def test_the_replacement_opens_only_after_the_old_process_is_reaped(
    shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator
) -> None:
    """A process that does not stop is killed first: its poll ends before the next process sends any request."""
    persona_id, bot = make(), telegram.add_bot(username="stuck_bot")
    assert add(shared_daemon, persona_id, "telegram", bot.token).status_code == 200
    telegram.wait_for_calls("getUpdates", token=bot.token)
    old = worker(shared_daemon, persona_id)
    old.send_signal(signal.SIGSTOP)
    asked = len(telegram.calls(token=bot.token))
    with ThreadPoolExecutor(1) as pool:
        restarting = pool.submit(shared_daemon.http.post, f"/api/persona/{persona_id}/restart")
        wait_for(lambda: len(telegram.calls(token=bot.token)) > asked or restarting.done(), "the replacement")
        assert not lives(old)
        assert restarting.result().json() == {"status": "restarted"}
    wait_for(lambda: channel(shared_daemon, persona_id)["state"] == "connected", "the gateway to connect")
    assert bot.most_polls == 1


STILLBORN = """\
import os, sys

forks = 0

def die():
    if os.path.exists({flag!r}):
        os._exit(70)

def forked():
    # A zygote's own child only bears the newborn, which is to die.
    global forks
    forks += 1
    if forks == 2:
        die()

if sys.orig_argv[-3:-2] == ["worker"]:
    die()
os.register_at_fork(after_in_child=forked)
"""


def test_what_is_saved_stays_when_the_restart_fails(
    tmp_path: Path, telegram: TelegramEmulator, organs: dict[str, str]
) -> None:
    """The answer is 500 with the documented text; the record keeps the change, and she restarts with it by herself."""
    flag, bot = tmp_path / "no process is born", telegram.add_bot(username="slow_bot")
    settings = {
        "PERSONAD_PROVIDERS_TELEGRAM_URL": telegram.url,
        "PERSONAD_SUPERVISOR_FAILURES": "500",
        "PERSONAD_SUPERVISOR_BACKOFF_MAX": "0.5",
        "PYTHONPATH": at_start(tmp_path / "hook", STILLBORN.format(flag=str(flag))),
    }
    daemon = DaemonProcess(tmp_path / "state", settings)
    try:
        persona_id = daemon.start_warm("telegram").create("Eve", **organs)
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
        assert answers[0].json()["detail"].endswith(".")
        assert [one["name"] for one in channels_on_disk(daemon, persona_id)] == ["slow_bot"]
        flag.unlink()
        wait_for(lambda: channel(daemon, persona_id)["state"] == "connected", "her to come back")
        flag.touch()
        answer = remove(daemon, persona_id, "slow_bot")
        assert answer.status_code == 500
        assert answer.json()["detail"].startswith("Channel removed but restart failed: ")
        assert channels_on_disk(daemon, persona_id) == []
        flag.unlink()
        wait_for(lambda: status(daemon, persona_id)["state"] == "running", "her to come back")
    finally:
        daemon.close()
