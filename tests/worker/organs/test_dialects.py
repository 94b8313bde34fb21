"""What a server takes is learned from its refusals, and how much it takes from what it tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proto.messages import ChatTurn, Line, MindLimits, Perceive, Refused, Reply
from proto.records import Organ
from tests.emulators.anthropic import AnthropicEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from tests.worker.conftest import WEB, SeatMaker
from worker.base.organ_errors import OrganUnreachable, PromptRefused
from worker.organs.choice import mind_for
from worker.organs.dialect import Dialect
from worker.organs.mind import Mind
from worker.organs.probe import probe
from worker.organs.remote_mind import MOST_REPLY_TOKENS
from worker.organs.room import LEAST, Room
from worker.prompting.prompt import REPLY_TOKENS
from worker.prompting.size import shortened, tokens

LIMITS = MindLimits(first_token=10.0, total=20.0, retries=0)
HELLO = [ChatTurn("system", "You are Adam."), ChatTurn("user", "hello there")]
TALK = [Line("person" if at % 2 else "assistant", f"line {at} " + "x" * 300, at) for at in range(1, 30)]


async def no_host(_turns: list[ChatTurn], _max_tokens: int) -> str:
    raise AssertionError("a remote mind asks no organ host")


@asynccontextmanager
async def mind_at(organ: Organ) -> AsyncIterator[Mind]:
    mind = mind_for(organ, LIMITS, {}, no_host)
    try:
        yield mind
    finally:
        await mind.close()


def at(openai: OpenAIEmulator, provider: str | None = "openai") -> Organ:
    return Organ("test-model", provider, None, openai.url)


@pytest.mark.parametrize("fields", [("max_completion_tokens",), ("max_tokens",), ()])
async def test_the_field_of_the_limit(openai: OpenAIEmulator, fields: tuple[str, ...]) -> None:
    """Behind a proxy the host does not tell which field the model takes; one that takes neither gets none."""
    openai.limit_fields = fields
    assert await probe(at(openai), LIMITS, {}) == ""
    async with mind_at(at(openai)) as mind:
        assert await mind.think(HELLO, 100) == "hello there"
        asked = len(openai.journal)
        await mind.think(HELLO, 100)
    assert len(openai.journal) == asked + 1
    sent = openai.journal[-1].body
    assert [name for name in ("max_tokens", "max_completion_tokens") if name in sent] == [*fields]


async def test_a_smaller_number(openai: OpenAIEmulator) -> None:
    """A model that writes at most 2,048 tokens is asked for these, also in the next call."""
    openai.most = 2048
    async with mind_at(at(openai)) as mind:
        assert await mind.think(HELLO, REPLY_TOKENS) == "hello there"
        await mind.think(HELLO, REPLY_TOKENS)
        await mind.think(HELLO, 100)
    assert [entry.body["max_tokens"] for entry in openai.journal] == [REPLY_TOKENS, 2048, 2048, 100]


async def test_anthropics_smaller_number(anthropic: AnthropicEmulator) -> None:
    """Anthropic's words for the same."""
    words = "max_tokens: 4096 > 2048, which is the maximum allowed number of output tokens for test-model"
    anthropic.script(Step(status=400, message=words))
    async with mind_at(Organ("test-model", "anthropic", None, anthropic.url)) as mind:
        assert await mind.think(HELLO, REPLY_TOKENS) == "hello there"
    assert [entry.body["max_tokens"] for entry in anthropic.journal] == [REPLY_TOKENS, 2048]


async def test_no_system_role(openai: OpenAIEmulator) -> None:
    """A template without a system role gets its text before the first words."""
    openai.takes_system = False
    async with mind_at(at(openai)) as mind:
        await mind.think(HELLO, 100)
    sent = openai.journal[-1].body["messages"]
    assert sent == [{"role": "user", "content": "You are Adam.\n\nhello there"}]


async def test_content_in_parts(openai: OpenAIEmulator) -> None:
    """A server that wants lists of parts gets them."""
    openai.wants_parts = True
    async with mind_at(at(openai)) as mind:
        assert await mind.think(HELLO, 100) == "hello there"
    assert openai.journal[-1].body["messages"][1]["content"] == [{"type": "text", "text": "hello there"}]


async def test_everything_at_once(openai: OpenAIEmulator) -> None:
    """A server with several wishes is understood step by step, within a limit."""
    openai.limit_fields, openai.takes_system, openai.wants_parts, openai.most = (
        ("max_completion_tokens",),
        False,
        True,
        64,
    )
    async with mind_at(at(openai)) as mind:
        assert "hello there" in await mind.think(HELLO, 100)
    assert len(openai.journal) == 5


