"""The embedded ear: what a real host hears, what it leaves out, and what it refuses."""

from __future__ import annotations

import socket
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from proto.host import Speak, Transcribe
from proto.perception import EXTENSIONS
from tests.organ_host_process import OrganHostProcess
from tests.worker.embedded.sounds import FORMS, encode, silence, write
from worker.embedded import ear
from worker.embedded.audio import RATE, Samples, read
from worker.embedded.ear import Ear, windows
from worker.embedded.fault import HostFault

WORDS = "My dog is called Biscuit, and he likes cold water."


@pytest.fixture(scope="module")
def clip(host: OrganHostProcess, tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """The text that the mouth speaks."""
    folder = tmp_path_factory.mktemp("clip")
    spoken = host.ask(Speak(1, WORDS, str(folder)))
    assert spoken.media
    samples: Samples = np.concatenate(list(read(str(folder / spoken.media))))
    return samples


@pytest.mark.slow
def test_words_are_heard_in_every_documented_type(
    host: OrganHostProcess, clip: Samples, tmp_path: Path, home: Path
) -> None:
    """The text of each audio type is recognized, without the network and without a trace in the home."""
    assert set(FORMS) == {extension for extension, kind in EXTENSIONS.items() if kind == "audio"}
    for number, extension in enumerate(FORMS, 1):
        answer = host.ask(Transcribe(number, write(tmp_path, f"clip{extension}", clip)))
        heard = (answer.text or "").lower()
        assert (answer.call, answer.error) == (number, None), extension
        assert all(word in heard for word in ("dog", "biscuit", "cold water")), f"{extension}: {heard}"
    assert host.process.net_connections(kind="inet") == []
    assert list(home.rglob("*")) == []


def test_a_file_that_breaks_off_is_heard_up_to_there(host: OrganHostProcess, clip: Samples, tmp_path: Path) -> None:
    """Half a file gives half the text; a broken place in the middle affects nothing else."""
    whole = encode(clip, FORMS[".mp3"])
    (tmp_path / "half.mp3").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "dirty.mp3").write_bytes(whole[:8000] + b"\xff" * 300 + whole[8300:])
    assert "dog" in (host.ask(Transcribe(1, str(tmp_path / "half.mp3"))).text or "")
    assert "water" in (host.ask(Transcribe(2, str(tmp_path / "dirty.mp3"))).text or "")


def test_silence_and_noise_are_told_as_what_they_are(host: OrganHostProcess, tmp_path: Path) -> None:
    """Without speech, no text is made up."""
    noise = np.random.default_rng(1).normal(0, 0.1, 3 * RATE).astype(np.float32)
    sounds = {"silence.ogg": silence(10), "noise.opus": noise, "short.wav": silence(0.001)}
    for name, samples in sounds.items():
        answer = host.ask(Transcribe(1, write(tmp_path, name, samples)))
        assert (answer.text, answer.error) == ("Nothing was said in it.", None), name


class Segment(NamedTuple):
    """What Whisper makes of a part of a window."""

    text: str
    avg_logprob: float


class Model:
    """A model that hears what it is told, one list of segments for each window."""

    def __init__(self, *windows: list[Segment]) -> None:
        self._windows = iter(windows)

    def transcribe(self, _window: Samples, **_options: object) -> tuple[Iterator[Segment], None]:
        return iter(next(self._windows)), None


CLEAR = Segment(" The rent is 900 euros.", -0.3)
INVENTED = Segment(" My doctor, Hi-Slayer, to be born", -0.9)


def heard(monkeypatch: pytest.MonkeyPatch, path: str, *windows: list[Segment]) -> str:
    """What an ear with such a model tells of a file."""
    monkeypatch.setattr(Ear, "_load", lambda _self: Model(*windows))
    return Ear(1).transcribe(path)


