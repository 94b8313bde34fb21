"""Messages that arrive over WhatsApp's Cloud API."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proto.gateways import Inbound
from tests.emulators.meta import MetaEmulator
from tests.worker.gateways.channel import Channel
from tests.worker.gateways.whatsapp.channel import ANN, opened

JSON = "application/json"


@pytest.fixture
def meta() -> Iterator[MetaEmulator]:
    """A WhatsApp account with one number."""
    with MetaEmulator() as emulator:
        yield emulator


async def taken(channel: Channel, body: bytes) -> list[Inbound]:
    """Pass a request to the gateway, and wait until it is done."""
    before = len(channel.items)
    number = channel.webhook(body, JSON)
    await channel.until(lambda: number in channel.webhooks_done or None)
    return channel.items[before:]


async def test_a_batch(meta: MetaEmulator, tmp_path: Path) -> None:
    """Each message of a batch arrives with its own time, even days later, and is marked as read."""
    old = time.time() - 3 * 86_400
    first, second = meta.message(ANN, body="from before", at=old), meta.message("4915550001", body="hi")
    async with opened(meta, tmp_path) as channel:
        await channel.in_state("connected")
        items = await taken(channel, meta.batch(first, second, name="Ann  B"))
        await meta.until(lambda: len(meta.read) == 2)
    assert [(item.content, item.account, item.chat, item.account_name) for item in items] == [
        ("from before", ANN, ANN, "Ann B"),
        ("hi", "4915550001", "4915550001", "Ann B"),
    ]
    assert (items[0].key, items[0].private) == (first["id"], True)
    assert abs(items[0].at / 1e9 - old) < 2


async def test_only_this_number(meta: MetaEmulator, tmp_path: Path) -> None:
    """One webhook serves all numbers of an app; other numbers' messages and other fields are ignored."""
    mine = meta.value((meta.message(ANN, body="mine"),), (), meta.number_id, "Ann")
    other = meta.value((meta.message(ANN, body="not mine"),), (), "999", "Ann")
    async with opened(meta, tmp_path) as channel:
        items = await taken(channel, json.dumps(meta.batches([other, mine])).encode())
        assert not await taken(channel, json.dumps(meta.batches([mine], field="account_update")).encode())
        assert not await taken(channel, b"{}")
        broken = json.dumps(meta.batches([{"metadata": 7}, mine])).encode()
        assert [item.content for item in await taken(channel, broken)] == ["mine"]
    assert [item.content for item in items] == ["mine"]
    assert "meta.not_ours" in channel.log()


SURPRISES = [
    ("contacts", None),
    ("contacts", "none"),
    ("contacts.1", None),
    ("contacts.1.profile", None),
    ("contacts.1.profile.name", None),
    ("contacts.1.profile.name", {"first": "Ann"}),
    ("contacts.1.wa_id", None),
    ("statuses", None),
    ("statuses", [None, 7, {"id": None}]),
    ("errors", None),
    ("errors", [{"code": "x"}]),
    ("metadata.phone_number_id", 106540352242922),
    ("metadata.display_phone_number", None),
    ("messages.1.timestamp", None),
    ("messages.1.timestamp", 1_700_000_000),
    ("messages.1.timestamp", "²"),
    ("messages.1.timestamp", "9" * 30),
    ("messages.1.timestamp", 1_700_000_000_000),
    ("messages.1.from_user_id", None),
    ("messages.1.type", None),
    ("messages.1.context", None),
    ("messages.1.context", {"forwarded": None}),
    ("messages.1.image", None),
    ("messages.1.contacts", [{"name": {"formatted_name": None}, "phones": None}]),
    ("messages.1.from", 15550000002),
    ("messages.1.text.body", "two \ud83d"),
]
"""Fields of a batch, and what a provider may put there one day."""


def changed(value: Any, path: str, to: object) -> Any:
    """Return JSON with another value at a path (Any: JSON)."""
    *way, last = path.split(".")
    place = value
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = to
    return value


def three(meta: MetaEmulator) -> Any:
    """A batch of three people (Any: JSON)."""
    people = ["15550000001", "15550000002", "15550000003"]
    messages = tuple(meta.message(who, body=words) for who, words in zip(people, ("one", "two", "three"), strict=True))
    return meta.value(messages, (), meta.number_id, "Ann")


@pytest.mark.parametrize(("path", "to"), SURPRISES)
async def test_a_surprise_in_a_side_field(meta: MetaEmulator, tmp_path: Path, path: str, to: object) -> None:
    """Everybody's words in the batch arrive, whatever stands beside them."""
    body = json.dumps(meta.batches([changed(three(meta), path, to)])).encode()
    async with opened(meta, tmp_path) as channel:
        items = await taken(channel, body)
    assert [item.content.rstrip(" \ufffd") for item in items] == ["one", "two", "three"]
    assert [item.account for item in items] == ["15550000001", "15550000002", "15550000003"]
    assert channel.unread == []


