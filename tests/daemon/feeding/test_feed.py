"""``feed`` as the perception page says: an export becomes part of her memory, once."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec
from websockets.sync.client import ClientConnection

from proto.feeds import SOURCES
from tests.daemon.api.archives import exported, restored
from tests.daemon.feeding.feeding import Feeding, LearningMind, create, export, facts, feed, learned, leftovers
from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.server import Step
from tests.patience import PATIENCE
from worker.prompting.memory import CONSOLIDATION_TOKENS

EXPORTS = Path(__file__).parents[2] / "fixtures" / "exports"
FORMAT = "Could not parse the external data. Please check the file format."
MIND = "Could not analyze the conversations. Please make sure the model is running."
RECORD = (
    *("id", "name", "thinking", "version", "base_model", "birthday", "status", "idle_timeout"),
    *("imagination", "mouth", "eye", "ear", "teacher", "researcher", "channels"),
)


def signals(socket: ClientConnection, last: str) -> list[dict[str, Any]]:
    """The signals up to one of this title (Any: JSON)."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["title"] != last:
        frame = json.loads(socket.recv(timeout=PATIENCE))
        if "title" in frame:
            found.append(frame)
    return found


def test_an_export_becomes_what_she_knows(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """Each conversation is consolidated, the answer is the raw record, and her sockets get the progress."""
    with kitchen.socket(f"/ws/{eve}") as socket:
        answer = feed(kitchen, eve, export(facts(4)))
        told = signals(socket, "Fed")

    assert answer.status_code == 200, answer.text
    persona = answer.json()["persona"]
    assert (tuple(answer.json()), tuple(persona)) == (("persona",), RECORD)
    assert (persona["id"], persona["thinking"]["api_key"], persona["channels"]) == (eve, "sk-not-masked", None)
    assert learned(kitchen, eve) == Counter(facts(4))
    counts = {"source": "chatgpt", "conversations": 4, "applied": 4, "known": 0, "undigested": 0}
    assert {key: told[-1]["details"][key] for key in counts} == counts
    assert told[0]["title"] == "Feeding"
    assert all(frame["details"]["position"] <= frame["details"]["size"] for frame in told)
    assert leftovers(kitchen, eve) == []


def test_what_was_fed_is_not_fed_again(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """The same file needs no call of her mind, a longer one only calls for what is new; nothing is doubled."""
    feed(kitchen, eve, export(facts(3)))
    calls = len(mind.heard)
    before = kitchen.http.get(f"/api/persona/{eve}/knowledge").content
    again = feed(kitchen, eve, export(facts(3)))
    unchanged = kitchen.http.get(f"/api/persona/{eve}/knowledge").content
    calls_again = len(mind.heard)
    longer = feed(kitchen, eve, export(facts(5)))

    assert (again.status_code, longer.status_code) == (200, 200)
    assert (calls_again, len(mind.heard)) == (calls, calls + 2)
    assert unchanged == before
    assert learned(kitchen, eve) == Counter(facts(5))


def test_what_was_fed_is_known_elsewhere(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """A persona that is restored from her archive does not learn the same conversations again."""
    feed(kitchen, eve, export(facts(3)))
    archive = exported(kitchen, eve)
    twin = restored(kitchen, archive, new_id="true").json()["persona"]["id"]
    calls = len(mind.heard)
    answer = feed(kitchen, twin, export(facts(4)))
    kitchen.http.post(f"/api/persona/{twin}/delete")

    assert (answer.status_code, len(mind.heard)) == (200, calls + 1)


def test_every_source(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """Exports of each kind are read to the end; her mind is called for each conversation, but not the second time."""
    files = [file for file in sorted(EXPORTS.iterdir()) if file.suffix in (".json", ".jsonl")]
    with kitchen.socket("/ws/system") as socket:
        for is_new in (True, False):
            calls = len(mind.heard)
            for file in files:
                answer = feed(kitchen, eve, file.read_bytes(), re.split(r"[-.]", file.name)[0])
                assert answer.status_code == 200, (file.name, answer.text)
                counts = signals(socket, "Fed")[-1]["details"]
                assert (counts["conversations"] > 0, counts["undigested"]) == (True, 0), file.name
            assert (len(mind.heard) > calls) == is_new

    assert {re.split(r"[-.]", file.name)[0] for file in files} == set(SOURCES)


def test_order_of_refusals(kitchen: DaemonProcess, eve: str) -> None:
    """A faulty form is 422 even without a persona; then come 409 (not running), 400 (unknown source), then the file."""

    def post(persona_id: str, history: bytes | None, source: str | None) -> httpx.Response:
        files = {"history": ("a.json", history)} if history is not None else {"other": ("a", b"")}
        data = {} if source is None else {"source": source}
        return kitchen.http.post(f"/api/persona/{persona_id}/feed", files=files, data=data)

    nobody = str(uuid.uuid4())
    missing = post(nobody, None, None)
    assert missing.status_code == 422
    faults = [(one["type"], one["loc"]) for one in missing.json()["detail"]]
    assert faults == [("missing", ["body", "history"]), ("missing", ["body", "source"])]
    assert post(nobody, b"[]", "").status_code == 422
    refused = post(nobody, b"[]", "nonsense")
    assert (refused.status_code, refused.json()) == (409, {"detail": "Persona is not active."})
    unknown = post(eve, b"rubbish", "nonsense")
    assert unknown.status_code == 400
    assert "chatgpt, claude, gemini, grok, personad" in unknown.json()["detail"]
    broken = post(eve, b"rubbish", "chatgpt")
    assert (broken.status_code, broken.json()["detail"]) == (400, FORMAT)
    assert broken.json()["reason"].startswith("The file cannot be read: ")
    kitchen.http.post(f"/api/persona/{eve}/stop")
    assert post(eve, b"[]", "chatgpt").status_code == 409
    kitchen.http.post(f"/api/persona/{eve}/start")
    assert leftovers(kitchen, eve) == []


def test_an_export_over_the_limit_is_413(kitchen: DaemonProcess, eve: str) -> None:
    """The size is declared or counted on arrival; the answer names the setting, and nothing is left."""
    for size in (200_001, 2_000_000):
        answer = feed(kitchen, eve, b"x" * size)
        assert answer.status_code == 413
        assert "200000" in answer.json()["detail"]
        assert "limits.feed" in answer.json()["detail"]
    assert leftovers(kitchen, eve) == []


def test_a_mind_that_is_away(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """An unreachable mind is the documented 400; what was finished is kept, and the same file continues from there."""

    learn = mind.answer
    mind.answer = lambda text: Step(status=503) if "fact-2" in text.partition("# The talk")[2] else learn(text)
    answer = feed(kitchen, eve, export(facts(4)))
    before = learned(kitchen, eve)
    mind.answer = learn
    again = feed(kitchen, eve, export(facts(4)))

    assert (answer.status_code, answer.json()["detail"]) == (400, MIND)
    assert answer.json()["reason"]
    assert before == Counter(facts(2))
    assert again.status_code == 200
    assert learned(kitchen, eve) == Counter(facts(4))


def test_a_feed_delays_nobody(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """During a feed she and others chat and another persona is fed; a second feed for her is refused."""
    mind.hold("fact-0")
    adam = create(kitchen, mind, "Adam")
    first = Feeding(kitchen, eve, export(facts(2)))
    wait_for(lambda: mind.times("fact-0") == 1, "the first conversation")
    with kitchen.socket(f"/ws/{eve}") as hers, kitchen.socket(f"/ws/{adam}") as his:
        for socket, persona_id in ((hers, eve), (his, adam)):
            assert kitchen.read(persona_id, "good morning").status_code == 200
            while "good morning" not in str(json.loads(socket.recv(timeout=PATIENCE)).get("content", "")):
                continue
    second = feed(kitchen, eve, export(facts(2)))
    elsewhere = feed(kitchen, adam, export(facts(2, "b")))
    mind.let_go("fact-0")

    assert (second.status_code, "being fed already" in second.json()["detail"]) == (409, True)
    assert elsewhere.status_code == 200
    assert first.ended().status_code == 200
    assert learned(kitchen, eve) == Counter(facts(2))
    assert learned(kitchen, adam) == Counter(facts(2, "b"))
    kitchen.http.post(f"/api/persona/{adam}/delete")


def test_no_more_than_two_at_once(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """A third persona's feed is 503 with Retry-After until one of the two has ended."""
    mind.hold("fact-0")
    others = [create(kitchen, mind, name) for name in ("Adam", "Ada")]
    feeds = [Feeding(kitchen, persona_id, export(facts(1))) for persona_id in (eve, others[0])]
    wait_for(lambda: mind.times("fact-0") == 2, "two feeds under way")
    third = feed(kitchen, others[1], export(facts(1)))
    mind.let_go("fact-0")
    for one in feeds:
        assert one.ended().status_code == 200

    assert third.status_code == 503
    assert int(third.headers["retry-after"]) > 0
    assert feed(kitchen, others[1], export(facts(1))).status_code == 200
    for persona_id in others:
        kitchen.http.post(f"/api/persona/{persona_id}/delete")


def test_sleep_and_feed_do_not_overwrite_each_other(kitchen: DaemonProcess, eve: str, mind: LearningMind) -> None:
    """Her sleep waits for the conversation in hand and comes before the next one; what both learned is kept."""

    with kitchen.socket(f"/ws/{eve}") as socket:
        assert kitchen.read(eve, "remember fact-chat1").status_code == 200
        signals(socket, "Said")
    mind.hold("fact-0")
    first = Feeding(kitchen, eve, export(facts(3)))
    wait_for(lambda: mind.times("fact-0") == 1, "the first conversation")
    slept: list[httpx.Response] = []
    sleeping = threading.Thread(target=lambda: slept.append(kitchen.http.post(f"/api/persona/{eve}/sleep")))
    sleeping.start()
    with kitchen.socket(f"/ws/{eve}") as socket:
        assert kitchen.read(eve, "still there?").status_code == 200
        signals(socket, "Said")
    waited = not slept
    mind.let_go("fact-0")
    sleeping.join()

    assert waited
    assert (slept[0].status_code, first.ended().status_code) == (200, 200)
    assert learned(kitchen, eve) == Counter([*facts(3), "fact-chat1"])


def test_a_feed_ends_at_her_budget_and_goes_on_when_it_is_raised(
    kitchen: DaemonProcess, eve: str, mind: LearningMind
) -> None:
    """What was learned stays and is not paid for twice; the refusal says which budget it was and what to do."""
    path = f"/api/persona/{eve}/budget"
    data = export(facts(4, "budget"))
    spent = kitchen.http.get(f"/api/persona/{eve}/usage").json()["totals"]
    largest = CONSOLIDATION_TOKENS + 2000
    limit = spent["input"] + spent["output"] + largest
    kitchen.http.post(path, json={"day": f"{limit} tokens"})
    mind.default = Step(used=(2000, CONSOLIDATION_TOKENS, 0))
    answer = mind.answer
    mind.answer = lambda text: (step := answer(text)) and msgspec.structs.replace(step, used=(900, 300, 0))
    refused = feed(kitchen, eve, data)
    learned_first = learned(kitchen, eve)
    kitchen.http.post(path, json={"day": "unlimited"})
    mind.answer = answer
    fed = feed(kitchen, eve, data)

    assert refused.status_code == 409, refused.text
    assert refused.json()["detail"].startswith("No budget has room for what her mind would cost. The budget of this")
    assert 1 <= len(learned_first) < 4
    assert fed.status_code == 200
    assert set(learned(kitchen, eve).values()) == {1}
    rows = kitchen.http.get(f"/api/persona/{eve}/usage").json()["rows"]
    assert sum(row["calls"] for row in rows if row["purpose"] == "feed") == 4