def test_another_language_is_not_told_as_english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the decoder itself does not believe is no text: the person learns that the ear understands English only."""
    path = write(tmp_path, "clip.wav", silence(5))
    with pytest.raises(HostFault, match=r"Nothing in it could be made out\. This ear understands English only\."):
        heard(monkeypatch, path, [INVENTED, INVENTED])
    assert heard(monkeypatch, path, [CLEAR, INVENTED]) == (
        "The rent is 900 euros.\n(1 passage could not be made out. This ear understands English only.)"
    )
    assert heard(monkeypatch, path, [CLEAR]) == "The rent is 900 euros."
    assert heard(monkeypatch, path, []) == "Nothing was said in it."


@pytest.mark.slow
def test_a_long_list_loses_no_words(host: OrganHostProcess, tmp_path: Path) -> None:
    """Sentences that resemble each other, for longer than one window, are all heard.

    Whisper without timestamps stopped at the first of them in each of its own windows of 30 seconds.
    """
    things = ["nails", "paper", "candles", "soap", "brushes", "plates", "cups", "spoons", "ropes", "lamps", "maps"]
    pieces: list[Samples] = []
    for number, thing in enumerate(things, 1):
        words = f"Item number {number} is a box of {thing}. It stands on shelf {number}."
        spoken = host.ask(Speak(number, words, str(tmp_path)))
        pieces += [*read(str(tmp_path / str(spoken.media))), silence(0.25)]
    whole = np.concatenate(pieces)
    assert whole.size > 45 * RATE
    told = host.ask(Transcribe(99, write(tmp_path, "list.wav", whole))).text or ""
    assert [thing for thing in things if thing not in told.lower()] == []


def hostile(folder: Path, port: int) -> Iterator[tuple[str, str]]:
    """Files without sound, and the reason for each."""
    playlist = f"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:{port}/a.aac\n#EXT-X-ENDLIST\n"
    for name, content in {
        "playlist.mp3": playlist.encode(),
        "script.wav": b"ffconcat version 1.0\nfile other.wav\n",
        "empty.ogg": b"",
        "words.m4a": b"these are words " * 200,
    }.items():
        (folder / name).write_bytes(content)
        yield name, "cannot be read as audio"
    with wave.open(str(folder / "slow.wav"), "wb") as file:
        file.setparams((1, 2, 100, 0, "NONE", ""))
        file.writeframes(bytes(20_000))
    yield "slow.wav", "of a kind that is not read"
    yield "gone.mp3", "not there any more"


def test_what_is_no_sound_is_refused_in_words(host: OrganHostProcess, tmp_path: Path) -> None:
    """Broken files, and files that refer to others, are errors of that call; nothing is connected to."""
    write(tmp_path, "other.wav", silence(1))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        for name, words in hostile(tmp_path, server.getsockname()[1]):
            answer = host.ask(Transcribe(7, str(tmp_path / name)))
            assert answer.call == 7
            assert words in (answer.error or ""), name
        with pytest.raises(BlockingIOError):
            server.accept()


def test_what_is_too_long_is_left_out_and_told(clip: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit of seconds or of work nothing is transcribed, and the text says so."""
    path = write(tmp_path, "long.flac", np.concatenate([clip, silence(60), clip]))
    patient = Ear(1)
    monkeypatch.setattr(ear, "MOST_SECONDS", 30)
    heard = patient.transcribe(path)
    assert heard.count("dog") == 1
    assert heard.endswith("(Only the first 30 seconds were listened to; the rest is left out.)")
    monkeypatch.setattr(ear, "MOST_WORK", -1.0)
    assert patient.transcribe(path).startswith(f"{ear.SILENCE}\n(Only the first 0 seconds")
    with pytest.raises(HostFault, match="not there"):
        patient.transcribe(str(tmp_path / "gone.mp3"))


def test_windows_end_where_it_is_quiet() -> None:
    """A long recording is cut into windows at its pauses, and none of it is lost."""
    loud = np.ones(RATE, np.float32)
    pause = np.zeros(RATE // 2, np.float32)
    pieces = [*[loud] * 53, pause, *[loud] * 70, pause, *[loud] * 3]
    cut = list(windows(pieces, RATE))
    assert sum(window.size for window in cut) == sum(piece.size for piece in pieces)
    assert all(window.size <= ear.WINDOW * RATE for window in cut)
    assert len(cut) == 3
    assert 53 * RATE < cut[0].size < 53.5 * RATE
