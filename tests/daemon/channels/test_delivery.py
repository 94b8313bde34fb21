"""Her messages are delivered in order, whatever the provider does; dead letters are reported."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.channels.stage import Stage, ledger
from tests.daemon_process import wait_for
from tests.emulators.server import Step
from tests.listener import Listener
from tests.observed import logged
from tests.providers import SEND, Discord, Provider, Telegram
from tests.saboteur import at_start

MARK = "(perhaps repeated)"

Open = Callable[[Provider], Stage]


def test_a_long_answer_comes_in_order(stage: Stage) -> None:
    """An answer of several messages arrives whole, in order, each part within the provider's limit."""
    chat = stage.paired()
    long = "\n\n".join(f"paragraph {number} {'word ' * 60}".strip() for number in range(30))
    stage.brain.answer = lambda text: Step(text=long) if "tell me all" in text else None
    try:
        chat.write("tell me all")
        chat.hears("paragraph 29")
    finally:
        stage.brain.answer = lambda _: None
    parts = [text for text in chat.texts() if "paragraph" in text]
    assert len(parts) > 2
    assert max(map(len, parts)) <= (4096 if stage.provider.kind == "telegram" else 2000)
    told = [number for number in range(30) for part in parts if f"paragraph {number} " in part]
    assert told == list(range(30))
    assert "".join("".join(parts).split()) == "".join(long.split())


def test_answers_go_where_the_words_came_from(stage: Stage) -> None:
    """The chat and the web are used at once; neither gets the other's answers."""
    chat = stage.paired()
    with Listener(stage.daemon, stage.id) as web:
        for number in range(5):
            chat.write(f"chat{number}.")
            stage.daemon.read(stage.id, f"web{number}.")
        chat.hears(*(f"chat{number}." for number in range(5)))
        web.hears(*(f"web{number}." for number in range(5)))
        assert not any("web" in text for text in chat.texts())
        assert not any("chat" in words for words in web.words)


def test_a_provider_that_asks_to_wait(stage: Stage) -> None:
    """After a 429 the answer comes after the requested time, and no try is made before."""
    chat = stage.paired()
    stage.provider.fail_sends(429, times=1, retry_after=2)
    begun = time.time()
    chat.write("patience")
    chat.hears("patience")
    assert time.time() - begun >= 2.0
    assert len(sends_since(stage, begun)) == 2
    assert chat.count("patience") == 1
    assert stage.dead_letters() == []


def test_faults_of_the_provider_pass(stage: Stage) -> None:
    """After two answers of 503 the message arrives, and so do the later ones, in order."""
    chat = stage.paired()
    stage.provider.fail_sends(503, times=2)
    chat.write("first of two")
    wait_for(lambda: stage.brain.times("first of two"), "her mind")
    chat.write("second of two")
    chat.hears("first of two", "second of two")
    order = [word for text in chat.texts() for word in ("first of two", "second of two") if word in text]
    assert list(dict.fromkeys(order)) == ["first of two", "second of two"]
    assert stage.dead_letters() == []


def test_a_provider_that_is_away_for_a_while(stage: Stage) -> None:
    """After an outage, what people wrote and what she said meanwhile arrives in order by itself."""
    chat = stage.paired()
    stage.brain.hold("before")
    chat.write("before the outage")
    wait_for(lambda: stage.brain.times("before the outage") == 1, "her mind")
    stage.provider.down()
    try:
        stage.brain.let_go("before")
        wait_for(lambda: stage.channel()["state"] == "degraded", "the outage to be seen")
        health = stage.channel()
        assert health["error"]
        assert "by itself" in health["hint"]
        assert stage.daemon.read(stage.id, "web meanwhile").status_code in (200, 400)
    finally:
        stage.provider.up()
    stage.connected()
    chat.write("after the outage")
    chat.hears("before the outage", "after the outage")
    order = [word for text in chat.texts() for word in ("before the", "after the") if word in text]
    assert list(dict.fromkeys(order)) == ["before the", "after the"]
    assert stage.dead_letters() == []
    assert stage.channel()["error"] == ""


def test_a_send_whose_answer_is_lost(stage: Stage) -> None:
    """It may have arrived: Telegram gets it again, marked; Discord recognises it by its nonce."""
    chat = stage.paired()
    stage.provider.lose_answer()
    chat.write("did you get this")
    wait_for(lambda: stage.channel()["pending"] == 0 and chat.count("did you get this"), "the delivery")
    chat.write("and then")
    chat.hears("and then")
    copies = [text for text in chat.texts() if "did you get this" in text]
    if stage.provider.kind == "telegram":
        assert [text.startswith(MARK) for text in copies] == [False, True]
    else:
        assert len(copies) == 1
    assert not any(text.startswith(MARK) for text in chat.texts() if "and then" in text)


