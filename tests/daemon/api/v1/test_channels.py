"""Channels as resources: pages and filters, changes, pauses, tests, deletion and conversations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.api.archives import exported, restored
from tests.daemon.api.v1.reception import PHONES, Reception
from tests.daemon.api.v1.test_authentication import problem
from tests.daemon_process import wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.twilio import TwilioEmulator
from tests.providers import Telegram


def test_lists_come_in_pages(lonely: Reception) -> None:
    """Every channel once, oldest first, however large the pages are; filters hold across pages."""
    lonely.persona()
    made = [lonely.create(name=str(number))["id"] for number in range(3)]
    other = lonely.create(channelType="whatsapp")["id"]
    lonely.http.post(f"/v1/channels/{made[1]}/pause")

    for limit in (1, 2, 3, 4, 100):
        seen: list[str] = []
        query: dict[str, str | int] = {"limit": limit}
        while True:
            page = lonely.get("", **query)
            assert 0 < len(page["items"]) <= limit
            seen += [one["id"] for one in page["items"]]
            assert page["hasMore"] == (page["nextCursor"] is not None)
            if not page["hasMore"]:
                break
            query["cursor"] = page["nextCursor"]
        assert seen == [*made, other]
    assert lonely.ids(channelType="whatsapp") == [other]
    assert lonely.ids(status="paused") == [made[1]]
    assert lonely.ids(status="active", channelType="sms") == [made[0], made[2]]
    assert lonely.ids(status="error") == []


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("cursor=x", "cursor"),
        ("cursor=%FF", "cursor"),
        ("cursor=WzEsMl0=", "cursor"),
        ("cursor=WzFlOTk5LCJhIl0=", "cursor"),
        ("cursor=" + "A" * 5000, "cursor"),
        ("status=open", "status"),
        ("status=", "status"),
        ("channelType=", "channelType"),
        ("channelType=discord", "channelType"),
    ],
)
def test_a_faulty_query_names_its_parameter(desk: Reception, query: str, parameter: str) -> None:
    """A faulty parameter of the list is 422, whichever it is."""
    answer = desk.http.get(f"/v1/channels?{query}")

    assert answer.status_code == 422, answer.text
    assert [error["parameter"] for error in problem(answer)["errors"]] == [parameter]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("", {"GET", "HEAD", "POST"}),
        ("/options", {"GET", "HEAD"}),
        ("/nothing", {"DELETE", "GET", "HEAD", "PATCH"}),
        ("/nothing/pause", {"POST"}),
    ],
)
def test_a_wrong_method_is_told_those_of_the_resource(desk: Reception, path: str, allowed: set[str]) -> None:
    """405 with all methods of the path and no others: ``options`` looks like a channel's id and is none."""
    answer = desk.http.options(f"/v1/channels{path}")

    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed


def test_a_change_leaves_what_is_absent_and_null_is_the_default(desk: Reception) -> None:
    """Each field can be changed by itself; the answer is the changed channel."""
    made = desk.create(welcomeMessage="Hello!", fallbackMessage="Soon.", modelId="fast")
    path = f"/v1/channels/{made['id']}"

    assert desk.http.patch(path, json={}).json() == made
    named = desk.http.patch(path, json={"name": "Bar", "welcomeMessage": None}).json()
    assert named == {**made, "name": "Bar", "welcomeMessage": None, "updatedAt": named["updatedAt"]}
    assert named["updatedAt"] > made["updatedAt"]
    bare = desk.http.patch(path, json={"modelId": None, "fallbackMessage": None, "datasetIds": None}).json()
    assert bare["modelId"] is None
    assert bare["fallbackMessage"] not in ("", "Soon.")
    same = {key: made[key] for key in ("channelType", "systemPromptId", "phoneNumber")}
    assert desk.http.patch(path, json=same).json() == bare == desk.get(f"/{made['id']}")


