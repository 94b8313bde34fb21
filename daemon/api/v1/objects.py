"""The objects of ``/v1``: channels with the documented fields in the documented order, conversations and messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from daemon.channels.health import MIND_DOWN
from daemon.conversations.lanes import MindTrouble
from daemon.conversations.terms import DEFAULT_FALLBACK
from daemon.ledger import ChannelConversation, ChannelMessage, ChannelStatus, OpenChannel
from daemon.settings.sections import Hooks

ChannelType = Literal["sms", "whatsapp", "telegram", "slack"]

DateTime = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]

MICROSECOND: Final = 1000
"""Nanoseconds in a microsecond."""


class ChannelObject(msgspec.Struct, rename="camel"):
    """A channel. ``status`` is ``error`` if its credentials or configuration must be fixed or a failure persists.

    The fields are the documented ones in their order; ``instructions`` are ours, and absent in older stored answers.
    """

    id: str
    organization_id: str
    name: str
    channel_type: ChannelType
    webhook_url: str
    system_prompt_id: str | None
    model_id: str | None
    dataset_ids: list[str]
    welcome_message: str | None
    fallback_message: str
    status: ChannelStatus
    last_error: str | None
    last_error_at: DateTime | None
    conversation_count: int
    message_count: int
    last_message_at: DateTime | None
    created_at: DateTime
    updated_at: DateTime
    phone_number: str | None
    instructions: str | None = None


class ConversationObject(msgspec.Struct, rename="camel"):
    """One person's conversation on a channel; ``name`` is the first name that the provider gave for this person.

    ``last_error`` says why this person cannot be reached at the moment. ``sender_ids`` are the provider's ids of those
    who wrote in it: one, except in Slack's threads.
    """

    id: str
    channel_id: str
    name: str
    message_count: int
    created_at: DateTime
    last_message_at: DateTime
    last_error: str | None
    last_error_at: DateTime | None
    sender_ids: list[str]


class MessageObject(msgspec.Struct, rename="camel"):
    """A message of a conversation; ``id`` is null while it waits for an answer, ``media`` true if it has a file."""

    id: str | None
    role: Literal["user", "assistant"]
    content: str
    media: bool
    created_at: DateTime


class TestObject(msgspec.Struct, rename="camel"):
    """The provider's answer just now; ``identity`` is the account that the credentials belong to."""

    ok: bool
    identity: str | None
    detail: str
    tested_at: DateTime


class PersonaOption(msgspec.Struct, rename="camel"):
    """A persona who can answer. ``dataset_ids`` are her folders of documents, at most 1,000 of them."""

    system_prompt_id: str
    name: str
    dataset_ids: list[str]


class ModelOption(msgspec.Struct, rename="camel"):
    """A mind that can answer in place of her own; ``name`` is the provider's name for it."""

    model_id: str
    name: str
    provider: str


class AccountOption(msgspec.Struct, rename="camel"):
    """A provider account, the types of channel that it can carry, and its phone numbers."""

    account: str
    channel_types: list[ChannelType]
    phone_numbers: list[str]


class OptionsObject(msgspec.Struct, rename="camel"):
    """What a channel can be made of. ``default_system_prompt_id`` answers if a create names nobody; null: it must."""

    organization_id: str
    default_system_prompt_id: str | None
    system_prompts: list[PersonaOption]
    models: list[ModelOption]
    accounts: list[AccountOption]


def channel_object(
    channel: OpenChannel, organization_id: str, webhooks_url: str, mind: MindTrouble | None
) -> ChannelObject:
    """Show a channel; ``webhooks_url`` is the address that providers call, ``mind`` why its mind cannot be reached."""
    fields = channel.fields
    error, error_at = channel.shown_error, channel.shown_error_at
    if mind and channel.error is None:
        error, error_at = f"{MIND_DOWN} {mind.reason}", mind.since
    return ChannelObject(
        id=channel.channel,
        organization_id=organization_id,
        name=fields.name,
        channel_type=msgspec.convert(channel.type, ChannelType),
        webhook_url=f"{webhooks_url}/hooks/{channel.channel}",
        system_prompt_id=channel.persona,
        model_id=fields.model,
        dataset_ids=list(fields.datasets),
        welcome_message=fields.welcome,
        fallback_message=fields.fallback or DEFAULT_FALLBACK,
        status=channel.status,
        last_error=error,
        last_error_at=date_time(error_at),
        conversation_count=channel.conversation_count,
        message_count=channel.message_count,
        last_message_at=date_time(channel.last_message_at),
        created_at=moment(channel.created_at),
        updated_at=moment(channel.updated_at),
        phone_number=fields.phone,
        instructions=fields.instructions,
    )


def conversation_object(channel: str, conversation: ChannelConversation) -> ConversationObject:
    """Show a conversation."""
    return ConversationObject(
        id=conversation.chat,
        channel_id=channel,
        name=conversation.name,
        message_count=conversation.messages,
        created_at=moment(conversation.first_at),
        last_message_at=moment(conversation.last_at),
        last_error=conversation.error,
        last_error_at=date_time(conversation.error_at),
        sender_ids=conversation.accounts,
    )


def message_object(message: ChannelMessage) -> MessageObject:
    """Show a message of a conversation."""
    return MessageObject(
        id=str(message.id) if message.id else None,
        role="user" if message.role == "person" else "assistant",
        content=message.content,
        media=message.media is not None,
        created_at=moment(message.at),
    )


def webhooks_address(hooks: Hooks) -> str:
    """The address that providers call: the public one, else the listener's own."""
    host = f"[{hooks.host}]" if ":" in hooks.host else hooks.host
    return hooks.public_url.rstrip("/") or f"http://{host}:{hooks.port}"


def moment(at: int) -> str:
    """Epoch nanoseconds as RFC 3339 in UTC, with microseconds."""
    seconds, rest = divmod(at, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // MICROSECOND)
    return text.isoformat(timespec="microseconds").replace("+00:00", "Z")


def date_time(at: int | None) -> str | None:
    """As ``moment``; None stays None."""
    return None if at is None else moment(at)
