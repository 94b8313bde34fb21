"""Open channels: what visitors get, what is kept from them, and how a failing channel is shown."""

from __future__ import annotations

from tests.daemon.channels.open.counter import Counter
from tests.daemon_process import wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.listener import Listener

PHOTO = b"\xff\xd8\xff\xe0" + b"photo" * 20


def test_nobody_learns_what_she_knows(counter: Counter) -> None:
    """A visitor's question goes to her mind without her memory and with that conversation's history only."""
    memory = counter.daemon.state_dir / "personas" / counter.id / "memory" / "person.md"
    memory.write_text("The person's safe opens with 4711.\n")
    counter.open()
    with Listener(counter.daemon, counter.id) as listener:
        wait_for(lambda: _asked(counter, listener, "4711"), "her memory to be read")
    ann, bob = counter.visitors(2)
    ann.write("I am Ann and my dog is Rex")
    ann.hears("Rex")
    bob.write("what is in the safe?")
    bob.hears("safe")
    ann.write("and again")
    ann.hears("and again")
    safe, again = (str(entry.body) for entry in counter.brain.journal[-2:])
    assert "4711" not in safe
    assert "Rex" not in safe
    assert "4711" not in again
    assert "Rex" in again


def _asked(counter: Counter, listener: Listener, secret: str) -> bool:
    """Whether the secret goes to her mind with the owner's question."""
    before = len(listener.words)
    counter.daemon.read(counter.id, "hello")
    wait_for(lambda: len(listener.words) > before, "her answer")
    return secret in str(counter.brain.journal[-1].body)


def test_the_first_words_are_welcomed(counter: Counter) -> None:
    """/start alone gets the welcome and asks no mind; a command that only her owner may give is an ordinary message."""
    counter.open(welcomeMessage="Good day!")
    person = counter.visitor("newcomer")
    asked = len(counter.brain.heard)
    person.start("")
    person.hears("Good day!")
    person.write("/stop")
    person.hears("/stop")
    assert len(counter.brain.heard) - asked == 1
    assert counter.view()["running"] is True
    (conversation,) = counter.conversations()
    said = counter.said(conversation["id"])
    assert said[:3] == [("user", "/start"), ("assistant", "Good day!"), ("user", "/stop")]
    assert [role for role, _ in said[3:]] == ["assistant"]
    shown = counter.shown()
    assert (shown["conversationCount"], shown["messageCount"]) == (1, 4)
    assert shown["lastMessageAt"] is not None


def test_a_paused_channel_keeps_what_comes(counter: Counter) -> None:
    """While a channel is paused nothing is answered and nothing lost, even by a restart; resume answers all of it."""
    counter.open()
    person = counter.visitor("patient")
    assert counter.post("pause")["status"] == "paused"
    asked = len(counter.brain.heard)
    person.write("one")
    wait_for(lambda: counter.shown()["messageCount"] == 1, "the words to be kept")
    counter.daemon.http.post(f"/api/persona/{counter.id}/restart")
    counter.connected()
    person.write("two")
    wait_for(lambda: counter.shown()["messageCount"] == 2, "the words to be kept")
    assert counter.health()["paused"] is True
    assert len(counter.brain.heard) == asked
    assert counter.post("resume")["status"] == "active"
    person.hears("one", "two")
    assert counter.view()["inbox"] == 0


def test_files_of_everybody_are_fetched(counter: Counter) -> None:
    """A visitor's photo is stored in her media folder, like her owner's."""
    counter.open()
    person = counter.visitor("photographer")
    person.send("photo", PHOTO, caption="look")
    person.hears("look")
    media = counter.daemon.state_dir / "personas" / counter.id / "media"
    assert [file.read_bytes() for file in media.glob("visitor-telegram-*")] == [PHOTO]


def test_trouble_shows_and_passes(counter: Counter) -> None:
    """Only the person who blocks the bot is marked; a refused token is the channel's error until it is resumed."""
    counter.open()
    friend, foe = counter.visitors(2)
    for person in (friend, foe):
        person.write("hello")
        person.hears("hello")
    counter.brain.hold("tricky")
    foe.write("tricky")
    wait_for(lambda: counter.brain.times("tricky"), "the question")
    foe.block()
    counter.brain.let_go("tricky")
    marked = wait_for(
        lambda: [one for one in counter.conversations() if one["lastError"]], "the conversation to be marked"
    )
    assert [one["name"] for one in marked] == [foe.handle]
    assert "blocked" in marked[0]["lastError"]
    shown = counter.shown()
    assert (shown["status"], shown["lastError"]) == ("active", None)
    counter.telegram.revoke(counter.token)
    wait_for(lambda: counter.shown()["status"] == "error", "the error")
    assert "@BotFather" in counter.shown()["lastError"]
    assert counter.token not in counter.shown()["lastError"]
    counter.telegram.restore(counter.token)
    friend.write("are you back?")
    counter.post("resume")
    friend.hears("are you back?")
    assert (counter.shown()["status"], counter.shown()["lastError"]) == ("active", None)


