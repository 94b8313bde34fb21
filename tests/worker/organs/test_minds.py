"""Remote minds through the real SDKs against servers that speak the real protocols."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proto.messages import ChatTurn, MindLimits
from proto.records import Organ
from proto.secrets import Secret
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Emulator, Step
from tests.patience import PATIENCE
from worker.base.organ_errors import OrganConfigError, OrganUnreachable
from worker.organs.choice import PRELOAD, mind_for
from worker.organs.mind import Mind
from worker.organs.remote_mind import DECLINED
from worker.organs.urls import bare_url, versioned_url

LIMITS = MindLimits(first_token=3.0, total=6.0, retries=2)
HELLO = [ChatTurn("system", "You are Adam."), ChatTurn("user", "hello there")]
PROVIDERS = ["openai", "anthropic"]


@pytest.fixture(params=PROVIDERS)
def emulator(request: pytest.FixtureRequest) -> Emulator:
    """Each provider's server in turn."""
    served = request.getfixturevalue(request.param)
    assert isinstance(served, Emulator)
    return served


def provider_of(emulator: Emulator) -> str:
    return "anthropic" if isinstance(emulator, AnthropicEmulator) else "openai"


@asynccontextmanager
async def mind_at(
    emulator: Emulator, limits: MindLimits = LIMITS, key: str = "sk-test-0123456789"
) -> AsyncIterator[Mind]:
    organ = Organ("test-model", provider_of(emulator), Secret(key), emulator.url)
    mind = mind_for(organ, limits, {}, no_host)
    try:
        yield mind
    finally:
        await mind.close()


async def no_host(_turns: list[ChatTurn], _max_tokens: int) -> str:
    raise AssertionError("a remote mind asks no organ host")


async def failing(emulator: Emulator, limits: MindLimits = LIMITS, key: str = "sk-test-0123456789") -> OrganUnreachable:
    async with mind_at(emulator, limits, key) as mind:
        with pytest.raises(OrganUnreachable) as caught:
            await mind.think(HELLO, 100)
    return caught.value


async def test_answer_is_streamed(emulator: Emulator) -> None:
    """A mind returns the whole streamed answer, and sends model, turns, limit and key in the provider's form."""
    async with mind_at(emulator) as mind:
        assert await mind.think(HELLO, 100) == "hello there"
    entry = emulator.journal[0]
    assert entry.body["model"] == "test-model"
    assert entry.body["max_tokens"] == 100
    assert entry.body["stream"] is True
    if provider_of(emulator) == "anthropic":
        assert entry.path == "/v1/messages"
        assert AnthropicEmulator.key_of(entry.headers) == "sk-test-0123456789"
        assert entry.body["system"] == "You are Adam."
        assert entry.body["messages"] == [{"role": "user", "content": "hello there"}]
    else:
        assert entry.path == "/v1/chat/completions"
        assert entry.headers["authorization"] == "Bearer sk-test-0123456789"
        assert entry.body["messages"][0] == {"role": "system", "content": "You are Adam."}


async def test_no_telemetry(emulator: Emulator) -> None:
    """No request reports details of this machine to the provider."""
    async with mind_at(emulator) as mind:
        await mind.think(HELLO, 100)
    told = [name for name in emulator.journal[0].headers if name.startswith("x-stainless")]
    assert told == []


async def test_wrong_key_is_permanent_and_not_shown(emulator: Emulator) -> None:
    """A refused key is not retried. The hint says what to do, and the reason does not contain the key."""
    emulator.key = "another"
    error = await failing(emulator, key="my very own key")
    assert (error.permanent, len(emulator.journal)) == (True, 1)
    assert "401" in error.reason
    assert "api_key" in error.hint
    assert "my very own key" not in error.reason


async def test_unknown_model_is_permanent(emulator: Emulator) -> None:
    """A model that the provider does not have is not retried, and the hint points to the model name."""
    emulator.models = ["another-model"]
    error = await failing(emulator)
    assert (error.permanent, len(emulator.journal)) == (True, 1)
    assert "test-model" in error.reason
    assert "model name" in error.hint


async def test_retry_after_is_obeyed(emulator: Emulator) -> None:
    """A 429 is retried after the provider's Retry-After, and then answered."""
    emulator.script(Step(status=429, retry_after=0.3))
    started = time.monotonic()
    async with mind_at(emulator) as mind:
        assert await mind.think(HELLO, 100) == "hello there"
    assert time.monotonic() - started >= 0.3
    assert len(emulator.journal) == 2


async def test_long_retry_after_is_left_to_the_turn(emulator: Emulator) -> None:
    """A pause of a minute is not waited out within a call but passed on."""
    emulator.default = Step(status=429, retry_after=60)
    error = await failing(emulator)
    assert (error.retry_after, error.permanent, len(emulator.journal)) == (60.0, False, 1)


