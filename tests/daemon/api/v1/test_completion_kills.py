"""Kills in the middle of a completion: the message is answered once, and who asks again gets that answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.daemon.api.v1.asking import Asked, error
from tests.daemon.api.v1.reception import Reception
from tests.daemon_process import wait_for
from tests.emulators.scripted import ScriptedMind
from tests.observed import worker
from tests.patience import PATIENCE


@pytest.fixture
def cleo(lonely: Reception) -> Iterator[Asked[ScriptedMind]]:
    """A persona at a daemon that may be killed."""
    with ScriptedMind() as mind, Asked(lonely.daemon, mind, "Cleo") as asked:
        yield asked


def test_her_process_is_killed(cleo: Asked[ScriptedMind]) -> None:
    """The next one answers the request that still waits. One that is not kept ends with an error."""
    kept, unkept = cleo.word(), cleo.word()
    cleo.mind.hold(kept)
    cleo.mind.hold(unkept)
    answers: dict[str, httpx.Response] = {}

    def ask(word: str, store: bool) -> None:
        answers[word] = cleo.post(word, store=store)

    threads = [threading.Thread(target=ask, args=one) for one in ((kept, True), (unkept, False))]
    for thread in threads:
        thread.start()
    wait_for(lambda: cleo.mind.times(kept) and cleo.mind.times(unkept), "her mind to be asked twice")
    worker(cleo.daemon, cleo.persona).kill()
    cleo.mind.let_go(kept)
    cleo.mind.let_go(unkept)
    for thread in threads:
        thread.join(PATIENCE)
    assert answers[kept].json()["choices"][0]["message"]["content"] == kept
    assert "send it again" in error(answers[unkept], 503, "interrupted")
    assert len(cleo.lines(kept)) == 2
    assert cleo.lines(unkept) == []


def test_the_daemon_is_killed(cleo: Asked[ScriptedMind]) -> None:
    """The message was committed with all that came with it: the next daemon answers, and the same request gets that."""
    word, rule = cleo.word(), cleo.word()
    cleo.mind.hold(word)
    request = ({"role": "system", "content": rule}, word)

    def lost() -> None:
        with pytest.raises(httpx.TransportError):
            cleo.post(*request)

    thread = threading.Thread(target=lost)
    thread.start()
    wait_for(lambda: cleo.mind.times(word), "her mind to be asked")
    cleo.daemon.kill()
    thread.join(PATIENCE)
    cleo.mind.let_go(word)
    cleo.daemon.start().ready()
    wait_for(lambda: len(cleo.lines(word)) == 2, "her answer")
    calls = cleo.mind.times(word)
    assert rule in cleo.prompt()[0]["content"]
    assert cleo.say(*request) == word
    assert cleo.mind.times(word) == calls
    assert len(cleo.lines(word)) == 2
