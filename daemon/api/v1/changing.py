"""Applies the body of an update to a channel's settings: absent fields stay, null sets the default."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from daemon.api.v1.choices import Choices
from daemon.api.v1.problems import refused_field
from daemon.api.v1.requests import UpdateChannel
from daemon.channels.errors import ChannelRefused
from daemon.channels.service import ChannelService
from daemon.http.answers import sentence
from daemon.ledger import ChannelFields, OpenChannel
from daemon.personas.channel_records import channel_named, claim_of
from proto.gateways import channel_id
from proto.records import Persona
from proto.secrets import Secret

T = TypeVar("T")

_MAKE_ANOTHER = "delete this one and create another"


async def changed_fields(
    choices: Choices, persona: Persona | None, channel: OpenChannel, asked: UpdateChannel
) -> ChannelFields:
    """The channel's settings after the update. Raises Refused."""
    _check_identity(channel, asked)
    old = channel.fields
    model = _chosen(asked.model_id, old.model, None)
    if model != old.model:
        choices.check_model(model)
    datasets = tuple(dict.fromkeys(_chosen(asked.dataset_ids, list(old.datasets), [])))
    if persona is not None and datasets != old.datasets:
        await choices.check_datasets(persona, datasets)
    return ChannelFields(
        name=_chosen(asked.name, old.name, old.name),
        phone=old.phone,
        account=_account(choices, channel, asked.account),
        model=model,
        datasets=datasets,
        welcome=_chosen(asked.welcome_message, old.welcome, None) or None,
        fallback=_chosen(asked.fallback_message, old.fallback, None) or None,
        instructions=_chosen(asked.instructions, old.instructions, None) or None,
    )


async def renewed(
    channels: ChannelService, persona: Persona | None, channel: OpenChannel, asked: UpdateChannel
) -> None:
    """Give the channel the new token of its bot, if the update has one. Raises Refused."""
    record = channel_named(persona, channel.channel) if persona else None
    if record is None or not isinstance(asked.bot_token, str):
        return
    token = Secret(asked.bot_token.strip())
    if channel_id(channel.type, token.reveal()) == claim_of(record):
        return
    try:
        await channels.renew(channel.channel, token)
    except ChannelRefused as error:
        raise refused_field("botToken", sentence(error), status=422 if error.status == 404 else error.status) from error


def _chosen(asked: T | msgspec.UnsetType | None, old: T, default: T) -> T:
    if isinstance(asked, msgspec.UnsetType):
        return old
    return default if asked is None else asked


def _account(choices: Choices, channel: OpenChannel, asked: str | msgspec.UnsetType | None) -> str:
    """The new account. Only a phone number can change its account: in other channels the bot is the channel itself."""
    old = channel.fields.account
    if isinstance(asked, msgspec.UnsetType) or asked == old:
        return old
    if channel.type not in ("sms", "whatsapp"):
        if not asked:
            return old
        raise refused_field("account", f"A channel keeps its bot: {_MAKE_ANOTHER}.", status=409)
    type_: str = channel.type
    return choices.account("sms" if type_ == "sms" else "whatsapp", asked, channel.fields.phone).name


def _check_identity(channel: OpenChannel, asked: UpdateChannel) -> None:
    """Raise Refused if the update would turn the channel into another one. null means the current value here."""
    if asked.channel_type not in (msgspec.UNSET, channel.type):
        raise refused_field("channelType", f"A channel keeps its type: {_MAKE_ANOTHER}.", status=409)
    if asked.phone_number not in (msgspec.UNSET, None, channel.fields.phone):
        raise refused_field("phoneNumber", f"A channel keeps its number: {_MAKE_ANOTHER}.", status=409)
    if asked.system_prompt_id not in (msgspec.UNSET, None, channel.persona):
        raise refused_field("systemPromptId", f"A channel keeps its persona: {_MAKE_ANOTHER}.", status=409)
    if isinstance(asked.bot_token, str) and channel.type != "telegram":
        raise refused_field("botToken", f"A channel keeps its bot: {_MAKE_ANOTHER}.", status=409)
