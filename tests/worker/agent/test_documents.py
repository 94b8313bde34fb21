"""Documents in her answers: the library is searched before she thinks."""

from __future__ import annotations

import pytest

from proto.messages import OrganCall, Perceive, Perception, Reply
from proto.records import EMBEDDED, EMBEDDED_MIND, EMBEDDED_SENSES, Organ
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from tests.worker.conftest import WEB, Seat, SeatMaker

LIBRARY = Organ(EMBEDDED_SENSES["researcher"], EMBEDDED)
EMBEDDED_BRAIN = Organ(EMBEDDED_MIND, EMBEDDED)
RENT = "[budget.pdf, page 12] The rent is 900 euros."


def at(emulator: OpenAIEmulator) -> Organ:
    return Organ("test-model", "openai", None, emulator.url)


def ask(adam: Seat, words: str, **more: object) -> None:
    adam.agent.receive(Perceive(1, WEB, adam.perceptions(words), [], {}, **more))  # type: ignore[arg-type]  # its own


def system(openai: OpenAIEmulator) -> str:
    return str(openai.journal[-1].body["messages"][0]["content"])


async def test_passages_reach_the_mind(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """What the library finds for a question is in the prompt as material, to be quoted with its source."""
    adam = seat(at(openai), researcher=LIBRARY)
    ask(adam, "What is the rent?", has_documents=True)
    call = await adam.host(text=RENT)
    assert (call.organ, call.text, call.datasets, call.media) == ("researcher", "What is the rent?", None, None)
    await adam.first(Reply)
    assert f"> {RENT}" in system(openai)
    assert "name where they stand" in system(openai)


async def test_nothing_to_search(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Without documents, without a researcher or without text there is no search."""
    reader, other = seat(at(openai), researcher=LIBRARY), seat(at(openai))
    ask(reader, "What is the rent?")
    ask(other, "What is the rent?", has_documents=True)
    await reader.first(Reply)
    await other.first(Reply)
    reader.agent.receive(Perceive(2, WEB, reader.perceptions("  "), [], {}, has_documents=True))
    await reader.several(Reply, 2)
    assert (reader.of(OrganCall), other.of(OrganCall)) == ([], [])
    assert "What the documents say" not in system(openai)


async def test_datasets_need_no_researcher(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """The library searches an open channel's folders for a stranger, without using an organ of the persona."""
    adam = seat(at(openai))
    ask(adam, "What is the rent?", datasets=["flats"], visitor="Bo")
    assert (await adam.host(text=RENT)).datasets == ["flats"]
    await adam.first(Reply)
    assert RENT in system(openai)


async def test_stranger_without_datasets_finds_nothing(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """Her own documents are not searched for a stranger."""
    adam = seat(at(openai), researcher=LIBRARY)
    ask(adam, "What is the rent?", has_documents=True, visitor="Bo")
    await adam.first(Reply)
    ask(adam, "What is the rent?", has_documents=True, visitor="Bo", datasets=[])
    await adam.several(Reply, 2)
    assert adam.of(OrganCall) == []


async def test_library_that_fails(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A failed search does not keep her from answering, and she knows that nothing was looked up."""
    adam = seat(at(openai), researcher=LIBRARY)
    ask(adam, "What is the rent?", has_documents=True)
    await adam.host(error="The index of her documents cannot be used.")
    await adam.first(Reply)
    assert "could not be searched this time: The index of her documents" in system(openai)


# A chat model as researcher


@pytest.mark.parametrize(
    ("step", "passages"),
    [
        (Step("900 euros (budget.pdf, page 12)"), "> 900 euros (budget.pdf, page 12)"),
        (Step("NOTHING"), ""),
        (Step(status=500), f"> {RENT}"),
    ],
)
async def test_researcher_digests_passages(
    seat: SeatMaker, openai: OpenAIEmulator, anthropic: AnthropicEmulator, step: Step, passages: str
) -> None:
    """A chat model reads what the library found; if it fails, the library's text is used unchanged."""
    anthropic.script(step)
    adam = seat(at(openai), researcher=Organ("reader", "anthropic", None, anthropic.url))
    ask(adam, "What is the rent?", has_documents=True)
    await adam.host(text=RENT)
    await adam.first(Reply)
    asked = anthropic.journal[0].body
    assert RENT in asked["messages"][0]["content"]
    assert "researcher of Adam" in asked["system"]
    assert (passages in system(openai)) if passages else ("What the documents say" not in system(openai))


@pytest.mark.parametrize(("step", "told"), [(Step("A budget."), "A budget."), (Step(status=503), "12 pages.")])
async def test_researcher_digests_a_document(
    seat: SeatMaker, openai: OpenAIEmulator, anthropic: AnthropicEmulator, step: Step, told: str
) -> None:
    """The library studies a document, and a chat model summarizes it."""
    anthropic.script(step)
    adam = seat(at(openai), researcher=Organ("reader", "anthropic", None, anthropic.url))
    adam.agent.receive(Perceive(1, WEB, [Perception(1, "document", "", 1, "d.pdf", "budget.pdf")], [], {}))
    call = await adam.host(text="12 pages.")
    assert (call.media, call.title) == ("d.pdf", "budget.pdf")
    assert (await adam.first(Reply)).perceived == {1: told}
    assert '"budget.pdf"' in anthropic.journal[0].body["system"]


# The embedded mind


async def test_embedded_mind_quotes_by_code(seat: SeatMaker) -> None:
    """A question that a passage answers well is answered with a quotation, without calling a model."""
    adam = seat(EMBEDDED_BRAIN, researcher=LIBRARY)
    ask(adam, "What is the rent?", has_documents=True)
    await adam.host(text=RENT)
    assert (await adam.first(Reply)).messages[0].content == 'budget.pdf, page 12: "The rent is 900 euros."'
    assert len(adam.of(OrganCall)) == 1


async def test_embedded_mind_answers_the_rest_as_ever(seat: SeatMaker) -> None:
    """A question that the passages do not answer goes to what she knows or to the model."""
    adam = seat(EMBEDDED_BRAIN, researcher=LIBRARY)
    ask(adam, "Tell me a joke.", has_documents=True)
    await adam.host(1, text=RENT)
    await adam.host(2, text="Knock knock, who is there?")
    assert (await adam.first(Reply)).messages[0].content == "Knock knock, who is there?"
    assert [call.organ for call in adam.of(OrganCall)] == ["researcher", "thinking"]


async def test_embedded_mind_reads_a_document_with_a_question(seat: SeatMaker) -> None:
    """A document that comes with a question is described, and the question is answered from it."""
    adam = seat(EMBEDDED_BRAIN, researcher=LIBRARY)
    file = Perception(1, "document", "What is the rent?", 1, "d.pdf", "budget.pdf")
    adam.agent.receive(Perceive(1, WEB, [file], [], {}))
    await adam.host(1, text='"budget.pdf" is 12 pages.')
    await adam.host(2, text=RENT)
    assert (await adam.first(Reply)).messages[0].content == (
        'I have read your document: "budget.pdf" is 12 pages.\n\nbudget.pdf, page 12: "The rent is 900 euros."'
    )
