"""Many people at once: each has their own conversation, and no message is lost or answered twice."""

from __future__ import annotations

import signal

from tests.daemon.channels.open.counter import Counter
from tests.daemon_process import wait_for
from tests.emulators.server import Step
from tests.listener import Listener
from tests.observed import no_stray_was_killed, worker
from tests.providers import TelegramChat

PEOPLE = 50
FILTERED = Step(status=400, code="content_filter", message="The response was filtered")


def test_fifty_people_and_a_death(counter: Counter) -> None:
    """Fifty people write and her process is killed meanwhile: all are answered once, from their own history only."""
    counter.open(welcomeMessage="Welcome!")
    people = counter.visitors(PEOPLE)
    counter.brain.answer = lambda text: Step(text=f"<{text.split()[-1]}>", pause=0.02)
    for number, person in enumerate(people):
        person.write(f"first apple{number}")
    wait_for(lambda: sum(person.count("<") for person in people) >= PEOPLE // 4, "the first answers")
    worker(counter.daemon, counter.id).send_signal(signal.SIGKILL)
    for number, person in enumerate(people):
        person.write(f"second pear{number}")
    wait_for(lambda: all(person.count(f"<pear{n}>") for n, person in enumerate(people)), "all answers")
    for number, person in enumerate(people):
        assert_answered_once(person, number)
    wait_for(lambda: counter.view()["inbox"] == 0, "an empty inbox")
    conversations = counter.conversations()
    assert len(conversations) == PEOPLE == counter.shown()["conversationCount"]
    committed = [counter.said(one["id"]) for one in conversations]
    assert all(next(words for role, words in lines if role == "user").startswith("first") for lines in committed)
    assert all(sum(role == "user" for role, _ in lines) == 2 for lines in committed)
    assert counter.shown()["messageCount"] == sum(map(len, committed))
    assert counter.lines() == []
    assert counter.view()["poison"] == 0
    no_stray_was_killed(counter.daemon)


def assert_answered_once(person: TelegramChat, number: int) -> None:
    """The chat has one welcome, then one answer to the last message, and nothing of another chat.

    A message that was being sent when the process died may come twice; then it is marked.
    """
    texts = person.texts()
    assert texts[0] == "Welcome!"
    plain = [text for text in texts if "(perhaps repeated)" not in text]
    assert plain.count("Welcome!") <= 1
    assert sum(f"<pear{number}>" in text for text in plain) == 1
    assert sum(f"<apple{number}>" in text for text in plain) <= 1
    words = ("Welcome!", f"<apple{number}>", f"<pear{number}>")
    assert all(any(word in text for word in words) for text in texts)


def test_her_owner_does_not_wait(counter: Counter) -> None:
    """While four visitors' answers are held, no fifth turn starts, and her owner is answered before any of them."""
    counter.open()
    people = counter.visitors(8)
    counter.brain.hold("slowly")
    heard = len(counter.brain.heard)
    for person in people:
        person.write("slowly please")
    wait_for(lambda: len(counter.brain.heard) - heard == 4, "four beats in hand")
    with Listener(counter.daemon, counter.id) as listener:
        assert counter.daemon.read(counter.id, "mine").json() == {"status": "received"}
        listener.hears("mine")
    assert len(counter.brain.heard) - heard == 5
    counter.brain.let_go("slowly")
    for person in people:
        person.hears("slowly please")
    assert [line["content"] for line in counter.lines()] == ["mine", "mine"]


def test_the_message_that_kills_her_is_found(counter: Counter) -> None:
    """A message that kills her process is set aside; the others that were in hand are answered once."""
    counter.open()
    innocents, culprit = counter.visitors(5), counter.visitor("culprit")

    def strike(text: str) -> None:
        if "poison" in text:
            worker(counter.daemon, counter.id).send_signal(signal.SIGKILL)

    counter.brain.strike = strike
    try:
        culprit.write("poison")
        for number, person in enumerate(innocents):
            person.write(f"innocent{number}")
        for number, person in enumerate(innocents):
            person.hears(f"innocent{number}")
        wait_for(lambda: counter.view()["poison"] == 1, "the poison to be set aside")
        culprit.hears("I could not answer your message")
        culprit.write("harmless")
        culprit.hears("harmless")
    finally:
        counter.brain.strike = None
    assert culprit.count("poison") == 0
    assert [counter.view()["poison"], counter.view()["inbox"]] == [1, 0]


def test_a_refused_message_holds_up_no_other_visitor(counter: Counter) -> None:
    """The mind refuses one stranger's message: only that stranger is told, and everybody else is answered at once."""
    counter.open(fallbackMessage="FALLBACK")
    counter.brain.answer = lambda text: FILTERED if "BADWORD" in text else None
    try:
        culprit, *others = counter.visitors(5)
        culprit.write("BADWORD question")
        culprit.hears("I cannot answer")
        for person in others:
            person.write("normal")
            person.hears("normal")
            assert person.texts() == ["normal"]
        culprit.write("harmless")
        culprit.hears("harmless")
    finally:
        counter.brain.answer = lambda _: None
    assert culprit.count("FALLBACK") == 0
    assert "filtered" not in " ".join(culprit.texts())
    assert counter.view()["mind"] == "ok"
    (aside,) = counter.view()["set_aside"]
    assert aside["content"] == "BADWORD question"
    assert counter.daemon.http.post(f"/api/persona/{counter.id}/retry").json()["messages"] == [aside["id"]]
    culprit.hears("BADWORD question")


def test_an_outage_is_probed_by_different_conversations(counter: Counter) -> None:
    """Whose message the mind fails with is not the only one that is tried while the mind counts as down."""
    counter.open(fallbackMessage="FALLBACK")
    counter.brain.answer = lambda text: None if "normal" in text else Step(status=503)
    try:
        unlucky, other = counter.visitors(2)
        unlucky.write("special")
        unlucky.hears("FALLBACK")
        other.write("normal")
        other.hears("normal")
    finally:
        counter.brain.answer = lambda _: None
    unlucky.hears("special")
