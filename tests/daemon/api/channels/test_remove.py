"""A channel is removed by its name, which may have any characters."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.daemon.api.channels.routes import Make, add, channels_on_disk, new_token, remove
from tests.daemon_process import DaemonProcess
from tests.emulators.telegram import TelegramEmulator
from tests.observed import status


@pytest.mark.parametrize("name", ["plain_bot", "a/b", "Zoë ✓", "50% @home", "what?", "../up", "#1", "a%2Fb"])
def test_remove_takes_any_name(shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator, name: str) -> None:
    """The name in the path is decoded once and matched exactly; the gateway closes with the process."""
    persona_id, bot = make(), telegram.add_bot(username=name)
    assert add(shared_daemon, persona_id, "telegram", bot.token).status_code == 200
    telegram.wait_for_calls("getUpdates", token=bot.token)
    before = status(shared_daemon, persona_id)
    for other in (name.upper() + "x", name[:-1]):
        answer = remove(shared_daemon, persona_id, other)
        assert (answer.status_code, answer.json()) == (200, {"removed": other})
    assert status(shared_daemon, persona_id)["pid"] == before["pid"]
    answer = remove(shared_daemon, persona_id, name)
    assert (answer.status_code, answer.json()) == (200, {"removed": name})
    assert channels_on_disk(shared_daemon, persona_id) == []
    after = status(shared_daemon, persona_id)
    assert (after["generation"], after["channels"]) == (before["generation"] + 1, [])
    assert not Path(f"/proc/{before['pid']}").exists()
    assert bot.most_polls == 1


def test_a_slash_need_not_be_encoded(shared_daemon: DaemonProcess, make: Make, telegram: TelegramEmulator) -> None:
    """A name with unencoded slashes is the same name."""
    persona_id = make()
    assert add(shared_daemon, persona_id, "telegram", new_token(telegram, "with/a/slash")).status_code == 200
    answer = shared_daemon.http.delete(f"/api/persona/{persona_id}/channels/with/a/slash")
    assert answer.json() == {"removed": "with/a/slash"}
    assert channels_on_disk(shared_daemon, persona_id) == []


def test_remove_of_nobody_is_404(shared_daemon: DaemonProcess) -> None:
    """An unknown persona is 404."""
    answer = remove(shared_daemon, str(uuid.uuid4()), "name")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Persona not found."})