@pytest.mark.parametrize(
    ("path", "to"),
    [
        ("messages.1.text", ["two"]),
        ("messages.1.text.body", {"parts": ["two"]}),
        ("messages.1.from", None),
        ("messages.1.from", "a b"),
        ("messages.1.id", None),
        ("messages.1", "two"),
    ],
)
async def test_a_message_that_cannot_be_read(meta: MetaEmulator, tmp_path: Path, path: str, to: object) -> None:
    """The others of its batch are taken. It is kept by itself, so that they are not answered again with it."""
    async with opened(meta, tmp_path) as channel:
        number = channel.webhook(json.dumps(meta.batches([changed(three(meta), path, to)])).encode(), JSON)
        assert [item.content for item in await channel.handled(number)] == ["one", "three"]
        [kept] = channel.unread
        assert (kept.number, channel.webhooks_done) == (number, [])
        # Read by a version that understands it, here because it is mended, it is the only one.
        again = json.loads(kept.body)
        assert len(again["entry"][0]["changes"][0]["value"]["messages"]) == 1
        again["entry"][0]["changes"][0]["value"]["messages"] = [meta.message("15550000002", body="two")]
        await taken(channel, json.dumps(again).encode())
    assert channel.texts == ["one", "three", "two"]


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b'{"entry": {}}',
        b'{"entry": [{"changes": 7}]}',
        b'{"entry": [{"changes": [{"field": "messages", "value": []}]}]}',
        b'{"entry": [{"changes": [{"field": "messages", "value": {"messages": [{"id": "1"}]}}]}]}',
    ],
)
async def test_a_request_that_cannot_be_read(meta: MetaEmulator, tmp_path: Path, body: bytes) -> None:
    """It is not done: it is kept with the reason."""
    async with opened(meta, tmp_path) as channel:
        number = channel.webhook(body, JSON)
        assert await channel.handled(number) == []
    assert [one.number for one in channel.unread] == [number]
    assert (bool(channel.unread[0].reason), channel.webhooks_done) == (True, [])


async def test_whose_message_it_is(meta: MetaEmulator, tmp_path: Path) -> None:
    """A message without a sender is the only contact's of its batch."""
    value = changed(meta.value((meta.message(ANN, body="hi"),), (), meta.number_id, "Ann"), "messages.0.from", None)
    async with opened(meta, tmp_path) as channel:
        [item] = await taken(channel, json.dumps(meta.batches([value])).encode())
    assert (item.account, item.account_name, item.content) == (ANN, "Ann", "hi")


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("text", {"text": {"body": None}}, "(The person sent an empty message.)"),
        (
            "interactive",
            {"interactive": {"nfm_reply": {"response_json": '{"flow_token": "x", "name": "Ann", "seats": 2}'}}},
            "(The person filled in a form:)\nname: Ann\nseats: 2",
        ),
        (
            "interactive",
            {"interactive": {"nfm_reply": {"response_json": "Ann, two seats"}}},
            "(The person filled in a form:)\nAnn, two seats",
        ),
        (
            "order",
            {
                "order": {
                    "text": "by Friday, please",
                    "product_items": [
                        {"product_retailer_id": "tea", "quantity": 2, "item_price": 3.5, "currency": "EUR"},
                        {"product_retailer_id": "cup", "item_price": None},
                    ],
                }
            },
            "(The person ordered: 2 x tea for 3.5 EUR each; 1 x cup.)\nby Friday, please",
        ),
        (
            "location",
            {"location": {"latitude": None, "name": "Zoo"}},
            "(The person sent a location: Zoo, without coordinates.)",
        ),
        ("button", {"button": {"text": "Yes, please"}}, "Yes, please"),
        ("interactive", {"interactive": {"button_reply": {"id": "1", "title": "Red"}}}, "Red"),
        ("interactive", {"interactive": {"list_reply": {"title": "Tea", "description": "black"}}}, "Tea: black"),
        (
            "location",
            {"location": {"latitude": 52.5, "longitude": 13.4, "name": "Zoo"}},
            "(The person sent a location: Zoo, latitude 52.5, longitude 13.4.)",
        ),
        (
            "contacts",
            {"contacts": [{"name": {"formatted_name": "Bob"}, "phones": [{"phone": "+1555"}]}]},
            "(The person sent contacts: Bob, +1555.)",
        ),
        (
            "reaction",
            {"reaction": {"message_id": "wamid.x", "emoji": "👍"}},
            "(The person reacted to your message with 👍.)",
        ),
        (
            "unsupported",
            {"errors": [{"code": 131051, "title": "Message type unknown"}]},
            "(The person sent something that cannot be perceived here: unsupported.)",
        ),
        (
            "text",
            {"text": {"body": "news"}, "context": {"forwarded": True}},
            "(Forwarded; these are not the person's own words:)\nnews",
        ),
    ],
)
async def test_what_is_not_plain_text(
    meta: MetaEmulator, tmp_path: Path, kind: str, content: dict[str, Any], expected: str
) -> None:
    """Each kind of message is described in text."""
    async with opened(meta, tmp_path) as channel:
        [item] = await taken(channel, meta.batch(meta.message(ANN, kind, **content)))
    assert (item.kind, item.content) == ("text", expected)


