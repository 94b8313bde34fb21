"""Exports to feed, and a mind that keeps one fact of each conversation."""

from __future__ import annotations

import io
import json
import re
import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx
import psutil

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.emulators.server import Step
from tests.patience import PATIENCE

MEMORY = re.compile(r"## person\n(.*?)\n\n## ", re.DOTALL)
FACT = re.compile(r"fact-[a-z]*\d+")


class LearningMind(ScriptedMind):
    """Echoes messages. A consolidation adds a line for each fact in the conversation, even if it is known already."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = self._fold

    def _fold(self, text: str) -> Step | None:
        memory, marked, talk = text.partition("# The talk")
        if not marked:
            return None
        found = MEMORY.search(memory)
        known = found[1] if found and found[1] != "(empty)" else ""
        facts = dict.fromkeys(FACT.findall(talk))
        # The call's number makes each line different, so that a fact that is learned twice is seen.
        told = "\n".join(f"- {fact} in call {len(self.heard)}" for fact in facts)
        if not told:
            return Step(text="## end")
        return Step(text=f"## person\n{known}\n{told}\n\n## end")


def export(facts: Iterable[str]) -> bytes:
    """An export of ChatGPT with a conversation for each fact."""
    return json.dumps([_conversation(fact) for fact in facts]).encode()


def facts(count: int, prefix: str = "") -> list[str]:
    """``count`` facts."""
    return [f"fact-{prefix}{number}" for number in range(count)]


def feed(daemon: DaemonProcess, persona_id: str, data: bytes, source: str = "chatgpt") -> httpx.Response:
    """Feed her an export."""
    return daemon.http.post(
        f"/api/persona/{persona_id}/feed",
        files={"history": ("conversations.json", io.BytesIO(data))},
        data={"source": source},
        timeout=PATIENCE,
    )


class Feeding(threading.Thread):
    """A feed that runs while the test does something else."""

    def __init__(self, daemon: DaemonProcess, persona_id: str, data: bytes) -> None:
        super().__init__(daemon=True)
        self._arguments = (daemon, persona_id, data)
        self.answer: httpx.Response | None = None
        self.start()

    def run(self) -> None:
        """Send the request and wait until it is answered or the daemon is gone."""
        try:
            self.answer = feed(*self._arguments)
        except httpx.TransportError:
            return

    def ended(self) -> httpx.Response:
        """The answer."""
        self.join(PATIENCE)
        assert self.answer is not None
        return self.answer


def learned(daemon: DaemonProcess, persona_id: str) -> Counter[str]:
    """How often each fact is in her memory."""
    known = daemon.http.get(f"/api/persona/{persona_id}/knowledge").json()["memory"].get("person", "")
    return Counter(FACT.findall(known))


def leftovers(daemon: DaemonProcess, persona_id: str) -> list[str]:
    """The files that a feed has left in her folder."""
    return [str(path) for path in (daemon.state_dir / "personas" / persona_id).glob("feeds*")]


def feeder(daemon: DaemonProcess) -> psutil.Process:
    """The process that reads an export."""

    def found() -> list[psutil.Process]:
        return [child for child in psutil.Process(daemon.pid).children() if name_of(child) == "feeder"]

    return wait_for(found, "a feeder")[0]


def name_of(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def create(daemon: DaemonProcess, mind: ScriptedMind, name: str = "Eve") -> str:
    """A persona with this mind."""
    return daemon.create(
        name, thinking_model="m", thinking_provider="openai", thinking_url=mind.url, thinking_api_key="sk-not-masked"
    )


def _conversation(fact: str) -> dict[str, Any]:
    said = [("user", f"remember {fact}"), ("assistant", "I shall.")]
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": ["0"]}}
    for number, (role, words) in enumerate(said):
        message = {"author": {"role": role}, "create_time": 1_700_000_000.0 + number}
        mapping[str(number)] = {
            "id": str(number),
            "message": message | {"content": {"content_type": "text", "parts": [words]}},
            "parent": "root" if number == 0 else str(number - 1),
            "children": [str(number + 1)] if number + 1 < len(said) else [],
        }
    return {"title": fact, "create_time": 1_700_000_000.0, "mapping": mapping, "current_node": str(len(said) - 1)}
