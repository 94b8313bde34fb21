"""WhatsApp, Slack and Twilio: whatever a field holds, no message stops the others or ends the process."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from proto.unicode_text import valid_texts
from tests.fuzz.received import META, SLACK, TWILIO, moments, odd_ids, read, taken, times
from tests.fuzz.strategies import DEEP, SECRET, documents, json_values, numbers, objects, outcome, words, written
from worker.gateways.common.batches import MOST_WORDS, REST, fitting, groups
from worker.gateways.common.reading import Words, fitted, nanoseconds, parsed
from worker.gateways.common.trouble import UnreadableError
from worker.gateways.slack.gateway import SlackGateway
from worker.gateways.twilio.account import moment
from worker.gateways.twilio.gateway import TwilioGateway
from worker.gateways.twilio.inbound import Row, draft_of_row
from worker.gateways.whatsapp.gateway import MetaGateway


class Person(msgspec.Struct):
    name: str = ""
    age: int = 0


class Note(msgspec.Struct):
    id: str
    body: Words[str | None] = None
    size: float = 0.0
    people: list[Person] = []
    flag: bool = False


@given(documents)
@example(b"[" * DEEP)
@example(b'{"id": "1", "size": NaN}')
def test_reading(document: bytes) -> None:
    """Any JSON becomes the type that was asked for, or an UnreadableError that names a field and quotes nothing."""
    found: list[Note] = []
    said = outcome(lambda: found.append(fitted(parsed(document), Note)), UnreadableError)
    assert SECRET not in said
    for note in found:
        assert isinstance(note.id, str)
        assert all(type(one.age) is int for one in note.people)
        assert repr(valid_texts(note)) == repr(note)


@given(odd_ids | times)
def test_times(text: str) -> None:
    """A time fits into the ledger's 64 bits."""
    assert 0 <= nanoseconds(text) < 2**63


# WhatsApp

_whatsapp_message = objects(
    {
        "id": odd_ids,
        "from": odd_ids,
        "from_user_id": odd_ids,
        "timestamp": times | moments,
        "type": st.sampled_from(["text", "system", "revoke", "reaction", "order", "image", "new"]),
        "text": objects({"body": words}),
        "image": objects({"id": odd_ids, "mime_type": words, "caption": words, "filename": words}),
        "document": objects({"id": odd_ids, "filename": words}),
        "interactive": objects(
            {
                "button_reply": objects({"title": words}),
                "nfm_reply": objects({"response_json": words | json_values.map(lambda one: written(one).decode())}),
            }
        ),
        "order": objects(
            {"text": words, "product_items": st.lists(objects({"quantity": numbers, "item_price": numbers}))}
        ),
        "location": objects({"latitude": numbers, "longitude": numbers, "name": words}),
        "contacts": st.lists(objects({"name": objects({"formatted_name": words}), "phones": json_values}), max_size=3),
        "reaction": objects({"emoji": words}),
        "system": objects({"new_wa_id": odd_ids}),
        "context": objects({"forwarded": st.booleans()}),
    }
)
_whatsapp_value = objects(
    {
        "metadata": st.just({"phone_number_id": "77"}),
        "contacts": st.lists(objects({"wa_id": odd_ids, "profile": objects({"name": words})}), max_size=2),
        "messages": st.lists(_whatsapp_message | json_values, max_size=3),
        "statuses": st.lists(
            objects(
                {
                    "id": odd_ids,
                    "status": st.just("failed"),
                    "errors": st.lists(objects({"code": numbers, "title": words})),
                }
            )
        ),
        "errors": st.lists(objects({"code": numbers, "message": words}), max_size=2),
    }
)
whatsapp = objects(
    {
        "entry": st.lists(
            objects(
                {"changes": st.lists(objects({"field": st.just("messages"), "value": _whatsapp_value}), max_size=2)}
            ),
            max_size=2,
        )
    }
)


def batch(*messages: object, **value: object) -> bytes:
    """A request with these messages."""
    whole = {"metadata": {"phone_number_id": "77"}, "messages": list(messages), **value}
    return written({"entry": [{"changes": [{"field": "messages", "value": whole}]}]})


@given(whatsapp.map(written) | documents)
@example(batch({"id": "1", "from": "15557654321", "text": {"body": "x" * 300_000}}))
@example(batch({"id": "\ud83d", "from": "15557654321", "text": {"body": "x"}}))
@example(batch({"id": "1", "from": "15557654321", "timestamp": "9" * 30, "text": {"body": "x"}}))
@example(batch({"id": "1", "from": "15557654321", "location": {"latitude": 10**400, "longitude": "NaN"}}))
@example(
    batch({"id": "1", "from": "15557654321", "interactive": {"nfm_reply": {"response_json": '{"a":' + "[" * DEEP}}})
)
@example(
    batch({"id": "1", "from": "1", "order": {"product_items": [{"quantity": 7}]}}).replace(b"7}", b"9" * 5000 + b"}")
)
def test_whatsapp(body: bytes) -> None:
    """Meta's batches."""
    read(MetaGateway, META, body)