async def test_what_is_no_message(meta: MetaEmulator, tmp_path: Path) -> None:
    """What is taken back is ignored, a group is not answered in private, a changed number is known as the new one."""
    async with opened(meta, tmp_path) as channel:
        gone = meta.message(ANN, "reaction", reaction={"message_id": "wamid.x", "emoji": ""})
        moved = meta.message(ANN, "system", system={"type": "user_changed_number", "new_wa_id": "15550002"})
        deleted = meta.message(ANN, "revoke", revoke={"original_message_id": "wamid.x"})
        assert not await taken(channel, meta.batch(gone, moved, deleted))
        [shared] = await taken(channel, meta.batch(meta.message(ANN, body="to all", group_id="G1")))
        assert not shared.private
        [item] = await taken(channel, meta.batch(meta.message("15550002", body="it is me")))
    assert item.content == f"(This person used to write from the number +{ANN}.)\nit is me"


async def test_an_edit(meta: MetaEmulator, tmp_path: Path) -> None:
    """It names its message, so that the ledger can tell what is new; an edit that says nothing is still told."""
    first = meta.message(ANN, body="two tickets")
    photo = {"id": meta.add_media("image/jpeg", b"jpeg!"), "mime_type": "image/jpeg", "sha256": "h4sh"}
    picture = meta.message(ANN, "image", image=photo)

    def edited(original: str, **content: object) -> dict[str, Any]:
        return meta.message(ANN, "edit", edit={"original_message_id": original, "message": content})

    async with opened(meta, tmp_path) as channel:
        said, shown = await taken(channel, meta.batch(first, picture))
        [words] = await taken(
            channel, meta.batch(edited(first["id"], type="text", text={"body": "three tickets"}, context={"id": "x"}))
        )
        [caption] = await taken(
            channel, meta.batch(edited(picture["id"], type="image", image={**photo, "caption": "my cat"}))
        )
        [nothing] = await taken(channel, meta.batch(meta.message(ANN, "edit", edit={"original_message_id": "x"})))
        unknown = meta.message(ANN, "unsupported", errors=[{"code": 131051}], unsupported={"type": "poll_creation"})
        [poll] = await taken(channel, meta.batch(unknown))
    corrected = "(The person corrected an earlier message. It now reads:)\n"
    assert (words.content, caption.content, caption.kind) == (
        f"{corrected}three tickets",
        f"{corrected}my cat",
        "image",
    )
    assert None not in (said.revision, shown.revision, words.revision, caption.revision)
    for before, after in ((said, words), (shown, caption)):
        assert before.revision
        assert after.revision
        assert after.key != before.key
        assert (before.revision.message, before.revision.file) == (after.revision.message, after.revision.file)
        assert before.revision.words != after.revision.words
        assert (before.revision.edit, after.revision.edit) == (None, "correction")
    assert nothing.content == "(The person sent something that cannot be perceived here: edit.)"
    assert poll.content == "(The person sent something that cannot be perceived here: poll_creation.)"


async def test_people_without_a_number(meta: MetaEmulator, tmp_path: Path) -> None:
    """A person with a user name instead of a number is known by WhatsApp's id, and answered there."""
    message = meta.message("", body="hi", from_user_id="US.13491208655302741918")
    del message["from"]
    async with opened(meta, tmp_path) as channel:
        await channel.in_state("connected")
        [item] = await taken(channel, meta.batch(message))
        channel.deliver("hello", item.chat)
        await channel.outcome()
    assert (item.account, item.account_name, item.alias) == ("US.13491208655302741918", "Ann", None)
    assert (meta.sent[0]["recipient"], meta.sent[0].get("to")) == (item.chat, None)


