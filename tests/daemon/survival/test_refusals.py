"""A message that her mind refuses, or that her process dies of, holds up nobody and is not silent."""

from __future__ import annotations

import signal

from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.listener import Listener
from tests.observed import lines, status, worker

FILTERED = Step(status=400, code="content_filter", message="The response was filtered")
NOTICE = "I cannot answer"


def test_a_refused_message_holds_up_nothing(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """Its sender is told once, also after a restart; the next message is answered; her mind is not down."""
    persona_id = create(daemon, brain)
    brain.answer = lambda text: FILTERED if "BADWORD" in text else None
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "this has BADWORD in it")
        listener.hears('I cannot answer "this has BADWORD in it"', "personad retry")
        daemon.read(persona_id, "are you there?")
        listener.hears("are you there?")
        assert daemon.http.post(f"/api/persona/{persona_id}/restart").status_code == 200
        daemon.read(persona_id, "hello again, harmless")
        listener.hears("hello again, harmless")
        assert listener.count(NOTICE) == 1
    assert brain.times("BADWORD") == 1
    assert not any("BADWORD" in str(entry.body["messages"]) for entry in brain.journal[-2:])
    view = status(daemon, persona_id)
    assert (view["mind"], view["inbox"], view["poison"]) == ("ok", 0, 1)


def test_what_is_set_aside_is_shown_and_taken_up(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """The status and the conversation show which message and why; a retry answers it, a drop closes it."""
    persona_id = create(daemon, brain)
    brain.answer = lambda text: FILTERED if "BADWORD" in text else None
    with Listener(daemon, persona_id) as listener:
        for number in range(1, 4):
            daemon.read(persona_id, f"BADWORD {number}")
            wait_for(lambda number=number: listener.count(NOTICE) == number, "the notice")  # type: ignore[misc]
        shown = status(daemon, persona_id)["set_aside"]
        assert [one["content"] for one in shown] == ["BADWORD 1", "BADWORD 2", "BADWORD 3"]
        assert "filtered" in shown[0]["reason"]
        messages = daemon.http.get(f"/api/persona/{persona_id}/conversation").json()["messages"]
        aside = {one["content"]: one["set_aside"]["id"] for one in messages if "set_aside" in one}
        assert aside == {one["content"]: one["id"] for one in shown}
        first, second, third = (one["id"] for one in shown)
        retry = f"/api/persona/{persona_id}/retry"
        dropped = daemon.http.post(retry, json={"message": second, "drop": True})
        assert dropped.json() == {"status": "dropped", "messages": [second]}
        brain.answer = lambda _: None
        assert daemon.http.post(retry, json={"message": first}).json() == {"status": "retried", "messages": [first]}
        wait_for(lambda: "BADWORD 1" in listener.words, "the answer")
        assert daemon.http.post(retry).json() == {"status": "retried", "messages": [third]}
        wait_for(lambda: "BADWORD 3" in listener.words, "the answer")
        gone = daemon.http.post(retry, json={"message": first})
        assert (gone.status_code, "set aside" in gone.json()["detail"]) == (404, True)
        assert daemon.http.post(retry).json() == {"status": "retried", "messages": []}
        assert daemon.http.post(retry, json={"message": "1"}).status_code == 422
        assert daemon.http.post("/api/persona/none/retry").status_code == 404
        assert "BADWORD 2" not in listener.words
    view = status(daemon, persona_id)
    assert (view["inbox"], view["poison"], view["set_aside"]) == (0, 0, [])
    assert ("person", "BADWORD 2") in lines(daemon, persona_id)


def test_the_sender_of_what_kills_her_is_told(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """After the third death the person is told once, and a retry gives the message three more tries."""
    persona_id = create(daemon, brain)

    def strike(text: str) -> None:
        if "deadly" in text:
            worker(daemon, persona_id).send_signal(signal.SIGKILL)

    brain.strike = strike
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, "deadly")
        listener.hears("I could not answer your message")
        (aside,) = status(daemon, persona_id)["set_aside"]
        assert (aside["content"], "process ended" in aside["reason"]) == ("deadly", True)
        brain.strike = None
        daemon.http.post(f"/api/persona/{persona_id}/retry", json={"message": aside["id"]})
        listener.hears("deadly")
        assert listener.count("I could not answer") == 1
