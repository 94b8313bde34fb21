"""/start, /hello, /hush, /restart and /stop, given by the paired account inside the chat."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.daemon.channels.stage import Stage
from tests.daemon_process import wait_for
from tests.emulators.server import Step
from tests.observed import status
from tests.providers import Provider, TelegramChat

Open = Callable[[Provider], Stage]

RESTARTING = "I am restarting now."
BACK = "I am back."


def test_hello(stage: Stage) -> None:
    """She says her name, and her mind is not asked."""
    chat = stage.paired()
    chat.write("/hello")
    chat.hears(f"Hello! I am {stage.name}")
    assert stage.brain.times("/hello") == 0


def test_hush(stage: Stage) -> None:
    """She goes on to what waits without an answer to what was hushed; with nothing in hand she says so."""
    chat = stage.paired()
    story = f"story of {stage.name}"
    stage.brain.hold(story)
    chat.write(f"tell me the {story}")
    wait_for(lambda: stage.brain.times(story) == 1, "her mind to be asked")
    chat.write("/hush")
    wait_for(lambda: stage.view()["inbox"] == 0, "the end of her turn")
    stage.brain.let_go(story)
    # What was hushed is part of the conversation, and so of the next question.
    stage.brain.script(Step(text="Good day!"))
    chat.write("good morning")
    chat.hears("Good day!")
    chat.write("/hush")
    chat.hears("I am not answering anything right now.")
    assert (chat.count(story), stage.brain.times("hush")) == (0, 0)


def test_restart_from_inside(stage: Stage) -> None:
    """Another process serves her afterwards; each message comes once, and later ones are answered."""
    chat = stage.paired()
    before = stage.view()
    chat.write("/restart")
    chat.write("after the restart")
    chat.hears(RESTARTING, BACK, "after the restart")
    after = stage.view()
    assert after["generation"] == before["generation"] + 1
    assert after["pid"] != before["pid"]
    stage.post("restart")
    chat.write("last words")
    chat.hears("last words")
    assert [chat.count(words) for words in (RESTARTING, BACK, "after the restart", "last words")] == [1, 1, 1, 1]
    assert stage.view()["generation"] == before["generation"] + 2
    assert stage.provider.peak(stage.token) == 1


@pytest.mark.parametrize("provider", ["telegram"], indirect=True)
@pytest.mark.slow
def test_a_redelivered_restart_is_obeyed_once(lonely: Open, provider: Provider) -> None:
    """The daemon dies and Telegram delivers everything again: /restart does not restart her twice."""
    stage = lonely(provider)
    chat = stage.paired()
    assert isinstance(chat, TelegramChat)
    chat.write("/restart")
    chat.hears(RESTARTING, BACK)
    # A message that the ledger has not marked as delivered may come twice, by promise. This is about the command.
    wait_for(lambda: stage.channel()["pending"] == 0, "her words to be delivered")
    stage.daemon.kill()
    chat.redeliver()
    stage.daemon.start().ready()
    chat.write("and now?")
    chat.hears("and now?")
    assert (chat.count(RESTARTING), chat.count(BACK), chat.count("first words")) == (1, 1, 1)
    assert stage.view()["generation"] == 1


def test_stop(stage: Stage) -> None:
    """She says goodbye and stops; her next start answers what was written meanwhile."""
    chat = stage.paired()
    chat.write("/stop")
    chat.hears("I am stopping now")
    wait_for(lambda: stage.view()["state"] == "stopped", "her end")
    chat.write("while you sleep")
    assert stage.post("start").json() == {"status": "started"}
    chat.hears("while you sleep")
    assert [chat.count(words) for words in ("I am stopping now", "while you sleep")] == [1, 1]
    assert status(stage.daemon, stage.id)["running"] is True


@pytest.mark.parametrize("provider", ["telegram"], indirect=True)
def test_start_by_a_deep_link(stage: Stage) -> None:
    """``/start`` with a payload gets a code from an unverified bot, and a hello from a paired one."""
    token = stage.add()
    chat = stage.provider.chat(token, "alice_link")
    assert isinstance(chat, TelegramChat)
    chat.start("from-the-website")
    wait_for(lambda: chat.codes, "a code")
    assert stage.pair(chat.codes[0]).status_code == 200
    chat.write("/start")
    chat.hears(f"Hello! I am {stage.name}")
    assert stage.brain.times("from-the-website") == 0
