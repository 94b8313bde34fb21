"""The largest reply still fits a frame."""

from __future__ import annotations

from proto.framing import Codec
from proto.messages import MAX_FRAME, FromWorker, Perceive, Perception, Reply
from proto.records import EMBEDDED, EMBEDDED_SENSES, Organ
from proto.texts import MAX_TEXT
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from tests.worker.conftest import WEB, SeatMaker

CODEC: Codec[FromWorker] = Codec(FromWorker)  # type: ignore[arg-type]  # a union is no type to mypy
FOUR_BYTES = "\U0001f642"


async def test_the_largest_reply_fits_a_frame(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Perceived documents and an answer, all of maximum length in four-byte characters, fit into a frame."""
    openai.default = Step(FOUR_BYTES * (MAX_TEXT + 1))
    reader = Organ(EMBEDDED_SENSES["researcher"], EMBEDDED)
    adam = seat(Organ("test-model", "openai", None, openai.url), researcher=reader)
    documents = [Perception(number, "document", "", 1, f"{number}.pdf", "book.pdf") for number in range(1, 5)]
    adam.agent.receive(Perceive(1, WEB, documents, [], {}))
    for number in range(1, len(documents) + 1):
        await adam.host(number, text=FOUR_BYTES * MAX_TEXT)
    reply = await adam.first(Reply)
    assert len(reply.messages[0].content) == MAX_TEXT
    assert MAX_FRAME / 2 < len(CODEC.encode(reply)) <= MAX_FRAME
