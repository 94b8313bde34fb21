"""The embedded mouth: the file that it makes, and what it does not speak."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest

from proto.host import Speak, Transcribe
from tests.fsyncs import assert_durable, recorded
from tests.organ_host_process import OrganHostProcess
from worker.embedded import mouth
from worker.embedded.audio import read
from worker.embedded.fault import HostFault
from worker.embedded.speech import foreign, speakable


def test_what_is_said_is_a_whole_file_that_can_be_understood(host: OrganHostProcess, tmp_path: Path) -> None:
    """Markdown, an address and an emoji are not spoken; the file is OGG/Opus, loud, and still ``.part-``."""
    words = "The **train** to [Lisbon](https://a.example/b) leaves at noon. 🚆 See https://a.example/c for more."
    (tmp_path / "media").mkdir()
    spoken = host.ask(Speak(3, words, str(tmp_path / "media")))
    assert (spoken.call, spoken.text, spoken.error) == (3, None, None)
    name = spoken.media or ""
    assert re.fullmatch(r"audio-[0-9a-f]{32}\.ogg", name)
    file, mark = tmp_path / "media" / name, tmp_path / "media" / f".part-{name}"
    assert sorted(file.parent.iterdir()) == [mark, file]
    assert file.samefile(mark)
    assert file.stat().st_mode & 0o777 == 0o600
    with av.open(str(file)) as container:
        assert (container.format.name, container.streams.audio[0].codec_context.name) == ("ogg", "opus")
    assert 0.6 < np.abs(np.concatenate(list(read(str(file))))).max() <= 1.1
    heard = (host.ask(Transcribe(4, str(file))).text or "").lower()
    assert all(word in heard for word in ("train", "lisbon", "noon", "link for more")), heard
    assert not any(word in heard for word in ("example", "http", "star"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "nothing in it that could be said"),
        ("🙂 ---", "nothing in it that could be said"),
        ("Здравствуйте, как дела?", "English only"),
        ("word " * 500, "too long to be said: 2500 characters"),
    ],
)
def test_what_cannot_be_said(host: OrganHostProcess, tmp_path: Path, words: str, reason: str) -> None:
    """The reason is readable, and nothing is left in the folder."""
    answer = host.ask(Speak(5, words, str(tmp_path)))
    assert reason in (answer.error or "")
    assert list(tmp_path.iterdir()) == []


def test_what_is_said_is_on_the_disk(tmp_path: Path) -> None:
    """The file is synced before it gets its name, and its name after that."""
    with recorded() as syncs:
        name = mouth.Mouth().speak("Yes.", str(tmp_path / "media"))
    file = tmp_path / "media" / name
    assert_durable(syncs, file, file.stat().st_size)


def test_what_takes_too_long_to_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short text can take long to speak; the recording is limited in seconds, too."""
    monkeypatch.setattr(mouth, "MOST_SECONDS", 1)
    with pytest.raises(HostFault, match="more than 1 seconds"):
        mouth.Mouth().speak("Yes. No. Yes. No. Yes. No.", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_nothing(host: OrganHostProcess, tmp_path: Path) -> None:
    """A file that cannot be written is an error of that call."""
    (tmp_path / "media").write_text("a file")
    assert "could not be kept" in (host.ask(Speak(6, "Hello.", str(tmp_path / "media"))).error or "")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("# News\n\nHello *you*", "News.\nHello you."),
        ("- one\n- **two**!\n\n1. three", "one.\ntwo!\nthree."),
        ("See <https://a.example>, or [here](https://b.example).", "See a link, or here."),
        ("Go to www.example.com/x?y=1.", "Go to a link."),
        ("Run:\n\n```sh\nrm -rf x\n```\n", "Run:\na piece of code."),
        ("Use `make test` now", "Use make test now."),
        ("| a | b |\n|---|---|\n| c | d |", "a, b.\nc, d."),
        ("Hi 👩‍🚀👍🏽!! It is 20 °C & sunny ☀️", "Hi!! It is 20 degrees C and sunny."),
        ("![a cat](cat.png) ~~no~~ yes", "a cat no yes."),
        ("a line\nand its end", "a line and its end."),
        ("“Quoted.”", "“Quoted.”"),
        ("---", ""),
        ("Call 123456789012, not 4915112345678.", "Call 123456789012, not 4 9 1 5 1 1 2 3 4 5 6 7 8."),
    ],
)
def test_speakable(written: str, said: str) -> None:
    """What only makes sense in writing is left out or described, and every block ends like a sentence."""
    assert speakable(written) == said


def test_foreign() -> None:
    """A foreign name in an English sentence is read as well as possible."""
    assert not foreign("She said привет and left at 5.")
    assert not foreign("Voilà, déjà vu: 42.")
    assert not foreign("42")
    assert foreign("你好, 你好吗, Tom")
