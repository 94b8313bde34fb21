"""The routes of ``/v1`` for the OpenAPI document."""

from __future__ import annotations

from typing import Final, get_args

from daemon.api.openapi_parts import Json, Operation, list_, object_, ref
from daemon.api.v1.objects import (
    ChannelObject,
    ChannelType,
    ConversationObject,
    MessageObject,
    OptionsObject,
    TestObject,
)
from daemon.api.v1.paging import DEFAULT_LIMIT, MAX_CURSOR, MAX_LIMIT
from daemon.api.v1.requests import CreateChannel, UpdateChannel
from daemon.http.problems import FieldError, Problem
from daemon.ledger import ChannelStatus

KINDS: Final = (
    *(CreateChannel, UpdateChannel, ChannelObject, ConversationObject, MessageObject, TestObject),
    OptionsObject,
    *(Problem, FieldError),
)
"""The schemas of the components."""

QUERY: Final[dict[str, Json]] = {
    "status": {"enum": list(get_args(ChannelStatus))},
    "channelType": {"enum": list(get_args(ChannelType))},
    "page limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "cursor": {"type": "string", "maxLength": MAX_CURSOR},
}

STATUS_WORDS: Final = {
    400: "The Authorization header is malformed.",
    403: "The Origin is not this daemon's own, the token is of another organization, or it may only read.",
    409: "The request conflicts with the current state; the detail says why.",
    412: "The channel was changed since; If-Match has an older ETag.",
    415: "The body is not JSON.",
    422: "Faulty fields; errors lists them.",
    500: "Saved, but her process did not follow; or a bug.",
}
"""The descriptions that differ from those of the persona API."""

TAG: Final = "v1"

_CHANNELS: Final = "/v1/channels"
_CHANNEL: Final = f"{_CHANNELS}/{{channel_id}}"
_CONVERSATIONS: Final = f"{_CHANNEL}/conversations"


def _page(name: str) -> Json:
    page = object_(items=list_(name), hasMore={"type": "boolean"})
    page["properties"]["nextCursor"] = {"type": ["string", "null"]}
    page["required"].append("nextCursor")
    return page


OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", _CHANNELS): Operation(
        "listChannels",
        TAG,
        "List the channels, oldest first.",
        _page("ChannelObject"),
        (422,),
        query=("status", "channelType", "page limit", "cursor"),
        problems=True,
    ),
    ("POST", _CHANNELS): Operation(
        "createChannel",
        TAG,
        "Create a channel on which anybody can talk to a persona.",
        ref("ChannelObject"),
        (409, 413, 415, 422, 500, 503, 507),
        ref("CreateChannel"),
        headers=("Idempotency-Key",),
        status=201,
        answer_headers=("Location", "ETag", "Idempotency-Replayed"),
        problems=True,
    ),
    ("GET", f"{_CHANNELS}/options"): Operation(
        "getChannelOptions",
        TAG,
        "What a channel can be made of: personas with their datasets, models and accounts.",
        ref("OptionsObject"),
        problems=True,
    ),
    ("GET", _CHANNEL): Operation(
        "getChannel", TAG, "A channel.", ref("ChannelObject"), (404,), answer_headers=("ETag",), problems=True
    ),
    ("PATCH", _CHANNEL): Operation(
        "updateChannel",
        TAG,
        "Change a channel: absent fields stay, null sets the default.",
        ref("ChannelObject"),
        (404, 409, 412, 413, 415, 422, 500, 503, 507),
        ref("UpdateChannel"),
        headers=("If-Match",),
        answer_headers=("ETag",),
        problems=True,
    ),
    ("DELETE", _CHANNEL): Operation(
        "deleteChannel",
        TAG,
        "Delete a channel.",
        None,
        (404, 412, 422, 500, 503, 507),
        headers=("If-Match",),
        status=204,
        problems=True,
    ),
    ("POST", f"{_CHANNEL}/pause"): Operation(
        "pauseChannel",
        TAG,
        "Stop answering on a channel until it is resumed; incoming messages are kept.",
        ref("ChannelObject"),
        (404, 503, 507),
        answer_headers=("ETag",),
        problems=True,
    ),
    ("POST", f"{_CHANNEL}/resume"): Operation(
        "resumeChannel",
        TAG,
        "Answer again, beginning with what was written meanwhile; a channel that its provider refused is tried again.",
        ref("ChannelObject"),
        (404, 503, 507),
        answer_headers=("ETag",),
        problems=True,
    ),
    ("POST", f"{_CHANNEL}/test"): Operation(
        "testChannel",
        TAG,
        "Ask the provider now whether the channel's credentials are good.",
        ref("TestObject"),
        (404, 503),
        problems=True,
    ),
    ("GET", _CONVERSATIONS): Operation(
        "listConversations",
        TAG,
        "List a channel's conversations, most recently active first.",
        _page("ConversationObject"),
        (404, 422),
        query=("page limit", "cursor"),
        problems=True,
    ),
    ("DELETE", f"{_CONVERSATIONS}/{{conversation_id}}"): Operation(
        "eraseConversation",
        TAG,
        "Erase a conversation: its messages, her answers and its files.",
        None,
        (404, 409, 503, 507),
        status=204,
        problems=True,
    ),
    ("DELETE", "/v1/senders/{sender_id}"): Operation(
        "eraseSender",
        TAG,
        "Erase a sender everywhere: all conversations on open channels in which this account wrote.",
        None,
        (404, 503, 507),
        status=204,
        problems=True,
    ),
    ("GET", f"{_CONVERSATIONS}/{{conversation_id}}/messages"): Operation(
        "listMessages",
        TAG,
        "List a conversation's messages, newest first.",
        _page("MessageObject"),
        (404, 409, 422),
        query=("page limit", "cursor"),
        problems=True,
    ),
}
