"""From a new channel to a paired one: codes, whose messages are taken, and what happens to the first messages."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from datetime import datetime

import psutil
import pytest

from tests.daemon.channels.stage import CONNECTED, Stage, ledger
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.observed import config, lives, worker
from tests.providers import Discord, Provider, Telegram

Open = Callable[[Provider], Stage]

INVALID = (400, {"detail": "Pairing code is invalid or has expired."})


def test_from_adding_to_talking(stage: Stage) -> None:
    """Add, code, pair, chat: each process ends before the next one polls, and no message is lost."""
    old = psutil.Process(stage.view()["pid"])
    token = stage.add()
    assert not lives(old)
    assert stage.view()["pid"] not in (None, old.pid)
    chat = stage.provider.chat(token, "alice_k")
    code = chat.ask_for_code("are you there?")
    chat.write("and one more thing")
    answer = stage.pair(f" {code.lower()} ")
    assert answer.status_code == 200
    chat.hears(CONNECTED, "are you there?", "and one more thing")
    texts = chat.texts()
    assert texts.index(next(text for text in texts if CONNECTED in text)) == 1, "she says first that she is connected"
    chat.write("and now?")
    chat.hears("and now?")
    assert [chat.count(words) for words in ("are you there?", "and now?", CONNECTED)] == [1, 1, 1]
    paired, record = answer.json()["persona"], answer.json()["channel"]
    assert paired["channels"] == [record]
    assert {key: record[key] for key in ("type", "name", "credentials")} == {
        "type": stage.provider.kind,
        "name": "alice_k",
        "credentials": {"token": token},
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", record["verified_at"])
    assert abs((datetime.now().astimezone() - datetime.fromisoformat(record["verified_at"])).total_seconds()) < 60
    assert config(stage.daemon, stage.id)["channels"] == [record]
    assert stage.channel()["verified"] is True
    assert stage.provider.peak(token) == 1


def test_restarts_never_poll_twice(stage: Stage) -> None:
    """During restarts, kills and chat there is at most one poller, and every message is answered once."""
    chat = stage.paired()
    words = [f"word{number}." for number in range(12)]
    for number, word in enumerate(words):
        chat.write(word)
        if number % 3 == 1:
            assert stage.post("restart").status_code == 200
        if number % 3 == 2:
            worker(stage.daemon, stage.id).send_signal(signal.SIGKILL)
    chat.hears(*words)
    answers = [line["content"] for line in stage.lines() if line["role"] == "assistant"]
    assert [sum(word in answer for answer in answers) for word in words] == [1] * len(words)
    assert stage.provider.peak(stage.token) == 1


def test_a_process_that_hangs_is_gone_first(stage: Stage) -> None:
    """The old process hangs with its connection open: the new one does not connect before it is killed."""
    chat = stage.paired()
    old = worker(stage.daemon, stage.id)
    old.send_signal(signal.SIGSTOP)
    assert stage.post("restart").status_code == 200
    assert not lives(old)
    chat.write("whose turn is it?")
    chat.hears("whose turn is it?")
    assert stage.provider.peak(stage.token) == 1


def test_a_code_is_good_once(stage: Stage) -> None:
    """A used code is refused, and so is one that was never shown."""
    chat = stage.provider.chat(stage.add(), "alice_once")
    code = chat.ask_for_code()
    assert stage.pair("ZZZZZZ").status_code == 400
    assert stage.pair(code).status_code == 200
    again = stage.pair(code)
    assert (again.status_code, again.json()) == INVALID


@pytest.mark.parametrize("provider", ["discord"], indirect=True)
def test_a_code_expires(lonely: Open, provider: Provider) -> None:
    """A code is refused after ten minutes; the next message brings a new one, which is accepted."""
    stage = lonely(provider)
    chat = provider.chat(stage.add(), "alice_late")
    code = chat.ask_for_code()
    assert stage.daemon.stop() == 0
    with ledger(stage.daemon) as connection:
        connection.execute("UPDATE pairing_code SET expires_at = expires_at - 600 * 1000000000")
    stage.daemon.start().ready()
    stage.connected()
    answer = stage.pair(code)
    assert (answer.status_code, answer.json()) == INVALID
    assert stage.pair(chat.ask_for_code("once more")).status_code == 200
    chat.hears("hello", "once more")


@pytest.mark.slow
def test_a_code_survives_deaths(lonely: Open, provider: Provider) -> None:
    """The code and the messages before it survive a kill of the worker and of the daemon."""
    stage = lonely(provider)
    chat = provider.chat(stage.add(), "alice_alive")
    code = chat.ask_for_code("kept words")
    victim = worker(stage.daemon, stage.id)
    victim.send_signal(signal.SIGKILL)
    wait_for(lambda: stage.view()["pid"] not in (None, victim.pid), "the next worker")
    stage.daemon.kill()
    stage.daemon.start().ready()
    assert stage.pair(code).status_code == 200
    chat.hears(CONNECTED, "kept words")
    assert chat.count("kept words") == 1


def test_each_account_has_a_code_of_its_own(stage: Stage) -> None:
    """Two people write to the same bot: the claimed code decides for one; the other's code and messages are dropped."""
    token = stage.add()
    alice, bob = stage.provider.chat(token, "alice_two"), stage.provider.chat(token, "bob_two")
    hers, his = alice.ask_for_code("words of alice"), bob.ask_for_code("words of bob")
    assert hers != his
    assert stage.pair(his).json()["channel"]["name"] == "bob_two"
    bob.hears("words of bob")
    assert stage.pair(hers).status_code == 400
    assert alice.count("words of alice") == 0
    assert not any("words of alice" in text for text in stage.brain.heard)


