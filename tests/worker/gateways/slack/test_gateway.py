"""The Slack gateway with Slack's protocol on loopback: socket and webhooks, conversations, files and failures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from proto.gateways import Delivered, Gateway, Identified, Identify, Undelivered, channel_id
from proto.secrets import Secret
from tests.emulators.slack import BOT, SlackEmulator
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.slack.channel import TIMING, connected, opened
from worker.gateways.identify import identify
from worker.gateways.slack.gateway import SlackGateway

PDF: Final = b"%PDF-1.7\n" + bytes(range(256)) * 40


@pytest.fixture
def slack() -> Iterator[SlackEmulator]:
    with SlackEmulator() as emulator:
        yield emulator


async def test_direct_messages_and_mentions(slack: SlackEmulator, tmp_path: Path) -> None:
    """Only direct messages and mentions reach her, and each thread is a separate conversation."""
    async with connected(slack, tmp_path) as channel:
        ann, bob = slack.person("Ann"), slack.person("Bob")
        slack.say(ann, "hello &amp; <https://example.org|here>, <@U0002>")
        [first] = await channel.first()
        assert (first.account, first.account_name, first.chat, first.private) == (ann, "Ann", slack.direct(ann), True)
        assert first.content == "hello & here (https://example.org), @Bob"
        slack.say(ann, "in a thread", thread_ts="1700000000.000100")
        slack.say(bob, f"<@{BOT}> what now?", channel="C1")
        slack.deliver({**slack.message(bob, "not for her"), "channel": "C1", "channel_type": "channel"})
        slack.deliver(slack.message(bob, "a bot", bot_id="B1"))
        slack.deliver(slack.message(bob, "an edit", subtype="message_changed"))
        slack.say(ann, "last")
        items = await channel.first(4)
        assert [item.content for item in items[1:]] == [
            "in a thread",
            "(Bob writes in this thread:)\nwhat now?",
            "last",
        ]
        assert items[1].chat == f"{slack.direct(ann)}:1700000000.000100"
        assert items[2].chat.startswith("C1:")
        await asyncio.to_thread(slack.wait, lambda: len(slack.acknowledged) == 7, "all events to be acknowledged")


async def test_replies_in_a_thread(slack: SlackEmulator, tmp_path: Path) -> None:
    """What is said in a thread without a mention is marked, unless it mentions somebody else; files are only named."""
    thread = {"channel": "C1", "channel_type": "channel", "thread_ts": "1700000000.000100"}
    async with connected(slack, tmp_path) as channel:
        ann, bob = slack.person("Ann"), slack.person("Bob")
        file = {"id": "F1", "name": "plan.pdf", "mimetype": "application/pdf", "url_private": f"{slack.url}files/F1"}
        for written in (
            slack.message(ann, "and on Friday?"),
            slack.message(ann, f"<@{bob}> what do you say?"),
            slack.message(ann, f"<@{BOT}> comes as a mention, too"),
            slack.message(ann, "from an app", bot_id="B1"),
            slack.message(bob, "", files=[file], subtype="file_share"),
            {**slack.message(bob, "begins a thread"), "ts": thread["thread_ts"]},
        ):
            slack.deliver({**written, **thread})
        slack.say(ann, f"<@{BOT}> hello", channel="C1", thread_ts=thread["thread_ts"])
        items = await channel.first(3)
        await asyncio.to_thread(slack.wait, lambda: len(slack.acknowledged) == 7, "all events to be acknowledged")
    assert [(item.content, item.unaddressed, item.media) for item in items] == [
        ("(Ann writes in this thread:)\nand on Friday?", True, None),
        ("(Bob writes in this thread:)\n(With files, which she gets only with a mention: plan.pdf.)", True, None),
        ("(Ann writes in this thread:)\nhello", False, None),
    ]
    assert {item.chat for item in items} == {"C1:1700000000.000100"}


async def test_commit_before_acknowledgement(slack: SlackEmulator, tmp_path: Path) -> None:
    """An event that was not committed is not acknowledged; Slack delivers it again, under the same key."""
    async with opened(slack, tmp_path) as channel:
        channel.refusals = 1
        await channel.in_state("connected")
        event = slack.say(slack.person("Ann"), "keep me")
        [item] = await channel.first()
        assert [one.key for batch in channel.offers for one in batch] == [item.key, item.key]
        await asyncio.to_thread(slack.wait, lambda: event in slack.acknowledged, "the acknowledgement")


async def test_reconnects(slack: SlackEmulator, tmp_path: Path) -> None:
    """The gateway reconnects when Slack asks for it and after a broken socket; messages sent meanwhile arrive."""
    async with connected(slack, tmp_path) as channel:
        ann = slack.person("Ann")
        slack.ask_to_reconnect()
        slack.say(ann, "one")
        await channel.first()
        slack.break_sockets()
        slack.say(ann, "two")
        await channel.first(2)
        assert slack.most_sockets == 1
        assert [state.state for state in channel.states if state.state == "degraded"] == ["degraded"]


async def test_files(slack: SlackEmulator, tmp_path: Path) -> None:
    """A complete file goes to the perception of its extension, with its name; any other file is described in text."""
    async with connected(slack, tmp_path) as channel:
        files = [slack.file("May report.pdf", PDF), slack.file("tool.exe", b"MZ")]
        slack.say(slack.person("Ann"), "look", subtype="file_share", files=files)
        text, document, other = await channel.first(3)
        assert (text.content, document.kind, document.title) == ("look", "document", "May report.pdf")
        assert (channel.media / str(document.media)).read_bytes() == PDF
        assert "tool.exe" in other.content
        assert other.media is None


async def test_a_clip_is_speech(slack: SlackEmulator, tmp_path: Path) -> None:
    """A clip recorded in Slack is said to her, whatever Slack calls it; an audio file that was uploaded is a file."""
    async with connected(slack, tmp_path) as channel:
        clip = {**slack.file("audio_message.mp4", b"clip"), "subtype": "slack_audio", "mimetype": "video/mp4"}
        slack.say(slack.person("Ann"), "", subtype="file_share", files=[clip, slack.file("song.mp3", b"ID3")])
        spoken, song = await channel.first(2)
    assert (spoken.kind, spoken.title) == ("audio", "")
    assert (song.kind, song.title) == ("audio", "song.mp3")


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("Untitled", "text/plain", "document"),
        ("main.py", "text/x-python", "document"),
        ("err.log", "text/plain", "document"),
        ("image", "image/jpeg", "image"),
        (f"{'number two ' * 12}approved.txt", "", "document"),
        ("notes.md", "text/plain", "document"),
        ("voice.m4a", "application/octet-stream", "audio"),
        ("page", "text/html", None),
        ("tool.exe", "application/octet-stream", None),
    ],
)
async def test_what_a_file_is(slack: SlackEmulator, tmp_path: Path, name: str, kind: str, expected: str | None) -> None:
    """The whole name and the type that Slack gives decide together; a long name keeps its ending."""
    async with connected(slack, tmp_path) as channel:
        file = {**slack.file(name, b"some words"), "mimetype": kind}
        slack.say(slack.person("Ann"), "", subtype="file_share", files=[file])
        [item] = await channel.first()
    assert (item.kind if item.media else None) == expected
    if expected:
        assert (len(item.title) <= 100, item.title[-4:]) == (True, name[-4:])


async def test_a_file_of_another_organization(slack: SlackEmulator, tmp_path: Path) -> None:
    """Slack only names it in the message, and tells the rest when it is asked."""
    async with connected(slack, tmp_path) as channel:
        shared = {"id": "F77", "file_access": "check_file_info", "name": None}
        slack.shared_files["F77"] = {**slack.file("plan.pdf", PDF), "id": "F77", "mimetype": "application/pdf"}
        ann = slack.person("Ann")
        slack.say(ann, "", subtype="file_share", files=[shared, {**shared, "id": "F78"}])
        known, unknown = await channel.first(2)
    assert (known.title, known.kind, unknown.media) == ("plan.pdf", "document", None)


async def test_a_mention_in_a_thread(slack: SlackEmulator, tmp_path: Path) -> None:
    """She reads what was said there since her last message, if she may, and knows who writes."""
    ann, bob = slack.person("Ann"), slack.person("Bob")
    thread = "1700000000.000100"
    slack.threads["C1", thread] = [
        {"user": ann, "text": "old", "ts": thread},
        {"user": BOT, "text": "hers", "ts": "1700000000.000200"},
        {"user": ann, "text": f"<@{BOT}> she has this already", "ts": "1700000000.000300"},
        {"user": bob, "text": "Shall we ship\non <https://example.org|Friday>?", "ts": "1700000000.000400"},
        {"user": None, "text": None, "ts": "1700000000.000500"},
    ]
    async with connected(slack, tmp_path) as channel:
        slack.say(ann, f"<@{BOT}> what do you think?", channel="C1", thread_ts=thread)
        slack.say(bob, f"<@{BOT}>", channel="C2", thread_ts=thread)
        first, second = sorted(await channel.first(2), key=lambda item: item.account)
    assert first.content == (
        "(Earlier in this thread, Bob: Shall we ship on Friday (https://example.org)?)\n"
        "(Earlier in this thread, somebody: something without words)\n"
        "(Ann writes in this thread:)\nwhat do you think?"
    )
    assert second.content == "(Bob writes in this thread:)\n(The person only mentioned her.)"
    assert {first.chat, second.chat} == {f"C1:{thread}", f"C2:{thread}"}


async def test_files_of_one_sender_are_limited(slack: SlackEmulator, tmp_path: Path) -> None:
    """At most 100 MB per hour are fetched from one sender; the note for her asks to tell the person about the rest."""
    async with connected(slack, tmp_path) as channel:
        files = [{**slack.file(f"{number}.pdf", PDF), "size": 24 * 2**20} for number in range(5)]
        slack.say(slack.person("Ann"), "", subtype="file_share", files=files)
        slack.say(slack.person("Bob"), "", subtype="file_share", files=files[:1])
        items = await channel.first(6)
    assert sum(bool(item.media) for item in items) == 5
    assert ["too many files" in item.content for item in items if not item.media] == [True]


async def test_sends_in_the_thread(slack: SlackEmulator, tmp_path: Path) -> None:
    """Markdown becomes Slack's markup, long texts are split, files are sent, and answers stay in their thread."""
    async with connected(slack, tmp_path) as channel:
        channel.deliver("**Yes** & <no>, [here](https://example.org)", "C1:17.1")
        assert isinstance(await channel.outcome(), Delivered)
        assert slack.posted[0].text == "*Yes* &amp; &lt;no&gt;, <https://example.org|here>"
        assert (slack.posted[0].channel, slack.posted[0].thread) == ("C1", "17.1")
        channel.deliver("word " * 1500, "D1", seq=2)
        await channel.outcome(2)
        assert len(slack.texts("D1")) == 3
        assert all(len(text) <= 4000 for text in slack.texts("D1"))
        channel.media.mkdir()
        (channel.media / "voice.ogg").write_bytes(b"OggS")
        channel.deliver("my voice", "D2", seq=3, kind="audio", media="voice.ogg")
        await channel.outcome(3)
        assert (slack.posted[-1].text, slack.posted[-1].files) == ("my voice", [b"OggS"])


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"error": "channel_not_found"}, {"permanent": True, "blocked": True}),
        ({"error": "restricted_action_thread_locked"}, {"permanent": True, "blocked": True}),
        ({"error": "msg_too_long"}, {"permanent": True, "blocked": False}),
        ({"error": "no_text"}, {"permanent": True, "blocked": False}),
        *(
            ({"error": error}, {"permanent": False, "ambiguous": True, "tries": 0})
            for error in ("internal_error", "fatal_error", "service_unavailable", "request_timeout")
        ),
        ({"error": "team_added_to_org"}, {"permanent": False, "ambiguous": False, "tries": 0}),
        ({"error": "message_limit_exceeded"}, {"permanent": False, "ambiguous": False, "tries": 0}),
        ({"error": "an_error_of_tomorrow"}, {"permanent": False, "ambiguous": False, "tries": 8}),
        ({"error": ""}, {"permanent": False, "ambiguous": False, "tries": 8}),
        ({"error": "ratelimited", "status": 429, "retry_after": 7}, {"permanent": False, "retry_after": 7.0}),
        ({"status": 503, "error": "internal"}, {"permanent": False, "ambiguous": True}),
        ({"mute": True}, {"permanent": False, "ambiguous": True}),
    ],
)
async def test_failed_sends(
    slack: SlackEmulator, tmp_path: Path, fault: dict[str, object], expected: dict[str, object]
) -> None:
    """Each failure is classified: of the message, of the conversation, a wait, or perhaps no failure at all."""
    async with connected(slack, tmp_path) as channel:
        slack.fail("chat.postMessage", **fault)
        channel.deliver("hello", "D1")
        failure = await channel.outcome()
        assert isinstance(failure, Undelivered)
        assert {name: getattr(failure, name) for name in expected} == expected


