"""The Discord emulator where nextcord hides what happens: plain HTTP and WebSocket clients, the controls, by hand."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.emulators.discord import DiscordEmulator
from tests.emulators.discord_clients import DM_INTENTS, client, closed, frame, gateway, identify
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def emulator() -> Iterator[DiscordEmulator]:
    with DiscordEmulator() as emulator:
        yield emulator


async def test_a_silent_bot_is_put_out(emulator: DiscordEmulator) -> None:
    """A connection without heartbeats is closed with 4009, and its session is gone."""
    emulator.configure(heartbeat_interval=0.05)
    async with gateway(emulator) as socket:
        await socket.send(identify(emulator))
        assert (await frame(socket))["t"] == "READY"
        assert await closed(socket) == 4009
    assert emulator.gateways() == 0


async def test_a_heartbeat_is_acknowledged(emulator: DiscordEmulator) -> None:
    """Opcode 1 gets opcode 11, unless the acknowledgements are switched off."""
    async with gateway(emulator) as socket:
        await socket.send('{"op": 1, "d": null}')
        assert (await frame(socket))["op"] == 11
        emulator.configure(acks=False)
        await socket.send('{"op": 1, "d": null}')
        await socket.send(identify(emulator))
        assert (await frame(socket))["t"] == "READY"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("{not json", 4002),
        ('{"op": 99, "d": null}', 4001),
        ('{"op": 3, "d": {}}', 4003),
        ('{"op": 2, "d": {"token": "wrong", "intents": 0, "properties": {}}}', 4004),
        ('{"op": 6, "d": {"token": "wrong", "session_id": "", "seq": 0}}', 4004),
    ],
)
async def test_wrong_frames_close_with_their_code(emulator: DiscordEmulator, sent: str, code: int) -> None:
    """Each wrong frame gets the documented close code."""
    async with gateway(emulator) as socket:
        await socket.send(sent)
        assert await closed(socket) == code


async def test_unknown_intents_and_second_identifies_are_refused(emulator: DiscordEmulator) -> None:
    """Intents that do not exist are 4013, an identify in a session is 4005, and codes come on demand."""
    for intents, code in ((1 << 40, 4013), (DM_INTENTS, 4005)):
        async with gateway(emulator) as socket:
            await socket.send(identify(emulator, intents))
            await socket.send(identify(emulator))
            assert await closed(socket) == code
    emulator.refuse_identify(4008)
    async with gateway(emulator) as socket:
        await socket.send(identify(emulator))
        assert await closed(socket) == 4008


async def test_resumes_that_cannot_be_granted(emulator: DiscordEmulator) -> None:
    """An unknown session gets opcode 9, after which an identify succeeds; a sequence number of the future is 4007."""
    async with gateway(emulator) as socket:
        d: dict[str, object] = {"token": emulator.token, "session_id": "unknown", "seq": 1}
        await socket.send(json.dumps({"op": 6, "d": d}))
        refused = await frame(socket)
        assert (refused["op"], refused["d"]) == (9, False)
        await socket.send(identify(emulator))
        ready = await frame(socket)
        d["session_id"] = ready["d"]["session_id"]
        await socket.close(4000)
    await asyncio.to_thread(emulator.wait_for_gateways, 0)
    async with gateway(emulator, "/gw-resume") as socket:
        await socket.send(json.dumps({"op": 6, "d": {**d, "seq": 99}}))
        assert await closed(socket) == 4007


async def test_two_gateways_on_one_token_are_counted(emulator: DiscordEmulator) -> None:
    """The peak shows that a token once had two connections, even after one is gone."""
    async with gateway(emulator) as first, gateway(emulator) as second:
        for socket in (first, second):
            await socket.send(identify(emulator))
            await frame(socket)
        assert emulator.gateways(emulator.token) == 2
    await asyncio.to_thread(emulator.wait_for_gateways, 0)
    assert emulator.peak() == 2


async def test_the_first_dm_may_be_announced(emulator: DiscordEmulator) -> None:
    """If switched on, CHANNEL_CREATE comes before a DM's first message but not before its second."""
    emulator.configure(announce_channels=True)
    async with gateway(emulator) as socket:
        await socket.send(identify(emulator))
        await frame(socket)
        emulator.say("one")
        emulator.say("two")
        events = [(await frame(socket))["t"] for _ in range(3)]
    assert events == ["CHANNEL_CREATE", "MESSAGE_CREATE", "MESSAGE_CREATE"]


