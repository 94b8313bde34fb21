"""Messages between the daemon and the organ host, which runs the embedded models for all personas."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from proto.messages import ChatTurn, EmbeddedOrgan, Fault, Heartbeat, Hello, Stop
from proto.texts import MediaName, Reason, Text, Title

HostOrgan: TypeAlias = EmbeddedOrgan | Literal["meaning"]
"""What has a model in the host: her organs, and what recall compares texts with."""

VECTOR: Final = 384
"""Bytes of the vector of a text: signed numbers that stand for its meaning."""

MOST_TEXTS: Final = 64
"""Texts of one ``Embed``."""


class Equip(msgspec.Struct, tag="equip"):
    """The organ host's first frame: the operator's model file (empty: the packaged one) and its number of threads."""

    mind_model: str
    threads: int


class Generate(msgspec.Struct, tag="generate"):
    """Run the embedded mind greedily. Like every request to the host, answered by ``Answered``."""

    call: int
    turns: list[ChatTurn]
    max_tokens: int


class Transcribe(msgspec.Struct, tag="transcribe"):
    """Transcribe the speech in the audio file at ``path``."""

    call: int
    path: str


class Look(msgspec.Struct, tag="look"):
    """Read the text in the picture at ``path``, and describe what can be found out without seeing.

    With ``shrink``, answer with a smaller copy of it instead: a JPEG in base64, without what its camera wrote.
    """

    call: int
    path: str
    shrink: bool = False


class Study(msgspec.Struct, tag="study"):
    """Add the document at ``path`` to the index at ``library``, and summarize it."""

    call: int
    path: str
    title: str
    library: str


class Search(msgspec.Struct, tag="search"):
    """Quote what the documents in ``folders`` say about ``question``. Documents not yet in the index are added first.

    ``titles`` maps file names to titles. A file without an entry is called by its file name.
    """

    call: int
    question: str
    folders: list[str]
    library: str
    titles: dict[str, Title] = {}


class Speak(msgspec.Struct, tag="speak"):
    """Speak ``text`` into a new file in ``folder``. Answered with ``media``, its bare name."""

    call: int
    text: str
    folder: str


class Embed(msgspec.Struct, tag="embed"):
    """Make the vectors of these texts. Answered with ``vectors``, one behind the other."""

    call: int
    texts: Annotated[list[Text], msgspec.Meta(max_length=MOST_TEXTS)]


class Answered(msgspec.Struct, tag="answered"):
    """Exactly one of ``text``, ``media``, ``vectors`` and ``error`` is set."""

    call: int
    text: Text | None = None
    media: MediaName | None = None
    error: Reason | None = None
    vectors: Annotated[bytes, msgspec.Meta(max_length=VECTOR * MOST_TEXTS)] | None = None


ToHost: TypeAlias = Equip | Generate | Transcribe | Look | Study | Search | Speak | Embed | Stop
FromHost: TypeAlias = Hello | Answered | Heartbeat | Fault