async def test_a_revoked_token_stops(slack: SlackEmulator, tmp_path: Path) -> None:
    """The gateway stops, says what to do, and makes no further request; no token is in the log."""
    async with connected(slack, tmp_path) as channel:
        slack.refused = "token_revoked"
        slack.break_sockets()
        state = await channel.in_state("stopped")
        assert "token_revoked" in state.error
        assert "api.slack.com/apps" in state.hint
        assert slack.bot_token not in channel.log()


async def test_an_app_that_nothing_comes_from_stops(slack: SlackEmulator, tmp_path: Path) -> None:
    """Without a public address or a Socket Mode token the gateway says which to set, and makes no request."""
    secret = Secret(slack.bot_token)
    gateway = Gateway(channel_id("slack", secret.reveal()), "slack", secret, open=True)
    channel = Channel(tmp_path, lambda media, link, log: SlackGateway(gateway, slack.url, media, link, log, TIMING))
    try:
        state = await channel.in_state("stopped")
    finally:
        await channel.close()
    assert (state.error_class, slack.calls) == ("config", [])
    assert ("app_token_file" in state.hint, "public_url" in state.hint) == (True, True)


async def test_webhooks(slack: SlackEmulator, tmp_path: Path) -> None:
    """With a public address no socket is opened; an event is done once its messages are committed."""
    async with opened(slack, tmp_path, webhook="https://example.org/hooks/1") as channel:
        channel.refusals = 1
        await channel.in_state("connected")
        body, headers = slack.signed(slack.payload(slack.message(slack.person("Ann"), "by post")))
        number = channel.webhook(body, headers["Content-Type"])
        [item] = await channel.first()
        assert (item.content, channel.webhooks_done) == ("by post", [number])
        ignored = channel.webhook(
            b'{"type": "event_callback", "event": {"type": "reaction_added"}}', "application/json"
        )
        broken = channel.webhook(b"{", "application/json")
        await channel.handled(broken)
        assert (channel.webhooks_done[1:], [one.number for one in channel.unread]) == ([ignored], [broken])
        assert slack.most_sockets == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"channel_type": None},
        {"channel_type": 7},
        {"subtype": None, "bot_id": None, "thread_ts": None, "files": None},
        {"files": [{"name": None, "size": None, "url_private_download": None, "url_private": None}]},
        {"files": [None, {"size": "big"}, 7]},
        {"blocks": [{"half": "\ud83d"}]},
        {"ts": "999999999999.5"},
        {"ts": 1700000000.5, "thread_ts": 1700000000.0001},
    ],
)
async def test_a_surprise_in_a_side_field(slack: SlackEmulator, tmp_path: Path, fields: dict[str, object]) -> None:
    """Her words arrive, over the socket and by webhook, whatever stands beside them."""
    ann = slack.person("Ann")
    async with connected(slack, tmp_path) as channel:
        slack.deliver(slack.message(ann, "by socket", **fields))
        await channel.first()
        body, headers = slack.signed(slack.payload(slack.message(ann, "by post", **fields)))
        await channel.handled(channel.webhook(body, headers["Content-Type"]))
    assert [text for text in channel.texts if not text.startswith("(")] == ["by socket", "by post"]
    assert channel.unread == []
    if fields.get("thread_ts"):
        assert channel.items[0].chat == f"{slack.direct(ann)}:1700000000.000100"


