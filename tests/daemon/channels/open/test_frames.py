"""The frames of a visitor's turn: a worker is untrusted, so it is not sent what it must not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.daemon.channels.open.conftest import launch
from tests.daemon.channels.open.counter import Counter
from tests.daemon_process import ROOT, DaemonProcess, wait_for
from tests.emulators.scripted import ScriptedMind
from tests.listener import Listener
from tests.providers import Telegram
from tests.saboteur import at_start

RECORDER = """\
import sys

if "worker.process.zygote" in sys.orig_argv:
    sys.path.insert(0, {root!r})
    import msgspec
    from proto.framing import Codec

    decode = Codec.decode
    # Opened before the worker's walls stand.
    log = open({file!r}, "ab", buffering=0)

    def recorded(codec, frame):
        message = msgspec.msgpack.decode(frame)
        if message.get("type") == "perceive":
            log.write(msgspec.json.encode(message) + b"\\n")
        return decode(codec, frame)

    Codec.decode = recorded
"""
"""Makes a worker record each turn that it gets, as received."""


def test_a_strangers_turn_carries_no_memory(tmp_path: Path, telegram: Telegram, brain: ScriptedMind) -> None:
    """What she knows about her owner is sent with her owner's turn, and is in no frame of a visitor's turn."""
    file = tmp_path / "turns"
    hook = at_start(tmp_path / "hook", RECORDER.format(root=str(ROOT), file=str(file)))
    daemon = launch(tmp_path, telegram, PYTHONPATH=hook)
    try:
        with Counter(daemon, brain, telegram) as counter:
            memory = daemon.state_dir / "personas" / counter.id / "memory" / "person.md"
            memory.write_text("The person's safe opens with 4711.\n")
            counter.open()
            with Listener(daemon, counter.id) as listener:
                wait_for(lambda: remembers(daemon, counter, listener, file), "her memory in her owner's turn")
            ann = counter.visitor("curious_ann")
            ann.write("what is in the safe?")
            ann.hears("safe")
            visited = turns(file)[-1]
            assert visited["visitor"]
            assert visited["memory"] == {}
            assert "4711" not in json.dumps(visited)
    finally:
        daemon.close()


def remembers(daemon: DaemonProcess, counter: Counter, listener: Listener, file: Path) -> bool:
    """Whether her owner's turn contains her memory."""
    heard = len(listener.words)
    daemon.read(counter.id, "hello")
    wait_for(lambda: len(listener.words) > heard, "her answer")
    return "4711" in str(turns(file)[-1]["memory"])


def turns(file: Path) -> list[dict[str, Any]]:
    """The turns so far. Any: frames as received."""
    return [json.loads(line) for line in file.read_text().splitlines()]
