"""The Telegram emulator against aiogram, the library that the gateway uses, and against plain HTTP."""

from __future__ import annotations

import asyncio
import base64
import http.client
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)
from aiogram.types import BotCommand, BufferedInputFile, LinkPreviewOptions, ReplyParameters

from tests.emulators.telegram import TelegramEmulator
from tests.emulators.telegram_entities import EntityError, parse, render
from tests.emulators.telegram_faults import FloodRule
from tests.emulators.telegram_people import Person

ROOT = Path(__file__).parents[2]
PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 40


@pytest.fixture
def telegram() -> Iterator[TelegramEmulator]:
    with TelegramEmulator() as emulator:
        emulator.add_bot(username="persona_bot")
        yield emulator


@pytest.fixture
async def bot(telegram: TelegramEmulator) -> AsyncIterator[Bot]:
    async with connected(telegram) as client:
        yield client


@pytest.fixture
def ann(telegram: TelegramEmulator) -> Person:
    return telegram.user(username="ann")


def connected(telegram: TelegramEmulator, token: str = "") -> Bot:
    """An aiogram client of its own for a bot; use it as a context manager."""
    session = AiohttpSession(api=TelegramAPIServer.from_base(telegram.url), timeout=10)
    return Bot(token or telegram.bot().token, session=session)


async def test_get_me(bot: Bot, telegram: TelegramEmulator) -> None:
    """A token's bot says who it is."""
    me = await bot.get_me()
    assert (me.id, me.username, me.is_bot) == (telegram.bot().id, "persona_bot", True)