def test_a_channel_of_a_stopped_persona_is_not_active(counter: Counter) -> None:
    """While she is stopped her channel says so; once she is started, what was written meanwhile is answered."""
    counter.open()
    person = counter.visitor("early")
    counter.daemon.http.post(f"/api/persona/{counter.id}/stop")
    assert counter.shown()["status"] == "error"
    assert "start her" in counter.shown()["lastError"]
    person.write("anybody in?")
    counter.daemon.http.post(f"/api/persona/{counter.id}/start")
    person.hears("anybody in?")
    assert (counter.shown()["status"], counter.shown()["lastError"]) == ("active", None)


def test_a_removed_channel_leaves_nothing_waiting(counter: Counter) -> None:
    """What waits on a removed channel is dropped; her owner notices nothing."""
    counter.open()
    person = counter.visitor("late")
    counter.brain.hold("forever")
    person.write("forever")
    wait_for(lambda: counter.view()["inbox"] == 1, "the words to wait")
    answer = counter.daemon.http.delete(f"/v1/channels/{counter.channel}")
    assert answer.status_code == 204
    counter.brain.let_go("forever")
    assert counter.view()["channels"] == []
    assert counter.view()["inbox"] == 0
    with Listener(counter.daemon, counter.id) as listener:
        counter.daemon.read(counter.id, "still here?")
        listener.hears("still here?")
    assert [line["content"] for line in counter.lines()] == ["still here?"] * 2
    assert counter.brain.times("forever") == 1


def test_who_writes_too_much_is_told_once(strict_counter: Counter) -> None:
    """Three messages a minute are kept for each sender; the others are counted, and the sender is notified once."""
    strict_counter.open()
    flood, calm = strict_counter.visitors(2)
    for number in range(8):
        flood.write(f"word{number}")
    wait_for(lambda: strict_counter.health()["limited"] >= 2, "the limit")
    flood.hears("wait")
    calm.write("quiet")
    calm.hears("quiet")
    wait_for(lambda: strict_counter.view()["inbox"] == 0, "the answers")
    health = strict_counter.health()
    assert health["limited"] + health["received"] == 9
    assert flood.count("please wait") == 1 + (health["received"] > 4)


def test_a_late_answer_is_announced_once(strict_counter: Counter) -> None:
    """The fallback is sent once after ``fallback_after``; the answer follows. The next outage is announced again."""
    strict_counter.open(fallbackMessage="One moment.")
    person = strict_counter.visitor("waiting")
    for word in ("melon", "cherry"):
        strict_counter.brain.hold(word)
        before = person.count("One moment.")
        person.write(word)
        wait_for(lambda before=before: person.count("One moment.") == before + 1, "the fallback")  # type: ignore[misc]
        strict_counter.brain.let_go(word)
        person.hears(word)
    assert person.texts() == ["One moment.", "melon", "One moment.", "cherry"]


def test_a_mind_that_is_away_is_announced_at_once(counter: Counter) -> None:
    """Everyone who waits for an unreachable mind gets the channel's fallback, and an answer later."""
    counter.open(fallbackMessage="Away.")
    people = counter.visitors(2)
    counter.brain.answer = lambda _: Step(status=503)
    for person in people:
        person.write("anybody there?")
        person.hears("Away.")
    assert counter.view()["mind"] == "down"
    shown = counter.shown()
    assert (shown["status"], shown["lastErrorAt"] is not None) == ("active", True)
    assert shown["lastError"].startswith("The mind cannot be reached; messages wait")
    assert "503" in shown["lastError"]
    assert (counter.health()["state"], "503" in counter.health()["hint"]) == ("connected", True)
    counter.brain.answer = lambda _: None
    for person in people:
        person.hears("anybody there?")
        assert person.texts() == ["Away.", "anybody there?"]
    assert counter.view()["mind"] == "ok"
    assert (counter.shown()["lastError"], counter.shown()["lastErrorAt"]) == (None, None)


def test_another_mind_answers(strict_counter: Counter, clerk: ScriptedMind) -> None:
    """The channel's model answers its visitors, her own mind her owner."""
    strict_counter.open(modelId="clerk")
    person = strict_counter.visitor("customer")
    person.write("for the clerk")
    person.hears("for the clerk")
    assert clerk.times("for the clerk") == 1
    assert strict_counter.brain.times("for the clerk") == 0
    with Listener(strict_counter.daemon, strict_counter.id) as listener:
        strict_counter.daemon.read(strict_counter.id, "for her")
        listener.hears("for her")
    assert clerk.times("for her") == 0
