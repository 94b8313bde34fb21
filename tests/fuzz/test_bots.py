"""Telegram and Discord: whatever a field holds, no message stops the others or ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from proto.gateways import LONGEST_WAIT, Gateway, Undelivered
from proto.secrets import Secret
from tests.fuzz.received import CHANNEL, CODEC, META, SLACK, TWILIO, NoFiles, moments, odd_ids, read, taken, times
from tests.fuzz.strategies import DEEP, SECRET, documents, json_values, numbers, objects, outcome, words, written
from worker.gateways.common.rest import ErrorBody, Rest
from worker.gateways.common.trouble import Refusal, UnreadableError, passing
from worker.gateways.discord.account import Discord
from worker.gateways.discord.frames import read_message
from worker.gateways.discord.inbound import inbound as of_discord
from worker.gateways.discord.inbound import is_from_person
from worker.gateways.slack.account import Slack
from worker.gateways.telegram.account import TelegramAccount
from worker.gateways.telegram.gateway import TelegramGateway
from worker.gateways.twilio.account import Twilio
from worker.gateways.whatsapp.account import Meta

# Telegram

_user = objects({"id": st.just(7) | numbers, "is_bot": st.booleans(), "first_name": words, "username": words})
_chat = objects({"id": st.just(7) | numbers, "type": st.just("private"), "title": words})
_photo = st.lists(
    objects({"file_id": odd_ids, "file_unique_id": odd_ids, "width": numbers, "height": numbers, "file_size": numbers}),
    max_size=2,
)
_telegram_message = objects(
    {
        "message_id": st.just(5) | numbers,
        "date": moments,
        "edit_date": moments,
        "chat": st.just({"id": 7, "type": "private"}) | _chat,
        "from": st.just({"id": 7, "is_bot": False, "first_name": "Ann"}) | _user,
        "text": words,
        "caption": words,
        "entities": st.lists(
            objects(
                {
                    "type": st.sampled_from(["text_link", "bot_command", "bold", "new"]),
                    "offset": numbers,
                    "length": numbers,
                    "url": words,
                }
            ),
            max_size=3,
        ),
        "photo": _photo,
        "document": objects({"file_id": odd_ids, "file_unique_id": odd_ids, "file_name": words, "mime_type": words}),
        "location": objects({"latitude": numbers, "longitude": numbers, "live_period": numbers}),
        "quote": objects({"text": words, "position": numbers}),
        "reply_to_message": objects(
            {"message_id": numbers, "date": moments, "chat": st.just({"id": 7, "type": "private"}), "text": words}
        ),
        "forward_origin": objects({"type": st.just("hidden_user"), "sender_user_name": words, "date": moments}),
        "message_thread_id": numbers,
        "is_topic_message": st.booleans(),
        "sticker": json_values,
        "poll": json_values,
        "contact": objects({"first_name": words, "phone_number": words}),
        "unheard_of": json_values,
    }
)
telegram = objects(
    {"update_id": st.just(1) | numbers, "message": _telegram_message, "edited_message": _telegram_message}
)
TELEGRAM: Final = Gateway(
    CHANNEL,
    "telegram",
    Secret("123456789:" + "A" * 35),
    open=True,
    credentials={"webhook_secret": Secret("w" * 20)},
    webhook="https://x.org/hooks/1",
)
_SENT: Final = {
    "message_id": 5,
    "date": 1752232847,
    "chat": {"id": 7, "type": "private"},
    "from": {"id": 7, "is_bot": False, "first_name": "Ann"},
    "text": "hello",
}


def update(**fields: object) -> bytes:
    """An update with a message whose fields are these."""
    return written({"update_id": 1, "message": _SENT | fields})


@given(telegram.map(written) | documents)
@example(update(date=10**10))
@example(update(date=-(10**11)))
@example(written({"update_id": 1, "edited_message": _SENT | {"edit_date": 10**30}}))
@example(written({"update_id": 10**200, "message": _SENT}))
@example(update(text="x" * 300_000))
@example(
    update(reply_to_message={"message_id": 1, "date": 253402300799, "chat": {"id": 7, "type": "private"}, "text": "x"})
)
@example(
    update(reply_to_message={"message_id": 1, "date": -62135596800, "chat": {"id": 7, "type": "private"}, "text": "x"})
)
@example(update(message_id=10**100))
@example(update(**{"from": {"id": 10**100, "is_bot": False, "first_name": "A"}}))
@example(update(entities=[{"type": "text_link", "offset": -5, "length": 10**20, "url": "http://x"}]))
@example(update(document={"file_id": "1", "file_unique_id": "2", "file_name": "\ud83d", "file_size": 10**400}))
def test_telegram(body: bytes) -> None:
    """Telegram's updates."""
    read(TelegramGateway, TELEGRAM, body)


