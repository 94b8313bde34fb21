"""Her memory: consolidated after a quiet time or at ``sleep``, edited by hand, and never lost by a failure."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tests.daemon.survival.conftest import create
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.listener import Listener
from tests.observed import config, config_file, events, logged, status, worker
from tests.patience import PATIENCE

Launch = Callable[..., DaemonProcess]

LEARNED = "## person\n- Name: Ada\n- Has a cat, Tom\n\n## wishes\n- To see the sea\n\n## end"
TALK = "# The talk"


def consolidate_with(brain: ScriptedMind, step: Step) -> None:
    """Answer consolidations, and only these, with this step."""
    brain.answer = lambda text: step if TALK in text else None


def edit(daemon: DaemonProcess, persona_id: str, **changes: object) -> None:
    """Change her record by hand, as an editor does: a new file over the old one."""
    file = config_file(daemon, persona_id)
    draft = file.with_name("draft")
    draft.write_text(json.dumps({**config(daemon, persona_id), **changes}, indent=2))
    draft.rename(file)


def talk(daemon: DaemonProcess, persona_id: str, word: str) -> None:
    """Send a message and wait for the answer."""
    with Listener(daemon, persona_id) as listener:
        daemon.read(persona_id, word)
        listener.hears(word)


def test_a_quiet_time_consolidates(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """After ``idle_timeout`` without a message the conversation is in memory/*.md once, and in the next prompt."""
    persona_id = create(daemon, brain)
    edit(daemon, persona_id, idle_timeout=1)
    wait_for(lambda: status(daemon, persona_id)["generation"] == 2, "her restart with it")
    consolidate_with(brain, Step(text=LEARNED))
    talk(daemon, persona_id, "I am Ada.")
    folder = daemon.state_dir / "personas" / persona_id / "memory"
    wait_for((folder / "wishes.md").exists, "the memory")
    assert (folder / "person.md").read_text() == "- Name: Ada\n- Has a cat, Tom\n"
    wait_for(lambda: events(daemon, "consolidation.done", persona_id), "its end")
    talk(daemon, persona_id, "Who am I?")
    asked = [entry.body["messages"] for entry in brain.journal]
    question = next(turns for turns in asked if turns[-1]["content"] == "Who am I?")
    assert "Has a cat, Tom" in question[0]["content"]
    wait_for(lambda: brain.times(TALK) == 2, "the second consolidation")
    assert "I am Ada." not in brain.heard[-1].partition(TALK)[2]


def test_sleep_consolidates_at_once(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """``sleep`` answers null when memory is written; with nothing new it does not call the mind."""
    persona_id = create(daemon, brain)
    consolidate_with(brain, Step(text=LEARNED))
    talk(daemon, persona_id, "I am Ada.")
    for _ in range(2):
        answer = daemon.http.post(f"/api/persona/{persona_id}/sleep")
        assert (answer.status_code, answer.json()) == (200, None)
    assert brain.times(TALK) == 1
    assert (daemon.state_dir / "personas" / persona_id / "memory" / "wishes.md").exists()


def test_a_sleep_that_fails_keeps_the_talk(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """If the mind is down, answers nonsense, or dies, the answer is 400 and the lines are consolidated later."""
    persona_id = create(daemon, brain)
    talk(daemon, persona_id, "I am Ada.")
    failed = (400, {"detail": "Sleep failed unexpectedly."})
    for step in (Step(status=503), Step(text="Sure, here you go!"), Step(text="## person\n- cut off")):
        consolidate_with(brain, step)
        answer = daemon.http.post(f"/api/persona/{persona_id}/sleep")
        assert (answer.status_code, answer.json()) == failed
    brain.strike = lambda text: worker(daemon, persona_id).send_signal(signal.SIGKILL) if TALK in text else None
    answer = daemon.http.post(f"/api/persona/{persona_id}/sleep")
    assert (answer.status_code, answer.json()) == failed
    brain.strike = None
    assert not list((daemon.state_dir / "personas" / persona_id / "memory").iterdir())
    worker(daemon, persona_id)
    consolidate_with(brain, Step(text=LEARNED))
    assert daemon.http.post(f"/api/persona/{persona_id}/sleep").status_code == 200
    assert "I am Ada." in brain.heard[-1]
    assert (daemon.state_dir / "personas" / persona_id / "memory" / "person.md").exists()


def test_words_are_answered_while_she_consolidates(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """A long consolidation does not delay the conversation."""
    persona_id = create(daemon, brain)
    talk(daemon, persona_id, "I am Ada.")
    brain.hold("talk")
    consolidate_with(brain, Step(text=LEARNED))
    sleeping = threading.Thread(target=daemon.http.post, args=(f"/api/persona/{persona_id}/sleep",))
    sleeping.start()
    wait_for(lambda: brain.times(TALK) == 1, "the consolidation")
    talk(daemon, persona_id, "Are you there?")
    brain.let_go("talk")
    sleeping.join(PATIENCE)
    assert logged(daemon, "consolidation.done", persona_id)


def test_a_memory_edited_while_she_consolidates(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """An edit by hand is not overwritten: her mind is asked again, with the edited text."""
    persona_id = create(daemon, brain)
    talk(daemon, persona_id, "I am Ada.")
    brain.hold(TALK)
    consolidate_with(brain, Step(text=LEARNED))
    sleeping = threading.Thread(target=daemon.http.post, args=(f"/api/persona/{persona_id}/sleep",))
    sleeping.start()
    wait_for(lambda: brain.times(TALK) == 1, "the consolidation")
    (daemon.state_dir / "personas" / persona_id / "memory" / "person.md").write_text("- Allergy: nuts\n")
    brain.let_go(TALK)
    sleeping.join(PATIENCE)
    assert brain.times(TALK) == 2
    assert "Allergy: nuts" in brain.heard[-1]
    assert logged(daemon, "consolidation.done", persona_id)


def test_a_valid_edit_takes_effect(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """An edit of her record by hand restarts her; views and prompts show it."""
    persona_id = create(daemon, brain, "Before")
    first = worker(daemon, persona_id)
    edit(daemon, persona_id, name="After")
    wait_for(lambda: status(daemon, persona_id)["generation"] == 2, "her restart")
    views = {one["id"]: one["name"] for one in daemon.http.get("/api/personas").json()["personas"]}
    assert views[persona_id] == "After"
    assert worker(daemon, persona_id).pid != first.pid
    talk(daemon, persona_id, "apple")
    assert "You are After" in brain.journal[-1].body["messages"][0]["content"]


def test_a_broken_edit_changes_nothing(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """With a record that cannot be read, the last good one stays in force and the fault is named until it is fixed."""
    persona_id = create(daemon, brain, "Before")
    first, good = worker(daemon, persona_id), config_file(daemon, persona_id).read_text()
    for broken, named in (
        (good.replace('"idle_timeout": 3600', '"idle_timeout": "soon"'), "idle_timeout"),
        (good[:-20], "config.json"),
        (good.replace(persona_id, "00000000-0000-4000-8000-000000000000"), "folder is named"),
        ("", "config.json"),
    ):
        assert broken != good
        config_file(daemon, persona_id).write_text(broken)
        wait_for(lambda n=named: n in status(daemon, persona_id)["fault"], f"the fault of {named}")  # type: ignore[misc]
        talk(daemon, persona_id, f"I still hear you {named}")
        assert worker(daemon, persona_id).pid == first.pid
        config_file(daemon, persona_id).write_text(good)
        wait_for(lambda: status(daemon, persona_id)["fault"] == "", "the mended record")
    assert worker(daemon, persona_id).pid == first.pid
    assert logged(daemon, "persona.config_invalid", persona_id, 4)


def test_a_broken_record_at_boot(launch: Launch, brain: ScriptedMind) -> None:
    """A record that broke while the daemon was down is reported and kept; others start, and so does she after a fix."""
    daemon = launch()
    broken, well = create(daemon, brain, "Broken"), create(daemon, brain, "Well")
    good = config_file(daemon, broken).read_text()
    daemon.stop()
    config_file(daemon, broken).write_text("{")
    daemon.start()
    worker(daemon, well)
    assert [event["level"] for event in logged(daemon, "persona.config_invalid")] == ["error"]
    config_file(daemon, broken).write_text(good)
    wait_for(
        lambda: broken in {one["id"] for one in daemon.http.get("/api/personas").json()["personas"]}, "the mended one"
    )
    worker(daemon, broken)


def test_an_edited_memory_is_in_the_next_prompt(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """An edit of memory/person.md is in her next turn, without a restart."""
    persona_id = create(daemon, brain)
    first = worker(daemon, persona_id)
    (daemon.state_dir / "personas" / persona_id / "memory" / "person.md").write_text("- Plays the oboe\n")

    def known() -> bool:
        talk(daemon, persona_id, f"apple{len(brain.heard)}.")
        return "Plays the oboe" in brain.journal[-1].body["messages"][0]["content"]

    wait_for(known, "the oboe in a prompt")
    assert worker(daemon, persona_id).pid == first.pid


def test_a_folder_that_is_put_back(daemon: DaemonProcess, brain: ScriptedMind, tmp_path: Path) -> None:
    """A persona's folder that is copied into place while the daemon runs becomes a persona with her memory."""
    persona_id = create(daemon, brain, "Back")
    folder, copy = daemon.state_dir / "personas" / persona_id, tmp_path / "copy"
    (folder / "memory" / "person.md").write_text("- Plays the oboe\n")
    shutil.copytree(folder, copy)
    assert daemon.http.post(f"/api/persona/{persona_id}/delete").status_code == 200
    shutil.copytree(copy, folder)

    def listed() -> bool:
        return persona_id in {one["id"] for one in daemon.http.get("/api/personas").json()["personas"]}

    wait_for(listed, "her to be seen")
    worker(daemon, persona_id)
    talk(daemon, persona_id, "apple")
    assert "Plays the oboe" in brain.journal[-1].body["messages"][0]["content"]


def test_an_edit_in_the_first_moment(daemon: DaemonProcess, brain: ScriptedMind) -> None:
    """An edit before the kernel watches her new folder is seen nevertheless."""
    for number in range(4):
        persona_id = create(daemon, brain, "Before")
        edit(daemon, persona_id, name=f"After{number}")
        wait_for(lambda p=persona_id, n=number: status(daemon, p)["name"] == f"After{n}", "the new name")  # type: ignore[misc]