@pytest.mark.parametrize("status", [500, 503, 529, 408, 409])
async def test_passing_errors_are_retried_within_the_limit(emulator: Emulator, status: int) -> None:
    """Server errors are retried as often as the limit says, and stay temporary."""
    emulator.default = Step(status=status, retry_after=0)
    error = await failing(emulator)
    assert (error.permanent, len(emulator.journal)) == (False, 1 + LIMITS.retries)
    assert str(status) in error.reason


async def test_spent_quota_is_permanent(openai: OpenAIEmulator) -> None:
    """OpenAI's 429 for an empty account is not a rate limit: the hint says that waiting does not help."""
    openai.default = Step(status=429, code="insufficient_quota", message="You exceeded your current quota")
    error = await failing(openai)
    assert (error.permanent, len(openai.journal)) == (True, 1)
    assert "credit" in error.hint


async def test_hang_before_the_first_word(emulator: Emulator) -> None:
    """A silent provider is given up after the first-token timeout, not the total one."""
    emulator.default = Step(failure="hang")
    started = time.monotonic()
    error = await failing(emulator, MindLimits(first_token=0.2, total=3600.0, retries=2))
    assert time.monotonic() - started >= 0.2
    assert "no first word within 0.2 s" in error.reason
    assert not error.permanent


async def test_hang_after_the_first_word(emulator: Emulator) -> None:
    """An answer that stalls is given up after the total timeout, even if its first token came in time."""
    emulator.default = Step("one two three four", failure="hang_mid", thought="well")
    error = await failing(emulator, MindLimits(first_token=30.0, total=1.0, retries=2))
    assert "did not finish an answer within 1 s" in error.reason


async def test_slow_answer_outlives_the_first_token_timeout(emulator: Emulator) -> None:
    """After the first token, an answer may take longer than the first-token timeout."""
    emulator.script(Step("one two three four five six seven eight nine ten", pause=0.5))
    async with mind_at(emulator, MindLimits(first_token=4.0, total=PATIENCE, retries=0)) as mind:
        assert await mind.think(HELLO, 100) == "one two three four five six seven eight nine ten"


@pytest.mark.parametrize("failure", ["drop", "malformed", "error_event"])
async def test_broken_stream_is_asked_again(emulator: Emulator, failure: str) -> None:
    """A stream that breaks, is garbled or reports an error gives no partial answer: the call is retried."""
    emulator.script(Step("half an answer that breaks", failure=failure))  # type: ignore[arg-type]  # parametrized
    async with mind_at(emulator) as mind:
        assert await mind.think(HELLO, 100) == "hello there"
    assert len(emulator.journal) == 2


@pytest.mark.parametrize("failure", ["drop", "malformed", "error_event"])
async def test_broken_streams_end_in_a_reason(emulator: Emulator, failure: str) -> None:
    """A stream that breaks every time ends as temporarily unreachable."""
    emulator.default = Step("half an answer that breaks", failure=failure)  # type: ignore[arg-type]  # parametrized
    error = await failing(emulator, MindLimits(3.0, 6.0, 0))
    assert not error.permanent
    assert error.reason


async def test_reasoning_is_left_out(emulator: Emulator) -> None:
    """A model's reasoning, in the provider's field or in think tags, is not part of its answer."""
    emulator.script(Step("<think>hm, a greeting</think>\n\nHello!", thought="let me think"))
    async with mind_at(emulator) as mind:
        assert await mind.think(HELLO, 100) == "Hello!"


@pytest.mark.parametrize("text", ["", "  \n", "<think>only thoughts</think>", "<think>cut off"])
async def test_empty_answer_is_an_error(emulator: Emulator, text: str) -> None:
    """An empty answer is an error, not silence."""
    emulator.default = Step(text)
    error = await failing(emulator)
    assert "empty answer" in error.reason