async def test_a_poll_waits_for_a_message(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A long poll stays open until somebody writes."""
    poll = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    assert not poll.done()
    posted = ann.write("Hello @persona_bot /start 😀")
    update = (await poll)[0]
    assert update.update_id == posted.update_id
    assert update.message
    assert update.message.text == "Hello @persona_bot /start 😀"
    assert update.message.chat.id == ann.id > 2**32
    assert [e.type for e in update.message.entities or []] == ["mention", "bot_command"]


async def test_a_poll_ends_empty_after_its_timeout(bot: Bot) -> None:
    """A long poll without news returns nothing when its time is over."""
    assert await bot.get_updates(timeout=1) == []


async def test_updates_come_again_until_confirmed(bot: Bot, ann: Person) -> None:
    """An update is delivered until a poll with a higher offset confirms it."""
    first, second = ann.write("one"), ann.write("two")
    assert first.update_id is not None
    assert second.update_id == first.update_id + 1
    assert [u.update_id for u in await bot.get_updates()] == [first.update_id, second.update_id]
    assert [u.update_id for u in await bot.get_updates(limit=1)] == [first.update_id]
    assert [u.update_id for u in await bot.get_updates(offset=second.update_id)] == [second.update_id]
    assert [u.update_id for u in await bot.get_updates()] == [second.update_id]
    assert await bot.get_updates(offset=second.update_id + 1) == []


async def test_a_negative_offset_forgets_the_older_ones(bot: Bot, ann: Person) -> None:
    """A negative offset counts from the end and confirms everything before."""
    posted = [ann.write(str(number)) for number in range(3)]
    assert [u.update_id for u in await bot.get_updates(offset=-1)] == [posted[2].update_id]
    assert [u.update_id for u in await bot.get_updates()] == [posted[2].update_id]


async def test_ids_may_jump_down(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """After a quiet week ids go on anywhere, and an offset from before still brings the new updates."""
    old = ann.write("before").update_id
    assert old is not None
    await bot.get_updates(offset=old + 1)
    telegram.bot().updates.jump(77)
    ann.write("after")
    assert [u.update_id for u in await bot.get_updates(offset=old + 1)] == [77]


async def test_allowed_updates_are_remembered(bot: Bot, ann: Person) -> None:
    """What a bot did not ask for is never queued."""
    await bot.get_updates(allowed_updates=["message"])
    posted = ann.write("first")
    assert ann.edit(posted, "changed").update_id is None
    assert len(await bot.get_updates()) == 1


async def test_an_edit_comes_as_edited_message(bot: Bot, ann: Person) -> None:
    """A changed message keeps its number and comes as edited_message."""
    posted = ann.write("frist")
    ann.edit(posted, "first")
    edited = (await bot.get_updates())[1].edited_message
    assert edited
    assert (edited.message_id, edited.text) == (posted.message_id, "first")
    assert edited.edit_date


async def test_a_second_poller_ends_the_first(bot: Bot, telegram: TelegramEmulator) -> None:
    """The poll that is open ends with 409 when another one begins, and the emulator has seen two at once."""
    first = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    async with connected(telegram) as other:
        second = asyncio.ensure_future(other.get_updates(timeout=30))
        with pytest.raises(TelegramConflictError, match="make sure that only one bot instance is running"):
            await first
        assert telegram.bot().most_polls == 2
        telegram.user().write("goes on")
        assert len(await second) == 1


async def test_a_poller_that_died_is_not_counted(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A new poll after the client broke off the old one is no second poller."""
    async with connected(telegram) as dead:
        poll = asyncio.ensure_future(dead.get_updates(timeout=30))
        await telegram.until_called("getUpdates")
        poll.cancel()
    ann.write("hello")
    assert len(await bot.get_updates(timeout=5)) == 1
    assert telegram.bot().most_polls == 1


def test_a_poller_that_is_replaced_at_once_is_not_counted(telegram: TelegramEmulator, ann: Person) -> None:
    """A client that breaks off in the very moment in which the next one polls makes no second poller."""
    base = f"/bot{telegram.bot().token}"
    old, new = (http.client.HTTPConnection("127.0.0.1", telegram.server.port, timeout=10) for _ in range(2))
    new.request("GET", f"{base}/getMe")
    new.getresponse().read()
    old.request("GET", f"{base}/getUpdates?timeout=30")
    telegram.wait_for_calls("getUpdates")
    busy = threading.Event()
    telegram.server.loop.call_soon_threadsafe(busy.wait)
    old.close()
    new.request("GET", f"{base}/getUpdates?timeout=30")
    busy.set()
    telegram.wait_for_calls("getUpdates", 2)
    ann.write("hello")
    assert b"hello" in new.getresponse().read()
    new.close()
    assert telegram.bot().most_polls == 1


async def test_no_polling_while_a_webhook_is_set(bot: Bot, telegram: TelegramEmulator) -> None:
    """setWebhook ends a poll, getUpdates answers 409 until deleteWebhook."""
    poll = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    await bot.set_webhook("https://example.org/hook")
    with pytest.raises(TelegramConflictError, match="terminated by setWebhook"):
        await poll
    with pytest.raises(TelegramConflictError, match="webhook is active"):
        await bot.get_updates()
    assert (await bot.get_webhook_info()).url == "https://example.org/hook"
    await bot.delete_webhook()
    assert await bot.get_updates() == []


async def test_bad_tokens(bot: Bot, telegram: TelegramEmulator) -> None:
    """A token that is revoked, even in the middle of a poll, or unknown is 401; what is no token is 404."""
    poll = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    telegram.revoke(telegram.bot())
    with pytest.raises(TelegramUnauthorizedError):
        await poll
    with pytest.raises(TelegramUnauthorizedError):
        await bot.get_me()
    async with connected(telegram, "123456:unknown") as stranger:
        with pytest.raises(TelegramUnauthorizedError):
            await stranger.get_me()
    async with connected(telegram, "123456:no/token") as broken:
        with pytest.raises(TelegramNotFound):
            await broken.get_me()


async def test_unknown_method(telegram: TelegramEmulator) -> None:
    """A method that does not exist is 404 in the Bot API's form, and names match in any case."""
    base = f"{telegram.url}/bot{telegram.bot().token}"
    async with httpx.AsyncClient() as client:
        unknown = await client.get(f"{base}/getNothing")
        assert unknown.json() == {"ok": False, "error_code": 404, "description": "Not Found"}
        assert (await client.get(f"{base}/GETME")).json()["ok"]


async def test_the_four_body_forms(telegram: TelegramEmulator, ann: Person) -> None:
    """Query, form, multipart and JSON bodies all send a message."""
    ann.start()
    url = f"{telegram.url}/bot{telegram.bot().token}/sendMessage"
    values = {"chat_id": str(ann.id), "text": "hi"}
    async with httpx.AsyncClient() as client:
        answers = [
            await client.get(url, params=values),
            await client.post(url, data=values),
            await client.post(url, files={name: (None, value) for name, value in values.items()}),
            await client.post(url, json={"chat_id": ann.id, "text": "hi"}),
            await client.post(url, content=b"[1]", headers={"content-type": "application/json"}),
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 400]
    assert len(telegram.sent(ann.id)) == 4


async def test_send_message(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A bot's message arrives with its reply, its entities and its preview options."""
    posted = ann.start("code42")
    assert posted.message["text"] == "/start code42"
    sent = await bot.send_message(
        ann.id,
        "<b>Hi</b> &amp; welcome",
        parse_mode="HTML",
        reply_parameters=ReplyParameters(message_id=posted.message_id),
        link_preview_options=LinkPreviewOptions(is_disabled=True),
    )
    assert sent.text == "Hi & welcome"
    assert sent.reply_to_message
    message = (await telegram.until_sent(ann.id))[0]
    assert message["entities"] == [{"type": "bold", "offset": 0, "length": 2}]
    assert message["link_preview_options"] == {"is_disabled": True}


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        ("a" * 4097, None, "message is too long"),
        ("😀" * 2049, None, "message is too long"),
        (" \n", None, "message text is empty"),
        ("<b></b>", "HTML", "message text is empty"),
        ("<b>x", "HTML", "can't parse entities: Can't find end tag corresponding to start tag"),
        ("1 < 2", "HTML", 'can\'t parse entities: Unsupported start tag ""'),
        ("done.", "MarkdownV2", r"can't parse entities: Character '\.' is reserved and must be escaped"),
        ("*x", "MarkdownV2", "can't parse entities: Can't find end of Bold entity at byte offset 0"),
    ],
)
async def test_texts_that_are_refused(bot: Bot, ann: Person, text: str, mode: str | None, complaint: str) -> None:
    """A text that is too long, empty or badly formatted is a 400 in Telegram's words."""
    ann.start()
    with pytest.raises(TelegramBadRequest, match=complaint):
        await bot.send_message(ann.id, text, parse_mode=mode)