def test_a_person_who_blocks_the_bot(stage: Stage) -> None:
    """After a 403 her message is a reported dead letter; the channel stays well, and a new message lifts the block."""
    chat = stage.paired()
    stage.brain.hold("blocked")
    chat.write("blocked words")
    wait_for(lambda: stage.brain.times("blocked words") == 1, "her mind")
    chat.block()
    with Listener(stage.daemon, stage.id) as web:
        stage.brain.let_go("blocked")
        (letter,) = wait_for(stage.dead_letters, "a dead letter")
        wait_for(lambda: "Message not delivered" in web.titles, "the event")
    assert "blocked words" in letter["content"]
    assert letter["reason"]
    health = stage.channel()
    assert (health["state"], health["dead"], health["pending"]) == ("connected", 1, 0)
    assert [event["persona"] for event in logged(stage.daemon, "delivery.dead_letter", stage.id)][-1] == stage.id
    chat.unblock()
    chat.write("friends again")
    chat.hears("friends again")
    assert len(stage.dead_letters()) == 1
    assert chat.count("blocked words") == 0


@pytest.mark.parametrize("provider", ["discord"], indirect=True)
def test_an_outage_of_hours(lonely: Open, provider: Provider, tmp_path: Path) -> None:
    """However often a message was tried in vain, it is no dead letter, and leaves as soon as the provider is back.

    Its own next try would be five minutes away: after so many tries the daemon waits longest.
    """
    stage = lonely(provider)
    chat = stage.paired()
    stage.brain.hold("patient")
    chat.write("patient words")
    wait_for(lambda: stage.brain.times("patient words") == 1, "her mind")
    provider.down()
    try:
        stage.brain.let_go("patient")
        wait_for(lambda: stage.channel()["pending"] == 1, "a message that waits")
        assert stage.daemon.stop() == 0
        with ledger(stage.daemon) as connection:
            connection.execute("UPDATE outbox SET attempts = 39, not_before = 0 WHERE state <> 'sent'")
        stage.daemon.settings["PYTHONPATH"] = at_start(tmp_path / "hook", LONGEST_PAUSES)
        stage.daemon.start().ready()
        wait_for(lambda: tries(stage) == 40, "a try in vain")
        assert stage.dead_letters() == []
    finally:
        provider.up()
    wait_for(lambda: stage.channel()["state"] == "connected", "the provider")
    chat.hears("patient words")


@pytest.mark.parametrize("provider", ["telegram"], indirect=True)
@pytest.mark.slow
def test_a_flood_is_kept_within_the_pace(stage: Stage, telegram: Telegram) -> None:
    """A dozen answers in a row keep to Telegram's rate limit: all arrive and none is refused."""
    chat = stage.paired()
    telegram.emulator.flood()
    try:
        for number in range(10):
            chat.write(f"burst{number}.")
            wait_for(lambda n=number: stage.brain.times(f"burst{n}."), "her mind")  # type: ignore[misc]
        chat.hears(*(f"burst{number}." for number in range(10)))
    finally:
        telegram.emulator.flood(on=False)
    statuses = {call.status for call in telegram.emulator.calls("sendMessage", stage.token)}
    assert statuses == {200}


LONGEST_PAUSES = """\
import random, sys

if sys.orig_argv[-2:] == ["daemon", "serve"]:
    random.uniform = lambda low, high: high
"""


def sends_since(stage: Stage, begun: float) -> list[float]:
    """The times of the bot's tries to send after a moment."""
    provider: Provider = stage.provider
    if isinstance(provider, Telegram):
        return [call.at for call in provider.emulator.calls("sendMessage", stage.token) if call.at >= begun]
    assert isinstance(provider, Discord)
    sends = provider.emulator.requests(SEND)
    return [entry.at for entry in sends if entry.at >= begun and stage.token in entry.headers["authorization"]]


def tries(stage: Stage) -> int:
    """How often the waiting message was tried."""
    with ledger(stage.daemon) as connection:
        found: tuple[int] = connection.execute("SELECT max(attempts) FROM outbox WHERE state <> 'sent'").fetchone()
    return found[0]