@pytest.mark.parametrize("fields", [{"text": {"rich": 1}}, {"ts": None}, {"user": ["U1"]}, {"channel": None}])
async def test_what_cannot_be_read_is_kept(slack: SlackEmulator, tmp_path: Path, fields: dict[str, object]) -> None:
    """An event from the socket is acknowledged once the daemon has it, and can be read later like a webhook's."""
    ann = slack.person("Ann")
    async with connected(slack, tmp_path) as channel:
        channel.refusals = 1
        event = slack.deliver({**slack.message(ann, "who knows", channel_type="im"), **fields})
        await asyncio.to_thread(slack.wait, lambda: event in slack.acknowledged, "the acknowledgement")
        [kept] = channel.unread
        assert (kept.key, kept.number, len(channel.offers), channel.items) == (event, 0, 2, [])
        number = channel.webhook(kept.body, kept.content_type)
        await channel.handled(number)
    assert [one.number for one in channel.unread] == [0, number]


async def test_answers_of_slack_with_surprises(slack: SlackEmulator, tmp_path: Path) -> None:
    """A null beside what is needed keeps nobody from connecting."""
    slack.surprises = {"team": None, "url": None, "profile": None, "is_enterprise_install": None}
    async with connected(slack, tmp_path) as channel:
        slack.say(slack.person("Ann"), "hello")
        [item] = await channel.first()
    assert (item.content, item.account_name) == ("hello", "Ann")


async def test_identify(slack: SlackEmulator) -> None:
    """Both tokens are tried, and the reason says what is wrong with them."""

    async def ask(bot: str, app: str) -> Identified:
        credentials = {"app_token": Secret(app)}
        return await identify(Identify("slack", Secret(bot), {"slack": slack.url}, credentials=credentials))

    found = await ask(slack.bot_token, slack.app_token)
    assert (found.bot_id, found.bot_name, found.reason) == (BOT, "persona in The Team", "")
    assert "invalid_auth" in (await ask("xoxb-wrong", slack.app_token)).reason
    assert "invalid_auth" in (await ask(slack.bot_token, "xapp-x")).reason