# Discord

_discord_file = objects(
    {"url": words, "filename": words, "size": numbers, "duration_secs": numbers, "content_type": words}
)
_discord_user = objects({"id": odd_ids, "username": words})
discord = objects(
    {
        "id": odd_ids,
        "channel_id": odd_ids,
        "author": st.just({"id": "7", "username": "ann"}) | _discord_user,
        "content": words | st.just("/start x"),
        "type": st.just(0) | numbers,
        "edited_timestamp": st.none()
        | times
        | st.sampled_from(["0001-01-01T00:00:00", "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00"]),
        "attachments": st.lists(_discord_file, max_size=2),
        "sticker_items": st.lists(objects({"name": words}), max_size=2),
        "message_snapshots": st.lists(objects({"message": objects({"content": words})}), max_size=2),
        "referenced_message": objects({"id": odd_ids, "author": _discord_user, "content": words}),
    }
)
DISCORD: Final = Gateway(CHANNEL, "discord", Secret("A" * 24 + "." + "b" * 6 + "." + "c" * 30), open=True)
_SAID: Final = {
    "id": "1200000000000000000",
    "channel_id": "5",
    "author": {"id": "7", "username": "ann"},
    "content": "hi",
}


@given(discord.map(written) | documents)
@example(written(_SAID | {"referenced_message": {"id": "x"}}))
@example(written(_SAID | {"referenced_message": {"id": "9" * 30}}))
@example(written(_SAID | {"id": "9" * 40}))
@example(written(_SAID | {"id": " 1_2 "}))
@example(written(_SAID | {"id": "-5"}))
@example(written(_SAID | {"channel_id": "a b"}))
@example(written(_SAID | {"edited_timestamp": "9999-12-31T23:59:59+00:00"}))
@example(written(_SAID | {"edited_timestamp": "0001-01-01T00:00:00"}))
@example(written(_SAID | {"content": "x" * 300_000}))
@example(b'{"id": "1", "x": ' + b"[" * DEEP)
def test_discord(document: bytes) -> None:
    """Discord's messages, new and edited: read, or refused with the errors that the gateway logs."""

    async def reading() -> None:
        files = NoFiles(DISCORD, Discord(DISCORD, "http://127.0.0.1:1"), Path("/nonexistent"), 1, 1.0)
        found = read_message(msgspec.Raw(document))
        assert found.number >= 0
        if is_from_person(found, "9"):
            taken(await of_discord(found, files, "9", edited=False))
            taken(await of_discord(found, files, "9", edited=True))

    assert SECRET not in outcome(lambda: asyncio.run(reading()), ValueError)


# Errors of all of them

_errors = st.dictionaries(
    st.sampled_from(
        ["error", "message", "description", "code", "error_code", "retry_after", "errors", "parameters", "ok"]
    ),
    json_values
    | st.dictionaries(st.sampled_from(["retry_after", "details", "message", "code"]), json_values, max_size=3),
)
kinds = st.sampled_from(
    [(TelegramAccount, TELEGRAM), (Discord, DISCORD), (Twilio, TWILIO), (Meta, META), (Slack, SLACK)]
)


@given(kinds, documents | _errors.map(written))
@example((Discord, DISCORD), b'{"retry_after": 1e308, "message": "x", "errors": {"a": [1]}}')
@example((Discord, DISCORD), b'{"retry_after": "nan"}')
@example((TelegramAccount, TELEGRAM), b'{"ok": false, "parameters": {"retry_after": -1}, "x":' + b"[" * DEEP)
def test_error_bodies(kind: tuple[Callable[[Gateway, str], Rest], Gateway], body: bytes) -> None:
    """An error's body gives its words and a time to wait that ends, whatever it holds."""
    made, gateway = kind
    found = ErrorBody()

    async def reading() -> None:
        nonlocal found
        found = made(gateway, "http://127.0.0.1:1").read_error(body)

    outcome(lambda: asyncio.run(reading()), UnreadableError)
    refusal = Refusal(429, found.code, found.message, found.retry_after)
    assert 0 <= refusal.retry_after <= LONGEST_WAIT
    sent = Undelivered(1, passing("It", refusal).reason[:2000], retry_after=refusal.retry_after)
    assert CODEC.decode(CODEC.encode(sent)).retry_after == refusal.retry_after
