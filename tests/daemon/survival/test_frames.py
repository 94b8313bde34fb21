"""An answer that is larger than a frame cannot be sent, but it is not lost silently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.daemon.survival.conftest import create
from tests.daemon_process import ROOT, DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.listener import Listener
from tests.observed import logged, status
from tests.saboteur import at_start

Launch = Callable[..., DaemonProcess]

SMALL_FRAMES = """\
import sys

if "worker.process.zygote" in sys.orig_argv:
    sys.path.insert(0, {root!r})
    from proto import framing

    framing.MAX_FRAME = 20_000
"""
"""Makes a worker's frames smaller than the limits that keep replies within one frame."""


def test_an_answer_larger_than_a_frame_is_set_aside(launch: Launch, brain: ScriptedMind, tmp_path: Path) -> None:
    """The process ends and says why; after ``poison_deaths`` deaths the message is set aside and she continues."""
    hook = at_start(tmp_path / "site", SMALL_FRAMES.format(root=str(ROOT)))
    daemon = launch(supervisor_poison_deaths="2", PYTHONPATH=hook)
    persona_id = create(daemon, brain)
    brain.answer = lambda text: Step(text="word " * 10_000) if "everything" in text else None
    with Listener(daemon, persona_id) as listener:
        assert daemon.read(persona_id, "tell me everything").status_code == 200
        wait_for(lambda: status(daemon, persona_id)["inbox"] == 0, "the words to be dealt with")
        assert status(daemon, persona_id)["poison"] == 1
        assert daemon.read(persona_id, "apple").status_code == 200
        listener.hears("apple")
        assert ["I have set it aside" in one for one in listener.words] == [True, False]
    assert status(daemon, persona_id)["inbox"] == 0
    reasons = [event["reason"] for event in logged(daemon, "worker.failed", count=2)]
    assert len(reasons) == 2
    assert all("a Reply of " in reason and "larger than a frame" in reason for reason in reasons)
