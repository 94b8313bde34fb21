"""The feeder's process: what it offers, how it digests what is wanted, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from proto.feeds import Digested, Fed, FeedFailed, Offered, Undigested, Wanted
from proto.messages import Heartbeat, MindLimits
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ
from proto.secrets import Secret
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from tests.worker.history.feeder_process import FeederProcess

EXPORTS = Path(__file__).parents[2] / "fixtures" / "exports"

BUILT_IN = Organ(EMBEDDED_MIND, EMBEDDED)
LIMITS = MindLimits(first_token=30.0, total=60.0, retries=1)
AT_ONCE = MindLimits(first_token=5.0, total=10.0, retries=0)


@pytest.fixture
def feeder(tmp_path: Path, openai_server: OpenAIEmulator) -> Iterator[FeederProcess]:
    with FeederProcess(tmp_path, urlsplit(openai_server.url).port or 0) as process:
        yield process


def remote(openai: OpenAIEmulator) -> Organ:
    return Organ("m", "openai", Secret("k"), openai.url)


def export(folder: Path, *texts: str) -> Path:
    """A Claude export with a conversation for each text."""
    path = folder / "conversations.json"
    talks = [
        {"created_at": "2024-03-02T10:00:00Z", "chat_messages": [{"sender": "human", "text": text}]} for text in texts
    ]
    path.write_text(json.dumps(talks))
    return path


def test_the_built_in_mind_digests_an_export(feeder: FeederProcess) -> None:
    """Each conversation is offered once and in order; a known one is skipped; new facts have a note of origin."""
    feeder.feed(EXPORTS / "chatgpt.json", "chatgpt", BUILT_IN, LIMITS)
    first = feeder.first(Offered)
    size = (EXPORTS / "chatgpt.json").stat().st_size
    assert (first.number, first.title, first.lines, first.at, first.size) == (
        1,
        "A garden on the roof",
        3,
        1714550400 * 10**9,
        size,
    )
    assert 0 < first.position < size
    feeder.send(Wanted(1, {"person": "- Likes: tea\n"}))
    digested = feeder.first(Digested)
    assert digested.memory == {"person": "- Likes: tea\n- Name: Ada (from ChatGPT, May 2024)\n"}
    assert digested.key == first.key

    second = feeder.first(Offered)
    feeder.send(Wanted(second.number))
    assert feeder.next_digest(digested.memory) == {}
    # The custom instructions come last.
    assert feeder.next_digest(digested.memory) == {}
    assert feeder.first(Fed) == Fed(4, 1)
    feeder.first(Heartbeat)
    assert feeder.stop() == 0
    assert [one.number for one in feeder.messages if isinstance(one, Digested)] == [1, 3, 4]


def test_a_remote_mind_digests(feeder: FeederProcess, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """The mind learns when and with whom the conversation was, sees no notes of origin, and cannot lose them."""
    openai.script(Step("## person\n- Has a dog.\n- has a cat\n- Sails.\n- Sails\n\n## end"))
    feeder.feed(export(tmp_path, "I sail with my dog.", "Bye"), "claude", remote(openai), LIMITS)
    memory = {"person": "- Has a dog. (from ChatGPT, May 2023)\n- Has a cat\n", "traits": "- Calm\n"}
    assert feeder.next_digest(memory) == {
        "person": "- Has a dog. (from ChatGPT, May 2023)\n- Has a cat\n- Sails. (from Claude, March 2024)\n"
    }
    told = openai.journal[0].body["messages"][-1]["content"]
    assert "person: (A talk with Claude, March 2024.)\nperson: I sail with my dog." in told
    assert "(from" not in told

    openai.script(Step("## end"))
    assert feeder.next_digest(memory) == {}
    assert feeder.first(Fed) == Fed(2, 0)


def test_unusable_answers(feeder: FeederProcess, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """A mind that answers nonsense is called once more; then that conversation is left out, but not the next one."""
    feeder.feed(export(tmp_path, "one", "two", "three"), "claude", remote(openai), LIMITS)
    openai.script(Step("Sure!"), Step("Here you are."))
    offered = feeder.first(Offered)
    feeder.send(Wanted(offered.number, {}))
    assert feeder.first(Undigested).number == 1
    assert not [one for one in feeder.messages if isinstance(one, Digested)]
    assert "does not end with" in feeder.log("feeder.undigested")[0]["reason"]

    openai.script(Step("Sure!"), Step("## wishes\n- To sail\n\n## end"), Step("## end"))
    assert feeder.next_digest({}) == {"wishes": "- To sail (from Claude, March 2024)\n"}
    assert feeder.next_digest({}) == {}
    assert feeder.first(Fed) == Fed(2, 1)


def test_a_mind_that_is_away_for_a_moment(feeder: FeederProcess, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """An outage that ends within the retries does no harm; a longer one ends the feed."""
    openai.script(Step(status=503), Step(status=503), Step("## end"))
    openai.default = Step(status=503)
    feeder.feed(export(tmp_path, "one", "two"), "claude", remote(openai), LIMITS)
    assert feeder.next_digest({}) == {}
    assert len(openai.journal) == 3

    feeder.send(Wanted(feeder.first(Offered).number, {}))
    failed = feeder.first(FeedFailed)
    assert failed.cause == "mind"
    assert "503" in failed.reason
    assert len(openai.journal) == 7


def test_a_mind_that_refuses_is_not_asked_again(feeder: FeederProcess, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """A wrong key ends the feed at once; the reason does not contain it."""
    openai.key = "right"
    feeder.feed(
        export(tmp_path, "one"), "claude", Organ("m", "openai", Secret("wrong-key-of-mine"), openai.url), LIMITS
    )
    feeder.send(Wanted(feeder.first(Offered).number, {}))
    failed = feeder.first(FeedFailed)
    assert failed.cause == "mind"
    assert "401" in failed.reason
    assert "wrong-key-of-mine" not in failed.reason
    assert len(openai.journal) == 1


def test_a_mind_that_does_not_exist(feeder: FeederProcess, tmp_path: Path) -> None:
    """A record that names no mind ends the feed with a readable reason."""
    feeder.feed(export(tmp_path, "one"), "claude", Organ("m", "cohere"), LIMITS)
    assert feeder.first(FeedFailed).cause == "mind"


def test_a_broken_export_keeps_what_came_before(feeder: FeederProcess, tmp_path: Path) -> None:
    """The conversations before the damage are digested, then the damage is reported."""
    path = export(tmp_path, "My name is Ada.", "I like figs.", "I like tea.")
    path.write_bytes(path.read_bytes()[:-20])
    feeder.feed(path, "claude", BUILT_IN, AT_ONCE)
    assert feeder.next_digest({}) == {"person": "- Name: Ada (from Claude, March 2024)\n"}
    assert feeder.next_digest({}) == {"person": "- Likes: figs (from Claude, March 2024)\n"}
    assert feeder.first(FeedFailed) == FeedFailed("format", "The file cannot be read: it ends in the middle.")


def test_another_sources_export(feeder: FeederProcess) -> None:
    """A file from another source is refused with the name of its real source."""
    feeder.feed(EXPORTS / "grok-archive.json", "chatgpt", BUILT_IN, AT_ONCE)
    failed = feeder.first(FeedFailed)
    assert failed.cause == "format"
    assert "name grok as its source" in failed.reason


def test_asked_to_stop_in_the_middle(feeder: FeederProcess, openai: OpenAIEmulator, tmp_path: Path) -> None:
    """It stops at once, even while its mind thinks."""
    openai.default = Step(failure="hang")
    feeder.feed(export(tmp_path, "one", "two"), "claude", remote(openai), LIMITS)
    feeder.send(Wanted(feeder.first(Offered).number, {}))
    feeder.first(Heartbeat)
    assert feeder.stop() == 0


def test_a_long_conversation_is_digested_in_parts(
    feeder: FeederProcess, openai: OpenAIEmulator, tmp_path: Path
) -> None:
    """Each part is one call that names the origin again and sees what the earlier parts changed."""
    messages = [{"sender": "human", "text": f"{n} " + "x" * 9_000} for n in range(5)]
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([{"chat_messages": messages}]))
    openai.script(Step("## wishes\n- One\n\n## end"), Step("## wishes\n- One\n- Two\n\n## end"), Step("## end"))
    feeder.feed(path, "claude", remote(openai), LIMITS)
    assert feeder.next_digest({}) == {"wishes": "- One (from Claude)\n- Two (from Claude)\n"}
    prompts = [entry.body["messages"][-1]["content"] for entry in openai.journal]
    assert [prompt.count("A talk with Claude.") for prompt in prompts] == [1, 1, 1]
    assert [prompt.count("- One") for prompt in prompts] == [0, 1, 1]
