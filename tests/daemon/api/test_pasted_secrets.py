"""A secret in the wrong place is refused without being repeated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.daemon_process import DaemonProcess

PASTED = "sk-proj-8f2bQ1aZ-my-own-key"


@pytest.mark.parametrize(
    "body",
    [
        {PASTED: "active"},
        {PASTED: {"model": "m"}},
        {"thinking": {PASTED: "m"}},
        {"thinking": {"model": "m", "api_key": f"{PASTED}…"}},
        {"thinking": {"model": "m", "api_key": f"{PASTED}\n{PASTED}"}},
        {"thinking": PASTED},
        {"status": PASTED},
        {f"clear_{PASTED}": True},
        {"clear_ear": PASTED},
    ],
)
def test_update_repeats_nothing_that_was_sent(
    front: DaemonProcess, make: Callable[..., str], body: dict[str, object]
) -> None:
    """An unknown key, an unknown field, a key with a foreign character: 400, the way out, and not the key."""
    answer = front.http.post(f"/api/persona/{make()}/update", json=body)
    assert answer.status_code == 400, answer.text
    assert PASTED not in answer.text
    assert PASTED not in front.log.read_text()


@pytest.mark.parametrize("key", [f"{PASTED}…", f"{PASTED} {PASTED}", f"{PASTED}\x00", "ключ" + PASTED])
def test_create_does_not_repeat_a_key_that_no_header_can_carry(front: DaemonProcess, key: str) -> None:
    """The refusal says that the key has a wrong character; before, the HTTP library's error showed the whole header."""
    body = {"name": "Eve", "thinking_model": "m", "thinking_provider": "openai", "thinking_api_key": key}
    answer = front.http.post("/api/persona/create", json=body)
    assert answer.status_code == 400, answer.text
    assert "api_key" in answer.json()["detail"]
    assert PASTED not in answer.text