async def test_a_context_of_4096(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """A server that counts the answer with the prompt is answered from the first message on."""
    openai.context, openai.counts_answer = 4096, True
    adam = seat(at(openai))
    adam.perceive("hello there")
    assert (await adam.first(Reply)).perceptions == [1]
    assert len(openai.journal) == 2
    adam.agent.receive(Perceive(2, WEB, adam.perceptions("and now?"), TALK, {"person": "- Dog: Biscuit\n" * 900}))
    assert (await adam.several(Reply, 2))[1].perceptions == [2]
    assert len(openai.journal) == 3
    assert adam.of(Refused) == []


async def test_the_setting(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """With the operator's setting the first prompt fits already."""
    openai.context, openai.counts_answer = 2048, True
    adam = seat(at(openai), limits=MindLimits(30.0, 60.0, 0, context=2048))
    adam.perceive("hello there", history=TALK, memory={"person": "- Dog: Biscuit\n" * 900})
    await adam.first(Reply)
    assert len(openai.journal) == 1
    assert "Biscuit" in str(openai.journal[0].body)


@pytest.mark.parametrize(
    ("local", "context"),
    [
        ({"show": {"parameters": 'stop "x"\nnum_ctx 2048'}, "ps": {"models": []}}, 2048),
        ({"show": {}, "ps": {"models": [{"name": "test-model:latest", "context_length": 1024}]}}, 1024),
        ({"show": {"model_info": {"llama.context_length": 131072}}}, 4096),
        ({"models": {"data": [{"id": "test-model", "max_model_len": 2048}]}}, 2048),
        ({"models": {"data": [{"id": "test-model", "meta": {"n_ctx": 1024}}]}}, 1024),
        ({"models": {"data": [{"id": "another", "max_model_len": 7}]}}, 0),
        ({"show": {"parameters": 7, "model_info": [1]}, "ps": {"models": "none"}}, 4096),
        ({}, 0),
    ],
)
async def test_a_local_server_tells(
    seat: SeatMaker, openai: OpenAIEmulator, local: dict[str, object], context: int
) -> None:
    """Ollama cuts long prompts in silence, the system turn first: what is sent fits into what it says it takes."""
    openai.local = local
    adam = seat(at(openai, None))
    adam.perceive("and now?", history=TALK * 4, memory={"person": "- Dog: Biscuit\n" * 900})
    await adam.first(Reply)
    (asked,) = openai.asked("completions")
    size = sum(len(message["content"]) // 4 for message in asked.body["messages"])
    assert size + asked.body["max_tokens"] <= (context or 100_000)
    assert size > (context or 8_000) // 3


async def test_reasoning_that_uses_up_the_answer(seat: SeatMaker, openai: OpenAIEmulator) -> None:
    """An answer that is empty because it reached its length is asked for with twice the room, within a limit."""
    openai.script(Step("", thought="hm", finish="length"), Step("", thought="hm", finish="length"))
    adam = seat(at(openai))
    adam.perceive("hello there")
    await adam.first(Reply)
    asked = [entry.body["max_tokens"] for entry in openai.journal]
    assert asked == [REPLY_TOKENS, 2 * REPLY_TOKENS, MOST_REPLY_TOKENS]


# The pure parts


@pytest.mark.parametrize(
    "said",
    [
        "Incorrect API key provided",
        "The model `m` does not exist",
        "max_tokens",
        "maximum context length is 4096 tokens",
    ],
)
def test_other_refusals_teach_nothing(said: str) -> None:
    """What says nothing about the form is not asked again in another one."""
    assert not Dialect("max_tokens").learn(OrganUnreachable(said, "", status=400))
    assert not Dialect("max_tokens").learn(OrganUnreachable("Unsupported parameter: 'max_tokens'", "", status=503))


def test_a_room_only_shrinks() -> None:
    """Sizes that are told are used with the density that they show; without any, half of the prompt is tried."""
    room = Room(0)
    assert (room.prompt, room.reply(REPLY_TOKENS, 50_000)) == (0, REPLY_TOKENS)
    assert not room.learn(PromptRefused("too_long", ""), 10_000, REPLY_TOKENS)
    assert room.prompt == 5_000
    assert not room.learn(PromptRefused("too_long", "", context=8_000, asked=10_000), 5_000, REPLY_TOKENS)
    assert room.prompt <= 3_000
    assert room.reply(REPLY_TOKENS, 3_000) + 3_000 * 2 <= 8_000
    for _ in range(10):
        before = room.prompt
        room.learn(PromptRefused("too_long", ""), room.prompt, REPLY_TOKENS)
        assert LEAST <= room.prompt <= before
    assert room.prompt == LEAST


def test_tokens_are_estimated() -> None:
    """Four ASCII characters are a token, any other character is one; a text is cut to fit exactly."""
    assert [tokens(text) for text in ("", "abcd", "abcde", "äö", "漢字", "\N{GRINNING FACE}")] == [0, 1, 2, 2, 2, 1]
    assert [shortened("漢字漢字", most) for most in (0, 3, 4, 9)] == ["", "漢字漢", "漢字漢字", "漢字漢字"]
    assert shortened("abcdefgh", 1) == "abcd"