async def test_the_longest_text_counts_after_parsing(bot: Bot, ann: Person) -> None:
    """4096 units are counted without the tags."""
    ann.start()
    sent = await bot.send_message(ann.id, f"<b>{'😀' * 2048}</b>", parse_mode="HTML")
    assert sent.entities
    assert sent.entities[0].length == 4096


async def test_who_cannot_be_written_to(bot: Bot, ann: Person) -> None:
    """No chat: 400; a person who never wrote or who blocked the bot: 403; an unblocked one is fine again."""
    with pytest.raises(TelegramBadRequest, match="chat not found"):
        await bot.send_message(12345, "hello")
    with pytest.raises(TelegramForbiddenError, match="can't initiate conversation"):
        await bot.send_message(ann.id, "hello")
    ann.start()
    ann.block()
    with pytest.raises(TelegramForbiddenError, match="bot was blocked by the user"):
        await bot.send_message(ann.id, "hello")
    blocked = (await bot.get_updates())[1].my_chat_member
    assert blocked
    assert blocked.new_chat_member.status == "kicked"
    ann.start()
    await bot.send_message(ann.id, "hello")


async def test_editing_and_deleting(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A bot edits and deletes its messages; an edit without a change is a 400."""
    ann.start()
    sent = await bot.send_message(ann.id, "thinking")
    edited = await bot.edit_message_text("thought", chat_id=ann.id, message_id=sent.message_id)
    assert getattr(edited, "text", "") == "thought"
    with pytest.raises(TelegramBadRequest, match="message is not modified"):
        await bot.edit_message_text("thought", chat_id=ann.id, message_id=sent.message_id)
    await bot.delete_message(ann.id, sent.message_id)
    assert telegram.world.deleted == [(ann.id, sent.message_id)]
    with pytest.raises(TelegramBadRequest, match="message to edit not found"):
        await bot.edit_message_text("gone", chat_id=ann.id, message_id=sent.message_id)


async def test_small_methods(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """Commands, chat actions and getChat."""
    ann.start()
    await bot.set_my_commands([BotCommand(command="help", description="What I can do")])
    assert [command.command for command in await bot.get_my_commands()] == ["help"]
    await bot.send_chat_action(ann.id, "typing")
    assert telegram.actions(ann.id) == ["typing"]
    assert (await bot.get_chat(ann.id)).username == "ann"


async def test_buttons(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A pressed button comes as callback_query, which can be answered once."""
    ann.start()
    await bot.send_message(ann.id, "sure?")
    ann.press(telegram.sent(ann.id)[0], "yes")
    query = (await bot.get_updates(offset=-1))[0].callback_query
    assert query
    assert query.data == "yes"
    await bot.answer_callback_query(query.id)
    with pytest.raises(TelegramBadRequest, match="query is too old"):
        await bot.answer_callback_query(query.id)


async def test_downloading_a_photo(bot: Bot, ann: Person) -> None:
    """A person's photo comes in several sizes, and the largest is the file that was sent."""
    ann.send("photo", PICTURE, caption="me")
    message = (await bot.get_updates())[0].message
    assert message
    assert message.photo
    assert message.caption == "me"
    assert [size.width for size in message.photo] == [90, 320, 800, 1280]
    found = await bot.download(message.photo[-1])
    assert found
    assert found.read() == PICTURE
    smaller = await bot.download(message.photo[0])
    assert smaller
    assert smaller.read() != PICTURE


async def test_other_media(bot: Bot, ann: Person) -> None:
    """Voice, music, round videos, documents and albums come as aiogram knows them."""
    ann.send("voice", b"OggS voice", duration=7)
    ann.send("audio", b"ID3 song", name="song.mp3")
    ann.send("video_note", b"film")
    ann.send("document", b"%PDF", name="a.pdf")
    ann.album([PICTURE, PICTURE], caption="both")
    messages = [update.message for update in await bot.get_updates() if update.message]
    voice, audio, note, document, one, two = messages
    assert voice.voice
    assert voice.voice.duration == 7
    assert audio.audio
    assert audio.audio.mime_type == "audio/mpeg"
    assert note.video_note
    assert document.document
    assert document.document.mime_type == "application/pdf"
    assert one.media_group_id == two.media_group_id
    assert (one.caption, two.caption) == ("both", None)


async def test_files_that_are_too_big(bot: Bot, ann: Person) -> None:
    """A bot may download 20 MB and no more."""
    ann.send("document", b"big", name="a.zip", size=21 * 2**20)
    message = (await bot.get_updates())[0].message
    assert message
    assert message.document
    with pytest.raises(TelegramBadRequest, match="file is too big"):
        await bot.get_file(message.document.file_id)


async def test_sending_files(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """Uploads arrive whole, can be sent again by their id, and what is no voice becomes a document."""
    ann.start()
    sent = await bot.send_photo(ann.id, BufferedInputFile(PICTURE, "me.jpg"), caption="<i>me</i>", parse_mode="HTML")
    assert sent.photo
    assert sent.caption_entities
    assert telegram.file_data(sent.photo[-1].file_id) == PICTURE
    assert (await bot.send_photo(ann.id, sent.photo[-1].file_id)).photo
    assert (await bot.send_voice(ann.id, BufferedInputFile(b"OggS", "v.ogg"))).voice
    assert (await bot.send_voice(ann.id, BufferedInputFile(b"RIFF", "v.wav"))).document
    assert (await bot.send_audio(ann.id, BufferedInputFile(b"ID3", "a.mp3"))).audio
    document = (await bot.send_document(ann.id, BufferedInputFile(b"%PDF", "a.pdf"))).document
    assert document
    assert document.file_name == "a.pdf"
    assert telegram.calls("sendPhoto")[0].files
    assert "caption" in telegram.calls("sendPhoto")[0].params
    with pytest.raises(TelegramBadRequest, match="file must be non-empty"):
        await bot.send_photo(ann.id, BufferedInputFile(b"", "me.jpg"))


async def test_groups_and_privacy(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """In a group a bot sees what is meant for it, unless its privacy mode is off."""
    group = telegram.group("Family")
    assert ann.write("just us", chat=group).update_id is None
    ann.write("@persona_bot are you there?", chat=group)
    sent = await bot.send_message(group.id, "yes")
    ann.write("good", chat=group, reply_to=sent.message_id)
    texts = [update.message.text for update in await bot.get_updates() if update.message]
    assert texts == ["@persona_bot are you there?", "good"]
    telegram.bot().reads_groups = True
    assert ann.write("just us", chat=group).update_id


async def test_scripted_errors(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """Faults answer the next calls of a method, and then everything works again."""
    ann.start()
    telegram.fail(429, "sendMessage", retry_after=17)
    with pytest.raises(TelegramRetryAfter) as flooded:
        await bot.send_message(ann.id, "hello")
    assert flooded.value.retry_after == 17
    telegram.fail(500, times=2)
    for _ in range(2):
        with pytest.raises(TelegramServerError):
            await bot.get_me()
    telegram.fail(401, "getUpdates", None)
    for _ in range(3):
        with pytest.raises(TelegramUnauthorizedError):
            await bot.get_updates()
    telegram.heal()
    await bot.get_updates()
    await bot.send_message(ann.id, "hello")


async def test_a_web_page_instead_of_an_answer(telegram: TelegramEmulator) -> None:
    """502 comes from the proxy in front and holds HTML."""
    telegram.fail(502)
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{telegram.url}/bot{telegram.bot().token}/getMe")
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")


async def test_hang_and_drop(bot: Bot, telegram: TelegramEmulator) -> None:
    """A hanging call is answered once healed, a dropped one breaks the connection, a slow one only takes longer."""
    telegram.fail("hang", "getMe")
    call = asyncio.ensure_future(bot.get_me())
    await telegram.until_called("getMe")
    assert not call.done()
    telegram.heal()
    assert (await call).id == telegram.bot().id
    telegram.fail("hang", "getMe")
    with pytest.raises(TelegramNetworkError):
        await bot.get_me(request_timeout=1)
    telegram.fail("drop")
    with pytest.raises(TelegramNetworkError):
        await bot.get_me()
    telegram.fail("slow", seconds=0.1)
    assert (await bot.get_me()).id == telegram.bot().id


@pytest.mark.parametrize("kind", ["lose", "lose_hang"])
async def test_an_ambiguous_send(bot: Bot, telegram: TelegramEmulator, ann: Person, kind: str) -> None:
    """A send can be accepted while its answer is lost."""
    ann.start()
    telegram.fail("lose" if kind == "lose" else "lose_hang", "sendMessage")
    with pytest.raises(TelegramNetworkError):
        await bot.send_message(ann.id, "hello", request_timeout=1)
    assert [message["text"] for message in telegram.sent(ann.id)] == ["hello"]
    assert telegram.calls("sendMessage")[0].status is None


async def test_an_outage(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """The server vanishes in the middle of a poll and comes back at the same place with what was waiting."""
    poll = asyncio.ensure_future(bot.get_updates(timeout=30))
    await telegram.until_called("getUpdates")
    url = telegram.url
    telegram.down()
    with pytest.raises(TelegramNetworkError):
        await poll
    with pytest.raises(TelegramNetworkError):
        await bot.get_me()
    ann.write("while you were away")
    telegram.up()
    assert telegram.url == url
    assert len(await bot.get_updates()) == 1


async def test_the_rule_against_flooding(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A short burst passes, more is refused with the time to wait."""
    ann.start()
    telegram.flood(FloodRule(burst=2, per_second=0.01))
    await bot.send_message(ann.id, "one")
    await bot.send_message(ann.id, "two")
    with pytest.raises(TelegramRetryAfter) as flooded:
        await bot.send_message(ann.id, "three")
    assert 90 < flooded.value.retry_after <= 100
    telegram.flood(on=False)
    await bot.send_message(ann.id, "three")


async def test_the_controls_over_http(telegram: TelegramEmulator) -> None:
    """Another process drives the emulator: bots, people, faults, waits, an outage."""
    async with httpx.AsyncClient(base_url=f"{telegram.url}/_control") as control:
        token = (await control.post("/bots", json={"username": "second_bot"})).json()["token"]
        about = {"user_id": 6_123_456_789, "token": token}
        said = (await control.post("/say", json={**about, "text": "hello", "username": "bob"})).json()
        picture = {"kind": "photo", "data": base64.b64encode(PICTURE).decode(), "text": "me"}
        await control.post("/say", json={**about, **picture})
        edit = {"kind": "edit", "text": "hello!", "message_id": said["message"]["message_id"]}
        await control.post("/say", json={**about, **edit})
        assert (await control.post("/say", json={"user_id": 1, "text": "to whom?"})).status_code == 400
        await control.post("/faults", json={"kind": "status", "code": 429, "method": "sendMessage", "retry_after": 3})
        async with connected(telegram, token) as bot:
            updates = await bot.get_updates()
            assert [u.event_type for u in updates] == ["message", "message", "edited_message"]
            with pytest.raises(TelegramRetryAfter):
                await bot.send_message(6_123_456_789, "hi")
            await bot.send_message(6_123_456_789, "hi")
            sent = await control.get("/sent", params={"chat_id": 6_123_456_789, "count": 1, "timeout": 5})
            assert sent.json()[0]["text"] == "hi"
            state = (await control.get("/state")).json()["bots"][1]
            assert state["pending"] == [u.update_id for u in updates]
            journal = (await control.get("/journal", params={"method": "sendMessage"})).json()
            assert [call["status"] for call in journal] == [429, 200]
            poll = asyncio.ensure_future(bot.get_updates(offset=updates[-1].update_id + 1, timeout=30))
            await telegram.until_called("getUpdates", 2)
            await control.post("/outage", json={"seconds": 0})
            with pytest.raises(TelegramNetworkError):
                await poll


async def test_by_hand(tmp_path: Path) -> None:
    """A person at a terminal talks to a bot."""
    picture = tmp_path / "me.jpg"
    picture.write_bytes(PICTURE)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.emulators.telegram",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    async with asyncio.timeout(30):
        url, token, _ = [(await process.stdout.readline()).decode().strip() for _ in range(3)]
        session = AiohttpSession(api=TelegramAPIServer.from_base(url))
        async with Bot(token, session=session) as bot:
            process.stdin.write(f"Hello\n//user bob\n//photo {picture} that is me\n".encode())
            messages = [u.message for u in await bot.get_updates(timeout=20) if u.message]
            while len(messages) < 2:
                messages = [u.message for u in await bot.get_updates(timeout=20) if u.message]
            assert messages[0].text == "Hello"
            assert messages[1].caption == "that is me"
            await bot.send_message(messages[0].chat.id, "<b>Hi</b> Ann", parse_mode="HTML")
            await bot.send_photo(messages[1].chat.id, BufferedInputFile(PICTURE, "me.jpg"))
            printed = [(await process.stdout.readline()).decode().strip() for _ in range(2)]
            assert printed[0] == "bot to ann: <bold>Hi</bold> Ann"
            saved = re.fullmatch(r"bot to bob: \[photo (\S+)\]", printed[1])
            assert saved
            assert await asyncio.to_thread(Path(saved[1]).read_bytes) == PICTURE
            process.stdin.write(b"//quit\n")
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("mode", "text", "shown"),
    [
        ("HTML", "<b>a<i>😀</i></b>!", "<bold>a<italic>😀</italic></bold>!"),
        ("HTML", '<a href="https://x.org">x</a>', "<text_link https://x.org>x</text_link>"),
        ("HTML", '<pre><code class="language-py">a &lt; b</code></pre>', "<pre py>a < b</pre>"),
        ("HTML", "<blockquote expandable>q</blockquote>&#33;", "<expandable_blockquote>q</expandable_blockquote>!"),
        ("MarkdownV2", r"*b _i_* 1\.", "<bold>b <italic>i</italic></bold> 1."),
        ("MarkdownV2", "__u__ ~s~", "<underline>u</underline> <strikethrough>s</strikethrough>"),
        ("MarkdownV2", "||x||", "<spoiler>x</spoiler>"),
        ("MarkdownV2", "```py\na.b\n``` `c*d`", "<pre py>a.b\n</pre> <code>c*d</code>"),
        ("MarkdownV2", "[x\\.](https://x.org/a\\)b)", "<text_link https://x.org/a)b>x.</text_link>"),
        ("MarkdownV2", ">one\n>two\nthree", "<blockquote>one\ntwo</blockquote>\nthree"),
    ],
)
def test_formatted_text(mode: str, text: str, shown: str) -> None:
    """Both parse modes give the entities that Telegram gives."""
    assert render(*parse(text, mode)) == shown


@pytest.mark.parametrize(
    ("mode", "text", "complaint"),
    [
        ("HTML", "<x>y</x>", 'Unsupported start tag "x" at byte offset 0'),
        ("HTML", "ä</b>", "Unexpected end tag at byte offset 2"),
        ("HTML", "<b><i>x</b></i>", 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'),
        ("MarkdownV2", "ä *b", "Can't find end of Bold entity at byte offset 3"),
        ("MarkdownV2", "`b", "Can't find end of Code entity at byte offset 0"),
        ("MarkdownV2", "a-b", "Character '-' is reserved and must be escaped with the preceding '\\'"),
        ("MarkdownV2", "[a](b", "Can't find end of a URL at byte offset 3"),
    ],
)
def test_formatting_errors(mode: str, text: str, complaint: str) -> None:
    """Bad formatting is refused with Telegram's words and the place in bytes."""
    with pytest.raises(EntityError, match=re.escape(complaint)):
        parse(text, mode)
