"""The probe of an organ before it is saved: nothing when it answers, else words to act on."""

from __future__ import annotations

import socket

import pytest

from proto.messages import MindLimits
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ
from proto.secrets import Secret
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from worker.organs.probe import probe

LIMITS = MindLimits(first_token=1.0, total=2.0, retries=5)


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert isinstance(port, int)
        return port


async def test_reachable_minds(openai: OpenAIEmulator, anthropic: AnthropicEmulator) -> None:
    """A mind that answers is fine, asked once with few tokens; one that only reasons in so few is fine too."""
    openai.script(Step("", thought="well"))
    assert await probe(Organ("m", "openai", Secret("k"), openai.url), LIMITS, {}) == ""
    assert await probe(Organ("m", "anthropic", Secret("k"), anthropic.url), LIMITS, {}) == ""
    assert await probe(Organ("llama3"), LIMITS, {"local": f"{openai.url}/v1"}) == ""
    assert [entry.body["max_tokens"] for entry in (*openai.journal, *anthropic.journal)] == [16, 16, 16]


async def test_embedded_mind() -> None:
    """The embedded mind is reachable where its packages are; another name is told the right one."""
    assert await probe(Organ(EMBEDDED_MIND, EMBEDDED), LIMITS, {}) == ""
    assert EMBEDDED_MIND in await probe(Organ("llama3", EMBEDDED), LIMITS, {})


async def test_local_engine_that_does_not_run(closed_port: int) -> None:
    """The documented text of a local engine that is not running."""
    reason = await probe(Organ("llama3"), LIMITS, {"local": f"http://127.0.0.1:{closed_port}/v1"})
    assert reason.startswith("Could not connect to the local inference engine. Please make sure it is running. (")


async def test_wrong_key(openai: OpenAIEmulator) -> None:
    """A refused key is said with what to do, without the key."""
    openai.key = "right"
    reason = await probe(Organ("m", "openai", Secret("wrong-key-of-mine"), openai.url), LIMITS, {})
    assert "401" in reason
    assert "api_key" in reason
    assert "wrong-key-of-mine" not in reason


async def test_overloaded_provider_is_asked_once(openai: OpenAIEmulator) -> None:
    """A probe does not retry: a person waits for it."""
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
    """The documented texts of an organ without a model."""
    assert await probe(organ, LIMITS, {}) == says


async def test_unknown_provider() -> None:
    """An unknown provider is told which ones exist."""
    assert "openai, anthropic, xai, gemini" in await probe(Organ("m", "cohere"), LIMITS, {})