async def test_both_ids_of_a_person(meta: MetaEmulator, tmp_path: Path) -> None:
    """The number comes first, and the other id with it, wherever it stands; the longest id that Meta documents fits."""
    long = f"US.ENT.{'9' * 128}"
    hidden = meta.message("", from_user_id=long)
    del hidden["from"]
    by_contact = json.loads(meta.batch(meta.message(ANN)))
    (person,) = by_contact["entry"][0]["changes"][0]["value"]["contacts"]
    person |= {"user_id": "US.8", "profile": {"username": "@ann"}}
    async with opened(meta, tmp_path) as channel:
        [by_message] = await taken(channel, meta.batch(meta.message(ANN, from_user_id="US.9")))
        [named] = await taken(channel, json.dumps(by_contact).encode())
        [unnumbered] = await taken(channel, meta.batch(hidden))
    assert (by_message.account, by_message.alias) == (ANN, "US.9")
    assert (named.account, named.alias, named.account_name) == (ANN, "US.8", "@ann")
    assert (unnumbered.account, unnumbered.chat) == (long, long)


async def test_files(meta: MetaEmulator, tmp_path: Path) -> None:
    """Files are fetched with the token and keep captions and names; only a recorded voice message has no name."""
    image = {"id": meta.add_media("image/jpeg", b"jpeg!"), "mime_type": "image/jpeg", "caption": "my cat"}
    voice = {"id": meta.add_media("audio/ogg", b"OggS"), "mime_type": "audio/ogg; codecs=opus", "voice": True}
    paper = {"id": meta.add_media("application/pdf", b"%PDF"), "mime_type": "application/pdf", "filename": "a b.pdf"}
    song = {"id": meta.add_media("audio/mpeg", b"ID3"), "mime_type": "audio/mpeg", "voice": False}
    film = {"id": meta.add_media("video/mp4", b"..."), "mime_type": "video/mp4"}
    async with opened(meta, tmp_path) as channel:
        items = await taken(
            channel,
            meta.batch(
                meta.message(ANN, "image", image=image),
                meta.message(ANN, "audio", audio=voice),
                meta.message(ANN, "document", document=paper),
                meta.message(ANN, "audio", audio=song),
                meta.message(ANN, "video", video=film),
            ),
        )
    assert [(item.kind, item.content, item.title) for item in items[:4]] == [
        ("image", "my cat", ""),
        ("audio", "", ""),
        ("document", "", "a b.pdf"),
        ("audio", "", "audio file"),
    ]
    assert [(channel.media / item.media).read_bytes() for item in items[:4] if item.media] == [
        b"jpeg!",
        b"OggS",
        b"%PDF",
        b"ID3",
    ]
    assert "a video" in items[4].content


@pytest.mark.parametrize("host", ["http://169.254.169.254", "https://evil.example.org"])
async def test_files_elsewhere_are_not_fetched(meta: MetaEmulator, tmp_path: Path, host: str) -> None:
    """The token is sent to no other host."""
    meta.media_host = host
    image = {"id": meta.add_media("image/jpeg", b"jpeg!"), "mime_type": "image/jpeg"}
    async with opened(meta, tmp_path) as channel:
        [item] = await taken(channel, meta.batch(meta.message(ANN, "image", image=image)))
    assert (item.media, "not one of WhatsApp's" in item.content) == (None, True)


async def test_files_of_one_sender_are_limited(meta: MetaEmulator, tmp_path: Path) -> None:
    """At most 20 files per hour are fetched from one sender; repeats count once, and others are not affected."""
    images = [{"id": meta.add_media("image/jpeg", b"jpeg!"), "mime_type": "image/jpeg"} for _ in range(22)]
    sent = [meta.message(ANN, "image", image=image) for image in images[:21]]
    other = meta.message("15550000002", "image", image=images[21])
    async with opened(meta, tmp_path) as channel:
        first = await taken(channel, meta.batch(sent[0]))
        items = await taken(channel, meta.batch(*sent, other))
    assert first[0].media
    assert [item.account for item in items if not item.media] == [ANN]
    assert ["too many files" in item.content for item in items if not item.media] == [True]


async def test_receipts(meta: MetaEmulator, tmp_path: Path) -> None:
    """A later failure is reported with its reason; a success is not."""
    fault = {"code": 131047, "title": "Re-engagement message", "message": "Re-engagement message"}
    body = meta.batch(statuses=(meta.status("wamid.a", "delivered"), meta.status("wamid.b", "failed", fault)))
    async with opened(meta, tmp_path) as channel:
        assert not await taken(channel, body)
        [receipt] = channel.receipts
    assert (receipt.provider_id, receipt.error_class) == ("wamid.b", "recipient")
    assert "131047" in receipt.error
