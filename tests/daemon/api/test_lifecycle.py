"""Start, stop, restart and sleep answer as documented, and start and stop are in her record."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from tests.daemon_process import DaemonProcess
from tests.observed import config

Make = Callable[..., str]


def test_start_stop_restart(front: DaemonProcess, make: Make) -> None:
    """Every verb gives its documented answer in either state, and her status says what was wanted last."""
    persona_id = make()

    def post(verb: str) -> tuple[int, object]:
        answer = front.http.post(f"/api/persona/{persona_id}/{verb}")
        return answer.status_code, answer.json()

    assert post("start") == (200, {"status": "already running"})
    assert post("restart") == (200, {"status": "restarted"})
    assert post("stop") == (200, {"status": "stopped"})
    assert post("stop") == (404, {"detail": "Persona is not running."})
    views = {one["id"]: one for one in front.http.get("/api/personas").json()["personas"]}
    assert (views[persona_id]["running"], views[persona_id]["status"]) == (False, "hibernate")
    assert config(front, persona_id)["status"] == "hibernate"
    assert post("restart") == (200, {"status": "restarted"})
    assert config(front, persona_id)["status"] == "active"
    assert post("stop") == (200, {"status": "stopped"})
    assert config(front, persona_id)["status"] == "hibernate"
    assert post("start") == (200, {"status": "started"})
    assert config(front, persona_id)["status"] == "active"


def test_stop_of_nobody(front: DaemonProcess) -> None:
    """An unknown persona counts as not running."""
    answer = front.http.post(f"/api/persona/{uuid.uuid4()}/stop")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Persona is not running."})


def test_sleep_needs_her_running(front: DaemonProcess, make: Make) -> None:
    """sleep is 409 for a stopped and for an unknown persona, and null when there was nothing to consolidate."""
    persona_id = make()
    answer = front.http.post(f"/api/persona/{persona_id}/sleep")
    assert (answer.status_code, answer.json()) == (200, None)
    front.http.post(f"/api/persona/{persona_id}/stop")
    for nobody in (persona_id, str(uuid.uuid4())):
        answer = front.http.post(f"/api/persona/{nobody}/sleep")
        assert (answer.status_code, answer.json()) == (409, {"detail": "Persona is not active."})
