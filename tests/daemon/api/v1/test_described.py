"""Both APIs used by a client that has only their description; what it says of each answer is true.

A client of openapi-python-client went the same way by hand: its package is not among the tests' dependencies.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from daemon.api.openapi import document
from tests.daemon.api.v1.reception import Reception
from tests.daemon_process import wait_for
from tests.described import Described
from tests.listener import Listener

KINDS = {
    "chat_delta": "DeltaFrame",
    "chat_speech": "SpeechFrame",
    **dict.fromkeys(("chat_message", "chat_audio", "chat_image"), "ChatFrame"),
}


@pytest.fixture
def client(desk: Reception) -> Described:
    """The client, which fetches the description first."""
    return Described(desk.http)


@pytest.fixture
def persona(desk: Reception, client: Described) -> Iterator[str]:
    """A persona made by the client."""
    mind = {
        "thinking_model": "m",
        "thinking_provider": "openai",
        "thinking_url": desk.mind.url,
        "thinking_api_key": "k",
    }
    asked = {"name": "Gwen", **mind}
    made = client.call("createPersona", body=asked)["persona"]["id"]
    yield made
    assert client.call("deletePersona", persona_id=made) is None
    client.call("getConversation", 404, persona_id=made)


def test_a_persona_from_making_to_export(desk: Reception, client: Described, persona: str) -> None:
    """She is listed, gets a channel, reads and answers; what was said, what she knows and all of her can be fetched."""
    assert persona in [one["id"] for one in client.call("listPersonas")["personas"]]
    bot = {"kind": "telegram", "credentials": {"token": desk.bot()}}
    assert client.call("addChannel", body=bot, persona_id=persona) == {"kind": "telegram"}
    with Listener(desk.daemon, persona) as listener:
        client.call("read", body={"message": "hello client"}, persona_id=persona)
        listener.hears("hello client")
        schemas = document()["components"]["schemas"]
        for frame in list(listener.frames):
            kind = KINDS.get(frame["type"], "SignalFrame")
            assert not list(client.faults(schemas[kind], frame)), frame
    said = wait_for(lambda: client.call("getConversation", persona_id=persona, limit=10)["messages"][1:], "her answer")
    assert [line["role"] for line in said] == ["assistant"]
    assert client.call("exportPersona", persona_id=persona, secrets="false").startswith(b"PK")
    assert client.call("getKnowledge", persona_id=persona)["instruction"] == []
    assert client.call("updatePersona", body={"status": "active"}, persona_id=persona)["running"]
    assert client.call("retry", persona_id=persona)["messages"] == []
    assert client.call("hush", persona_id=persona) == {"status": "not answering"}
    assert client.call("removeChannel", persona_id=persona, channel_name="nobody") == {"removed": "nobody"}
    for name in ("stopPersona", "startPersona", "restartPersona"):
        client.call(name, persona_id=persona)


def test_the_daemon_tells_how_it_does(client: Described, persona: str) -> None:
    """Status, checks, log, metrics and providers are what the description says."""
    assert persona in [one["id"] for one in client.call("getStatus")["personas"]]
    assert client.call("getLiveness") == {"status": "alive"}
    assert client.call("getReadiness")["status"] == "ready"
    assert b"daemon.listening" in client.call("getLogs", lines=100_000)
    assert b"personad_requests_total" in client.call("getMetrics")
    assert "openai" in client.call("listProviders")
    assert client.call("getOpenApi")["openapi"].startswith("3.1")


def test_a_channel_from_making_to_deletion(desk: Reception, client: Described, persona: str) -> None:
    """A channel of /v1 is created, found, changed, paused, tried and deleted."""
    assert persona in [one["systemPromptId"] for one in client.call("getChannelOptions")["systemPrompts"]]
    asked = {"name": "Desk", "channelType": "sms", "phoneNumber": desk.phone(), "systemPromptId": persona}
    channel = client.call("createChannel", 201, body=asked)["id"]
    assert client.call("getChannel", channel_id=channel)["name"] == "Desk"
    assert channel in [one["id"] for one in client.call("listChannels", channelType="sms", limit=100)["items"]]
    change = {"name": "Shop", "welcomeMessage": "Hi", "fallbackMessage": None}
    assert client.call("updateChannel", body=change, channel_id=channel)["welcomeMessage"] == "Hi"
    assert client.call("pauseChannel", channel_id=channel)["status"] == "paused"
    assert client.call("resumeChannel", channel_id=channel)["status"] == "active"
    assert client.call("testChannel", channel_id=channel)["ok"]
    assert client.call("listConversations", channel_id=channel)["items"] == []
    client.call("listMessages", 404, channel_id=channel, conversation_id="1")
    client.call("deleteChannel", 204, channel_id=channel)
    client.call("getChannel", 404, channel_id=channel)


def test_refusals_are_described_too(client: Described, persona: str) -> None:
    """Each API's errors have the form that the description gives them."""
    client.call("getKnowledge", 404, persona_id="nobody")
    client.call("getConversation", 422, persona_id=persona, limit="many")
    client.call("pairChannel", 400, body={"code": "AB12CD"}, persona_id=persona)
    client.call("read", 400, body={"message": "x"}, persona_id=persona)
    client.call("createChannel", 422, body={"name": "x", "channelType": "sms"})
    client.call("listChannels", 422, cursor="x")
    client.call("eraseSender", 404, sender_id="nobody")
    client.call("testChannel", 404, channel_id="nothing")