async def test_half_characters_are_joined(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two halves in two pieces of a stream are one character; a half that stays alone, and NUL, are U+FFFD."""
    streamed = ["smile \ud83d", "\ude00 end", " \ud83d", " and\0"]
    monkeypatch.setattr(f"tests.emulators.{provider_of(emulator)}.pieces", lambda _text: streamed)
    async with mind_at(emulator) as mind:
        assert await mind.think(HELLO, 100) == "smile 😀 end \ufffd and\ufffd"


async def test_declined_answer_is_said(emulator: Emulator) -> None:
    """A provider's content filter is reported to the person, since a retry would not help."""
    finish = "refusal" if provider_of(emulator) == "anthropic" else "content_filter"
    emulator.script(Step("", finish=finish))
    async with mind_at(emulator) as mind:
        assert await mind.think(HELLO, 100) == DECLINED


async def test_nobody_listens() -> None:
    """A refused connection is temporary and names the host."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    organ = Organ("m", "openai", None, f"http://127.0.0.1:{port}")
    mind = mind_for(organ, MindLimits(2.0, 4.0, 0), {}, no_host)
    with pytest.raises(OrganUnreachable) as caught:
        await mind.think(HELLO, 10)
    await mind.close()
    assert not caught.value.permanent
    assert f"127.0.0.1:{port}" in caught.value.reason


async def test_local_engine_needs_no_key(openai: OpenAIEmulator) -> None:
    """A null provider means the local engine at the operator's url, called without a key."""
    mind = mind_for(Organ("llama3"), LIMITS, {"local": f"{openai.url}/v1"}, no_host)
    assert await mind.think(HELLO, 10) == "hello there"
    await mind.close()
    assert openai.journal[0].headers["authorization"] == "Bearer none"


async def test_local_model_that_is_not_pulled(openai: OpenAIEmulator) -> None:
    """For a model that the local engine does not have, the hint shows the command that gets it."""
    openai.models = ["another"]
    mind = mind_for(Organ("llama3"), LIMITS, {"local": openai.url}, no_host)
    with pytest.raises(OrganUnreachable) as caught:
        await mind.think(HELLO, 10)
    await mind.close()
    assert "ollama pull llama3" in caught.value.hint


async def test_environment_gives_no_key(openai: OpenAIEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, organizations and addresses in the daemon's environment are never used for a persona."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-operator")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-operator")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/")
    mind = mind_for(Organ("m", "openai", None, openai.url), LIMITS, {}, no_host)
    await mind.think(HELLO, 10)
    await mind.close()
    assert "operator" not in str(openai.journal[0].headers)


async def test_cancelled_call_leaves_the_mind_usable(emulator: Emulator) -> None:
    """A call that is cancelled midway does not affect the next one."""
    emulator.script(Step(failure="hang"))
    async with mind_at(emulator) as mind:
        call = asyncio.create_task(mind.think(HELLO, 100))
        await emulator.requests(1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await mind.think(HELLO, 100) == "hello there"


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("http://h", "http://h/v1"),
        ("http://h/", "http://h/v1"),
        ("http://h/v1", "http://h/v1"),
        ("http://h/v1/", "http://h/v1"),
        ("https://g/v1beta/openai", "https://g/v1beta/openai"),
        ("https://openrouter.ai/api", "https://openrouter.ai/api/v1"),
        ("https://h/v1x", "https://h/v1x/v1"),
    ],
)
def test_url_with_or_without_its_version(given: str, base: str) -> None:
    """A url is accepted with or without a version, and Gemini's different path is kept."""
    assert versioned_url(given) == base


@pytest.mark.parametrize("given", ["http://h", "http://h/", "http://h/v1", "http://h/v1/"])
def test_anthropic_url_is_bare(given: str) -> None:
    """Anthropic's SDK adds the version itself."""
    assert bare_url(given) == "http://h"


@pytest.mark.parametrize("given", ["http://127.0.0.1:99999", "http://[::1", "file:///etc/passwd", "http://", "h:80/v1"])
def test_a_url_that_leads_nowhere_is_refused(given: str) -> None:
    """A port that does not exist and an open bracket are refused by name, instead of being tried until a timeout."""
    with pytest.raises(OrganConfigError, match="must be http:// or https:// with a host"):
        versioned_url(given)


@pytest.mark.parametrize(
    ("organ", "says"),
    [
        (Organ("m", "cohere", None, "http://h"), "no provider 'cohere'"),
        (Organ("m", "openai", None, "ftp://h"), "http:// or https://"),
        (Organ(" ", "openai", None, "http://h"), "model name"),
        (Organ("llama", "embedded"), "smollm2-135m-instruct"),
    ],
)
def test_impossible_organ(organ: Organ, says: str) -> None:
    """An organ that names no mind is refused with a text that says what to change."""
    with pytest.raises(OrganConfigError, match=says):
        mind_for(organ, LIMITS, {}, no_host)


def test_preload_names_modules_that_exist() -> None:
    """Every module on the zygote's preload list can be imported."""
    for modules in PRELOAD.values():
        for module in modules:
            __import__(module)


@pytest.mark.frugal
@pytest.mark.parametrize("provider", ["openai", "anthropic", None, "embedded"])
def test_rehearsal_leaves_nothing_to_import(provider: str | None) -> None:
    """After a rehearsal the first answer imports nothing more, and no thread is left that a fork would lose."""
    served = "anthropic" if provider == "anthropic" else "openai"
    code = f"""
import asyncio, importlib, sys, threading
from proto.messages import ChatTurn, MindLimits
from proto.records import Organ
from worker.organs.choice import PRELOAD, mind_for
from worker.organs.rehearsal import rehearse
for module in PRELOAD[{provider!r}]:
    importlib.import_module(module)
rehearse({provider!r})
assert threading.active_count() == 1, threading.enumerate()
before = set(sys.modules)
async def ask():
    mind = mind_for(Organ("m", {served!r}, None, sys.argv[1]), MindLimits(5, 5, 0), {{}}, None)
    assert await mind.think([ChatTurn("user", "hello")], 10) == "hello"
    await mind.close()
if {provider!r} != "embedded":
    asyncio.run(ask())
print(sorted(set(sys.modules) - before))
"""
    kind = AnthropicEmulator if served == "anthropic" else OpenAIEmulator
    with kind() as emulator:
        ran = subprocess.run(
            [sys.executable, "-c", code, emulator.url], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