def test_whatsapp_keeps_the_rest() -> None:
    """A message that cannot be read costs no other message."""
    good = {"id": "1", "from": "15557654321", "text": {"body": "hello"}}
    items = read(MetaGateway, META, batch({"id": "0", "text": {"body": []}}, good, 5))
    assert [item.content for item in items] == ["hello"]


# Slack

_slack_event = objects(
    {
        "type": st.sampled_from(["message", "app_mention", "x"]),
        "subtype": st.none() | st.just("file_share"),
        "channel": odd_ids,
        "channel_type": st.sampled_from(["im", "channel"]),
        "user": odd_ids,
        "bot_id": st.just(""),
        "text": words | st.lists(st.sampled_from(["<@U1>", "<", ">", "|", "<http://x", "&#0;", "a"])).map("".join),
        "ts": times | moments,
        "thread_ts": times | moments,
        "files": st.lists(
            objects({"id": odd_ids, "name": words, "size": numbers, "mimetype": words, "url_private": words}),
            max_size=3,
        ),
    }
)
slack = objects({"type": st.just("event_callback"), "event_id": odd_ids, "event": _slack_event})


@given(slack.map(written) | documents)
@example(
    written({"event": {"type": "message", "channel": "D1", "user": "U1", "ts": "1752232847.", "text": "x" * 300_000}})
)
@example(written({"event": {"type": "message", "channel": "D1", "user": "U1", "ts": 10**30, "text": "x"}}))
@example(
    written({"event": {"type": "message", "channel": "D1", "user": "U1", "ts": "99999999999.9", "text": "&#xd83d;"}})
)
def test_slack(body: bytes) -> None:
    """Slack's events."""
    read(SlackGateway, SLACK, body)


# Twilio

_form_names = st.sampled_from(
    [
        "MessageSid",
        "SmsSid",
        "From",
        "To",
        "Body",
        "NumMedia",
        "MediaUrl0",
        "MediaContentType0",
        "MediaUrl9",
        "Latitude",
        "Longitude",
        "ProfileName",
        "MessageStatus",
        "ErrorCode",
        "OptOutType",
        "Forwarded",
        "ButtonText",
    ]
)
twilio = st.dictionaries(
    _form_names, odd_ids | st.sampled_from(["+15557654321", "whatsapp:+15557654321", "+15550001111", "failed"])
)
_SMS: Final = {"MessageSid": "SM1", "From": "+15557654321", "To": "+15550001111"}


def form(fields: dict[str, str]) -> bytes:
    """As a form is posted, halves of characters as Twilio cannot send them."""
    return urlencode(fields, errors="surrogatepass").encode()


@given(st.one_of(twilio, twilio.map(lambda fields: fields | _SMS)).map(form) | st.binary(max_size=60))
@example(form(_SMS | {"Body": "x" * 300_000}))
@example(form(_SMS | {"Body": "\0", "ErrorCode": "\u0664" * 20, "NumMedia": "1e3"}))
@example(b"&".join([b"a=b"] * 600))
@example(form({"MessageStatus": "failed", "MessageSid": "x" * 500, "ErrorCode": "9" * 9}))
def test_twilio(body: bytes) -> None:
    """Twilio's forms."""
    read(TwilioGateway, TWILIO, body)


rows = objects(
    {
        "sid": odd_ids,
        "direction": st.just("inbound"),
        "body": st.none() | words,
        "from": st.just("+15557654321") | words,
        "num_media": words | st.integers().map(str),
        "date_sent": words
        | st.sampled_from(
            ["Sat, 11 Jul 2026 12:00:00 +0000", "Sat, 11 Jul 99999 12:00:00 +0000", "1 Jan 0001 00:00:00 +2359"]
        ),
        "error_code": numbers,
    }
)


@given(rows.map(written))
@example(written({"sid": "SM1", "from": "+15557654321", "date_sent": "Sat, 11 Jul 9999 12:00:00 +0000", "body": "x"}))
@example(written({"sid": "SM1", "from": "+15557654321", "date_sent": "1 Jan 0001 00:00:00 +2359", "body": "x"}))
def test_twilio_rows(document: bytes) -> None:
    """Rows of Twilio's list."""
    found: list[Row] = []
    assert SECRET not in outcome(lambda: found.append(fitted(parsed(document), Row)), UnreadableError)
    for row in found:
        made = draft_of_row(row, ())
        taken([made.inbound] if made else [])


@given(words)
@example("Sat, 11 Jul 2026 99:99:99 +9999")
@example("1 Jan 0001 00:00:00 -9999999999999999")
def test_moments(text: str) -> None:
    """Dates as mail has them are epoch seconds, or 0."""
    assert 0 <= moment(text) * 10**9 < 2**63


def test_many_long_messages() -> None:
    """Messages that are larger than a frame together are handed on in several; a longer one is cut, and says so."""
    said = [{"id": str(number), "from": "15557654321", "text": {"body": "x" * 150_000}} for number in range(60)]
    items = fitting(read(MetaGateway, META, batch(*said)))
    assert len(items) == 60
    assert all(item.content.endswith(REST) and len(item.content) == MOST_WORDS for item in items)
    assert [item for group in groups(items) for item in group] == items
    assert len(groups(items)) > 1