def test_sends_are_checked(emulator: DiscordEmulator) -> None:
    """Too long, empty, unknown and unwelcome messages get Discord's codes, and nothing is stored."""
    shy = emulator.dm(emulator.add_user("shy", accepts_dms=False))
    with client(emulator) as plain:
        path = f"/channels/{emulator.channel_id}/messages"
        long = plain.post(path, json={"content": "x" * 2001})
        assert (long.status_code, long.json()["code"]) == (400, 50035)
        assert long.json()["errors"]["content"]["_errors"][0]["code"] == "BASE_TYPE_MAX_LENGTH"
        cases = [
            (plain.post(path, json={"content": " "}), 400, 50006),
            (plain.post(path, content=b"{", headers={"content-type": "application/json"}), 400, 50109),
            (plain.post(f"/channels/{shy}/messages", json={"content": "hi"}), 403, 50007),
            (plain.post("/channels/1/messages", json={"content": "hi"}), 404, 10003),
            (plain.get(path, params={"limit": 101}), 400, 50035),
            (plain.post("/users/@me/channels", json={"recipient_id": "1"}), 400, 50033),
        ]
        assert [(answer.status_code, answer.json()["code"]) for answer, _, _ in cases] == [case[1:] for case in cases]
        sent = plain.post(path, json={"content": "hi", "flags": 4}).json()
        edited = plain.patch(f"{path}/{sent['id']}", json={"content": "hi!"}).json()
        assert (edited["content"], edited["flags"], edited["edited_timestamp"] is None) == ("hi!", 4, False)
    assert [message.content for message in emulator.sent()] == ["hi!"]


def test_every_answer_tells_its_limit(emulator: DiscordEmulator) -> None:
    """The headers count down, and a request over the limit gets a 429 that says when to retry."""
    emulator.limit("POST /channels/{channel_id}/typing", 2, 5.0)
    with client(emulator) as plain:
        answers = [plain.post(f"/channels/{emulator.channel_id}/typing") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [204, 204, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert 4.0 < answers[2].json()["retry_after"] <= 5.0
    assert answers[2].headers["via"]
    assert answers[2].headers["content-type"] == "application/json"


def test_the_controls_speak_http(emulator: DiscordEmulator) -> None:
    """A test in another process can make people speak, let requests fail, and read the journal."""
    base = emulator.url.removesuffix("/api/v10")
    with httpx.Client(base_url=base, trust_env=False) as control, client(emulator) as plain:
        user = control.post("/_control/users", json={"name": "bob"}).json()["id"]
        said = control.post("/_control/say", json={"user": user, "text": "hi"}).json()
        control.post("/_control/faults", json={"route": "GET /users/@me", "status": 502})
        assert [plain.get("/users/@me").status_code for _ in range(2)] == [502, 200]
        assert plain.get(f"/channels/{said['channel_id']}/messages").json()[0]["content"] == "hi"
        journal = control.get("/_control/journal").json()
        assert [entry["status"] for entry in journal["requests"]] == [502, 200, 200]
        assert control.get("/_control/state").json()["bots"][0]["token"] == emulator.token
        assert control.post("/_control/say", json={"txt": "hi"}).status_code == 400


def test_it_is_used_by_hand() -> None:
    """The program prints its address, takes lines as a person's messages and prints the bot's."""
    command = [sys.executable, "-m", "tests.emulators.discord", "--token", "by.hand.token"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        base, token, _help = (process.stdout.readline() for _ in range(3))
        assert token.split()[-1] == "by.hand.token"
        headers = {"Authorization": "Bot by.hand.token"}
        root = base.split()[-1].removesuffix("/api/v10")
        with httpx.Client(base_url=root, headers=headers, trust_env=False) as plain:
            said = plain.post("/_control/say", json={"text": "hello"}).json()
            plain.post(f"/api/v10/channels/{said['channel_id']}/messages", json={"content": "hello, human"})
        assert process.stdout.readline() == "persona -> alice: hello, human\n"
        process.stdin.write("//quit\n")
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
