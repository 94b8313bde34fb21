"""The scripted mind keeps back what it is told to keep back."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.daemon_process import wait_for
from tests.emulators.scripted import ScriptedMind
from tests.patience import PATIENCE


def ask(mind: ScriptedMind, message: str) -> int:
    """Send a message and return the status of the answer."""
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": message}]}
    return httpx.post(f"{mind.url}/v1/chat/completions", json=body, timeout=PATIENCE, trust_env=False).status_code


@pytest.mark.parametrize("held", ["# The talk", "apple", "really?"])
def test_what_is_held_is_answered_when_it_is_let_go(held: str) -> None:
    """It may begin and end with any character, and is no part of a longer word."""
    mind = ScriptedMind()
    with mind, ThreadPoolExecutor() as pool:
        mind.hold(held)
        waiting = pool.submit(ask, mind, f"So: {held}\nYes.")
        wait_for(lambda: mind.heard, "the held message")
        assert ask(mind, "pineapple # The talking") == 200
        assert not waiting.done()
        mind.let_go(held)
        assert waiting.result(PATIENCE) == 200


def test_it_starts_by_hand() -> None:
    """As a module it prints its address, and answers there."""
    command = [sys.executable, "-m", "tests.emulators.scripted", "--text", "hello"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
            answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=PATIENCE, trust_env=False)
        finally:
            process.kill()
    assert (answer.status_code, "hello" in answer.text) == (200, True)
