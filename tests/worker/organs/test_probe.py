"""The probe of an organ before it is saved: empty if it answers, otherwise a text to act on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proto.messages import MindLimits
from proto.records import EMBEDDED, EMBEDDED_MIND, EMBEDDED_SENSES, Organ, OrganName, Slot
from proto.secrets import Secret
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from worker import embedded
from worker.organs.probe import probe

LIMITS = MindLimits(first_token=1.0, total=2.0, retries=5)


@pytest.fixture
def closed_port() -> int:
    """A port without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert isinstance(port, int)
        return port


async def test_reachable_minds(openai: OpenAIEmulator, anthropic: AnthropicEmulator) -> None:
    """A mind that answers passes after one call with few tokens, and so does one that uses them up for reasoning."""
    openai.script(Step("", thought="well"))
    assert await probe(Organ("m", "openai", Secret("k"), openai.url), LIMITS, {}) == ""
    assert await probe(Organ("m", "anthropic", Secret("k"), anthropic.url), LIMITS, {}) == ""
    assert await probe(Organ("llama3"), LIMITS, {"local": f"{openai.url}/v1"}) == ""
    assert [entry.body["max_tokens"] for entry in (*openai.journal, *anthropic.journal)] == [16, 16, 16]


@pytest.mark.parametrize("text", ["", " \n"])
async def test_a_mind_that_answers_nothing(openai: OpenAIEmulator, anthropic: AnthropicEmulator, text: str) -> None:
    """A model that ends its answer before the first word is refused, with what to do; that of another organ as well."""
    openai.default = anthropic.default = Step(text)
    slots: tuple[Slot, ...] = ("thinking", "eye", "teacher")
    told = {await probe(Organ("m", "openai", None, openai.url), LIMITS, {}, slot) for slot in slots}
    told.add((await probe(Organ("m", "anthropic", None, anthropic.url), LIMITS, {})).replace(anthropic.url, openai.url))
    hosts = {openai.url.removeprefix("http://"), anthropic.url.removeprefix("http://")}
    assert told == {
        f"m at {host} answered nothing when it was asked to say ok. "
        "Check that the model is one for chats, or choose another one."
        for host in hosts
    }


async def test_embedded_mind() -> None:
    """The embedded mind can be reached if its packages are installed; for another name the text gives the right one."""
    assert await probe(Organ(EMBEDDED_MIND, EMBEDDED), LIMITS, {}) == ""
    assert EMBEDDED_MIND in await probe(Organ("llama3", EMBEDDED), LIMITS, {})


async def test_local_engine_that_does_not_run(closed_port: int) -> None:
    """The documented text for a local engine that is not running."""
    reason = await probe(Organ("llama3"), LIMITS, {"local": f"http://127.0.0.1:{closed_port}/v1"})
    assert reason.startswith("Could not connect to the local inference engine. Please make sure it is running. (")


async def test_wrong_key(openai: OpenAIEmulator) -> None:
    """A refused key is reported with what to do, without the key."""
    openai.key = "right"
    reason = await probe(Organ("m", "openai", Secret("wrong-key-of-mine"), openai.url), LIMITS, {})
    assert "401" in reason
    assert "api_key" in reason
    assert "wrong-key-of-mine" not in reason


async def test_what_is_told_is_whole_sentences(openai: OpenAIEmulator, closed_port: int) -> None:
    """The provider's words get their full stop, and nobody who does not exist yet is said to keep trying."""
    told = [await probe(Organ("m", "openai", None, f"http://127.0.0.1:{closed_port}"), LIMITS, {})]
    for step in (Step(status=401), Step(status=404, message="No such model!"), Step(status=503), Step(failure="hang")):
        openai.script(step)
        told.append(await probe(Organ("m", "openai", None, openai.url), LIMITS, {}))
    assert "answered 401: made to fail. Check the api_key of her thinking organ." in told[1]
    assert "No such model! Check the model name" in told[2]
    assert "answered 503: made to fail. Nothing to do if this passes." in told[3]
    assert not any("keeps trying" in text for text in told)