def test_the_bot_of_a_deleted_persona(stage: Stage, shared_daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """With another persona it shows a code at once, even to an account that has just got one from the first."""

    token = stage.add()
    chat = stage.provider.chat(token, "alice_again")
    chat.ask_for_code()
    assert stage.post("delete").status_code == 200
    with Stage(shared_daemon, brain, stage.provider) as heir:
        body = {"kind": stage.provider.kind, "credentials": {"token": token}}
        assert heir.post("channels", body).status_code == 200
        heir.connected()
        assert heir.pair(chat.ask_for_code("are you new?")).status_code == 200
        chat.hears("are you new?")


def test_two_channels_of_one_kind(stage: Stage) -> None:
    """Two bots of one provider on one persona are paired one after the other, and answer each in its own chat."""
    first, second = stage.provider.chat(stage.add(), "alice_first"), stage.provider.chat(stage.add(), "bob_second")
    for chat in (first, second):
        assert stage.pair(chat.ask_for_code()).json()["channel"]["name"] == chat.handle
    first.write("to the first")
    second.write("to the second")
    first.hears("to the first")
    second.hears("to the second")
    assert (first.count("to the second"), second.count("to the first")) == (0, 0)
    assert [channel["verified"] for channel in stage.view()["channels"]] == [True, True]


def test_strangers(stage: Stage) -> None:
    """After pairing, strangers' messages are only counted and do not reach her mind; the owner is still answered."""
    chat = stage.paired()
    stranger = stage.provider.chat(stage.token, "mallory")
    stranger.write("let me in, stranger here")
    stranger.write("/stop")
    wait_for(lambda: stage.channel()["strangers"] == 2, "the strangers' count")
    chat.write("still me")
    chat.hears("still me")
    assert stranger.texts() == []
    assert stage.brain.times("stranger here") == 0
    assert not any("stranger here" in line["content"] for line in stage.lines())
    assert stage.view()["running"] is True


@pytest.mark.parametrize("provider", ["telegram"], indirect=True)
def test_telegram_and_discord_together(stage: Stage, telegram: Telegram, discord: Discord) -> None:
    """One persona on both providers at once: each person is answered where they wrote."""
    one = stage.paired(telegram)
    other = stage.paired(discord)
    one.write("over telegram")
    other.write("over discord")
    one.hears("over telegram")
    other.hears("over discord")
    assert (one.count("over discord"), other.count("over telegram")) == (0, 0)