@pytest.mark.parametrize(
    ("changed", "status", "pointer"),
    [
        ({"name": None}, 422, "/name"),
        ({"modelId": "slow"}, 422, "/modelId"),
        ({"datasetIds": ["none"]}, 422, "/datasetIds/0"),
        ({"channelType": "whatsapp"}, 409, "/channelType"),
        ({"phoneNumber": PHONES[-1]}, 409, "/phoneNumber"),
        ({"systemPromptId": "x"}, 409, "/systemPromptId"),
        ({"botToken": "123456789:AAother"}, 409, "/botToken"),
        ({"account": "pub"}, 422, "/account"),
        ({"account": "home"}, 422, "/phoneNumber"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    desk: Reception, changed: dict[str, object], status: int, pointer: str
) -> None:
    """The channel's identity cannot be changed, and a refused change changes nothing."""
    made = desk.create()
    answer = desk.http.patch(f"/v1/channels/{made['id']}", json=changed)

    assert answer.status_code == status, answer.text
    assert [error["pointer"] for error in problem(answer)["errors"]] == [pointer]
    assert desk.get(f"/{made['id']}") == made


def test_a_channels_instructions_reach_her_mind(desk: Reception) -> None:
    """What visitors of the channel get is answered with its present instructions; null and "" take them away."""
    token = desk.bot()
    made = desk.create(botToken=token, instructions="Sell tickets only.")
    path, ann = f"/v1/channels/{made['id']}", desk.telegram.chat(token, "ann_instructed")

    def prompt(words: str) -> str:
        ann.write(words)
        ann.hears(words)
        return next(str(call.body) for call in desk.mind.journal if words in str(call.body))

    assert made["instructions"] == "Sell tickets only."
    assert "Sell tickets only." in prompt("the first question")
    changed = desk.http.patch(path, json={"instructions": "Sell nothing."}).json()
    assert (changed["instructions"], changed["name"]) == ("Sell nothing.", made["name"])
    second = prompt("the second question")
    assert "Sell nothing." in second
    assert "Sell tickets" not in second
    for none in (None, ""):
        desk.http.patch(path, json={"instructions": "Sell nothing."})
        assert desk.http.patch(path, json={"instructions": none}).json()["instructions"] is None
    assert "Sell" not in prompt("the third question")


def test_visitors_follow_only_what_is_marked_for_them(desk: Reception) -> None:
    """Of her owner's instructions and memory nothing reaches a visitor's prompt but what is marked for visitors."""
    token, owner = desk.bot(), desk.persona("Marked")
    orders = f"/api/persona/{owner}/knowledge/instructions"
    for name, visitors in (("mine", False), ("hours", True)):
        body = {"intention": f"About {name}", "body": f"Do as the {name} say.", "visitors": visitors}
        assert desk.http.put(f"{orders}/{name}", json=body).status_code == 200
    desk.create(botToken=token, systemPromptId=owner)
    ann = desk.telegram.chat(token, "ann_marked")
    ann.write("a question about marks")
    ann.hears("a question about marks")
    prompt = next(str(call.body) for call in desk.mind.journal if "a question about marks" in str(call.body))
    desk.http.post(f"/api/persona/{owner}/delete")

    assert "Do as the hours say." in prompt
    assert "mine" not in prompt


def test_a_paused_channel_keeps_words_and_answers_when_resumed(desk: Reception) -> None:
    """Two visitors have a conversation each; both are read in pages, newest first."""
    token = desk.bot()
    made = desk.create(botToken=token)
    path = f"/{made['id']}"
    assert desk.http.post(f"/v1/channels{path}/pause").json()["status"] == "paused"
    ann, bob = desk.telegram.chat(token, "ann_v1"), desk.telegram.chat(token, "bob_v1")
    ann.write("from ann")
    bob.write("from bob")
    wait_for(lambda: desk.get(path)["messageCount"] == 2, "words on a paused channel")
    assert not ann.texts()
    conversations = desk.get(f"{path}/conversations")["items"]
    (waiting,) = desk.get(f"{path}/conversations/{conversations[0]['id']}/messages")["items"]
    assert (waiting["id"], waiting["role"]) == (None, "user")

    assert desk.http.post(f"/v1/channels{path}/resume").json()["status"] == "active"
    ann.hears("from ann")
    bob.hears("from bob")
    wait_for(lambda: desk.get(path)["messageCount"] == 4, "both answers")
    shown = desk.get(path)
    assert shown["conversationCount"] == 2
    assert shown["lastMessageAt"] > shown["createdAt"]
    first = desk.get(f"{path}/conversations", limit=1)
    second = desk.get(f"{path}/conversations", limit=1, cursor=first["nextCursor"])
    assert (first["hasMore"], second["hasMore"]) == (True, False)
    conversations = [*first["items"], *second["items"]]
    assert {one["messageCount"] for one in conversations} == {2}
    assert conversations[0]["lastMessageAt"] >= conversations[1]["lastMessageAt"]
    lines = f"{path}/conversations/{conversations[0]['id']}/messages"
    newest = desk.get(lines, limit=1)
    oldest = desk.get(lines, limit=1, cursor=newest["nextCursor"])
    assert [page["items"][0]["role"] for page in (newest, oldest)] == ["assistant", "user"]
    assert not oldest["hasMore"]
    assert desk.http.get(f"/v1/channels{path}/conversations/nobody/messages").status_code == 404


def test_a_full_channel_keeps_nobody_on_another_from_writing(
    tmp_path: Path, telegram: Telegram, twilio: TwilioEmulator, mind: OpenAIEmulator
) -> None:
    """What waits on a paused channel has its own bound; the persona's other channel is answered."""
    small = Reception(tmp_path / "state", telegram, twilio, mind, "[limits]\ninbox = 2\n")
    try:
        small.daemon.start().ready()
        small.persona()
        paused, other = small.bot(), small.bot()
        path = f"/{small.create(botToken=paused)['id']}"
        small.create(botToken=other)
        small.http.post(f"/v1/channels{path}/pause")
        ann = telegram.chat(paused, "ann_waits")
        for number in (1, 2):
            ann.write("waits")
            wait_for(lambda n=number: small.get(path)["messageCount"] == n, "words to wait")  # type: ignore[misc]
        ann.write("is one too many")

        bob = telegram.chat(other, "bob_beside")
        bob.write("beside it")
        bob.hears("beside it")
        assert small.get(path)["messageCount"] == 2
    finally:
        small.daemon.close()


def test_a_bot_gets_a_new_token(desk: Reception) -> None:
    """A new token of the same bot is taken, and the channel stays what it was; another bot's is refused."""
    token = desk.bot()
    made = desk.create(botToken=token)
    number = token.partition(":")[0]
    new = desk.telegram.emulator.add_bot(f"{number}:{'B' * 35}", username="v1renewed").token
    path = f"/v1/channels/{made['id']}"
    for wrong, status in ((desk.bot(), 409), (f"{number}:{'C' * 35}", 422)):
        answer = desk.http.patch(path, json={"botToken": wrong})
        assert answer.status_code == status, answer.text
        assert [error["pointer"] for error in problem(answer)["errors"]] == ["/botToken"]
    answer = desk.http.patch(path, json={"botToken": new, "name": "Renewed"})
    assert (answer.status_code, answer.json()["id"]) == (200, made["id"])
    desk.telegram.revoke(token)
    assert desk.http.post(f"{path}/test").json()["ok"] is True
    assert desk.http.patch(path, json={"botToken": new}).json()["name"] == "Renewed"
    assert desk.http.delete(path).status_code == 204


def test_a_test_asks_the_provider_now(desk: Reception) -> None:
    """It says whose credentials they are, and what is wrong when they are revoked."""
    token = desk.bot()
    made = desk.create(botToken=token)
    good = desk.http.post(f"/v1/channels/{made['id']}/test").json()
    assert good["ok"] is True
    assert good["identity"].startswith("v1bot")

    desk.telegram.revoke(token)
    bad = desk.http.post(f"/v1/channels/{made['id']}/test").json()
    assert (bad["ok"], bad["identity"]) == (False, None)
    assert "token" in bad["detail"]
    assert token not in str(bad)
    wait_for(lambda: desk.get(f"/{made['id']}")["status"] == "error", "the channel to show its error")
    shown = desk.get(f"/{made['id']}")
    assert shown["lastError"]
    assert shown["lastErrorAt"]
    assert made["id"] in desk.ids(status="error", limit=100)
    assert desk.http.delete(f"/v1/channels/{made['id']}").status_code == 204


def test_a_deleted_channel_is_gone_and_its_number_is_free(desk: Reception) -> None:
    """The answer is 204 without a body; then every route is 404, and the same number can make a new channel."""
    made = desk.create()
    path = f"/v1/channels/{made['id']}"
    answer = desk.http.delete(path)

    assert (answer.status_code, answer.content) == (204, b"")
    assert desk.http.get(path).status_code == 404
    assert desk.http.delete(path).status_code == 404
    assert desk.http.patch(path, json={"name": "x"}).status_code == 404
    assert desk.create(phoneNumber=made["phoneNumber"])["id"] == made["id"]


def test_a_paired_channel_is_shown_and_keeps_its_own_settings(desk: Reception) -> None:
    """A channel of the persona API can be shown, paused, tested and deleted here, but not changed."""
    persona = desk.persona("Ada")
    token = desk.bot()
    body = {"kind": "telegram", "credentials": {"token": token}}
    assert desk.http.post(f"/api/persona/{persona}/channels", json=body).status_code == 200
    (paired,) = [one for one in desk.get("", limit=100)["items"] if one["systemPromptId"] == persona]
    path = f"/v1/channels/{paired['id']}"

    assert paired["name"].startswith("v1bot")
    answer = desk.http.patch(path, json={"welcomeMessage": "Hello!"})
    assert answer.status_code == 409
    assert "persona API" in problem(answer)["detail"]
    words = desk.http.get(f"{path}/conversations/1/messages")
    assert words.status_code == 409
    assert "her owner" in problem(words)["detail"]
    assert desk.http.post(f"{path}/pause").json()["status"] == "paused"
    assert desk.http.post(f"{path}/resume").json()["status"] == "active"
    assert desk.http.post(f"{path}/test").json()["ok"] is True
    assert desk.http.delete(path).status_code == 204
    (view,) = [one for one in desk.http.get("/api/personas").json()["personas"] if one["id"] == persona]
    assert view["channels"] == []
    desk.http.post(f"/api/persona/{persona}/delete")


def test_an_open_bot_does_not_come_back_as_a_paired_one(lonely: Reception) -> None:
    """A restored persona does not get her open channels back: their visitors must not be shown pairing codes."""
    persona, token = lonely.persona(), lonely.bot()
    lonely.create(botToken=token)
    archive = exported(lonely.daemon, persona)
    lonely.http.post(f"/api/persona/{persona}/delete")

    answer = restored(lonely.daemon, archive)

    assert answer.status_code == 200, answer.text
    assert answer.json()["persona"]["channels"] is None
    (left_out,) = answer.json()["left_out"]
    assert "/v1/channels" in left_out
    assert lonely.create(botToken=token)["status"] == "active"