async def test_overloaded_provider_is_asked_once(openai: OpenAIEmulator) -> None:
    """A probe does not retry, because a person waits for it."""
    openai.default = Step(status=503)
    assert "503" in await probe(Organ("m", "openai", None, openai.url), LIMITS, {})
    assert len(openai.journal) == 1


async def test_hanging_provider(openai: OpenAIEmulator) -> None:
    """A provider that hangs is given up."""
    openai.default = Step(failure="hang")
    assert "no first word" in await probe(Organ("m", "openai", None, openai.url), LIMITS, {})


@pytest.mark.parametrize(
    ("organ", "says"),
    [
        (Organ("", "openai"), "A model name is required when using a remote provider."),
        (Organ(""), "No model available. Please provide a model name."),
    ],
)
async def test_missing_model_name(organ: Organ, says: str) -> None:
    """The documented texts for an organ without a model."""
    assert await probe(organ, LIMITS, {}) == says


async def test_unknown_provider() -> None:
    """The text for an unknown provider lists the existing ones."""
    assert "openai, anthropic, xai, gemini" in await probe(Organ("m", "cohere"), LIMITS, {})


# Organs other than the mind


def seen(emulator: OpenAIEmulator) -> list[str]:
    return [entry.path for entry in emulator.journal]


@pytest.mark.parametrize("slot", ["ear", "mouth", "imagination"])
async def test_organs_that_are_no_chat_model(openai: OpenAIEmulator, slot: Slot) -> None:
    """Organs that hear, speak or paint are probed by the list of models, which costs nothing and finds a wrong key."""
    openai.key, openai.models = "right", ["whisper-1"]
    assert await probe(Organ("whisper-1", "openai", Secret("right"), openai.url), LIMITS, {}, slot) == ""
    reason = await probe(Organ("whisper-1", "openai", Secret("wrong-key-of-mine"), openai.url), LIMITS, {}, slot)
    assert f"Check the api_key of her {slot}." in reason
    assert "wrong-key-of-mine" not in reason
    assert seen(openai) == ["/v1/models"] * 2
    assert f"Anthropic has no {slot}" in await probe(Organ("m", "anthropic"), LIMITS, {}, slot)


@pytest.mark.parametrize("slot", ["eye", "researcher", "teacher"])
async def test_organs_that_are_a_chat_model(openai: OpenAIEmulator, slot: Slot) -> None:
    """An eye, a researcher and a teacher are probed like a mind, and their errors name them."""
    assert await probe(Organ("m", "openai", None, openai.url), LIMITS, {}, slot) == ""
    openai.key = "right"
    assert f"api_key of her {slot}" in await probe(Organ("m", "openai", None, openai.url), LIMITS, {}, slot)
    assert seen(openai) == ["/v1/chat/completions"] * 2


async def test_server_without_a_list_of_models() -> None:
    """A server that answers but has no list passes; one that is not running does not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        organ = Organ("kokoro", "openai", None, f"http://127.0.0.1:{server.getsockname()[1]}")
        asked = asyncio.create_task(probe(organ, LIMITS, {}, "mouth"))
        connection, _ = await asyncio.to_thread(server.accept)
        with connection:
            await asyncio.to_thread(connection.recv, 65536)
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            assert await asked == ""
    assert "Check the network and the url of her mouth." in await probe(organ, LIMITS, {}, "mouth")


@pytest.mark.parametrize("slot", ["ear", "eye", "researcher", "mouth"])
async def test_embedded_organs(slot: OrganName) -> None:
    """Embedded organs can be reached if their packages are installed; for another name the text has the right one."""
    name = EMBEDDED_SENSES[slot]
    reason = await probe(Organ(name, EMBEDDED), LIMITS, {}, slot)
    assert reason == embedded.check(slot)  # type: ignore[arg-type]  # the slots above have one
    assert f"The embedded {slot} is {name!r}" in await probe(Organ("other", EMBEDDED), LIMITS, {}, slot)


@pytest.mark.parametrize("slot", ["imagination", "teacher"])
async def test_organs_without_an_embedded_model(slot: Slot) -> None:
    """Organs that no package provides are refused at once."""
    assert "There is no embedded" in await probe(Organ("other", EMBEDDED), LIMITS, {}, slot)
