"""Turns the body of a create request into a channel."""

from __future__ import annotations

from daemon.api.v1.choices import PHONE_TYPES, Choices
from daemon.api.v1.problems import Refused, refused_field
from daemon.api.v1.requests import CreateChannel
from daemon.channels.errors import ChannelRefused
from daemon.channels.new_channel import OpenChannelRequest
from daemon.channels.service import ChannelService
from daemon.http.answers import sentence
from daemon.ledger import ChannelFields, Ledger, OpenChannel
from daemon.personas.channel_records import claim_of, id_of
from proto.gateways import channel_id
from proto.records import Persona
from proto.secrets import Secret


async def channel_request(choices: Choices, asked: CreateChannel) -> OpenChannelRequest:
    """Choose persona, account and model, and check the fields. Raises Refused with the first faulty field."""
    needs_phone = asked.channel_type in PHONE_TYPES
    token = (asked.bot_token or "").strip() if asked.channel_type == "telegram" else ""
    if needs_phone and asked.phone_number is None:
        raise refused_field("phoneNumber", f"A channel of type {asked.channel_type} needs a phoneNumber, in E.164.")
    if asked.channel_type == "telegram" and not token and asked.account is None:
        raise refused_field("botToken", "A channel of type telegram needs a botToken; @BotFather gives one.")
    if token and asked.account is not None:
        raise refused_field("account", "Send a botToken, or the account that has one; not both.")
    phone = asked.phone_number if needs_phone else None
    account = None if token else choices.account(asked.channel_type, asked.account, phone)
    persona = choices.persona(asked.system_prompt_id)
    choices.check_model(asked.model_id)
    datasets = tuple(dict.fromkeys(asked.dataset_ids or ()))
    await choices.check_datasets(persona, datasets)
    fields = ChannelFields(
        name=asked.name,
        phone=phone,
        account=account.name if account else "",
        model=asked.model_id,
        datasets=datasets,
        welcome=asked.welcome_message or None,
        fallback=asked.fallback_message or None,
        instructions=asked.instructions or None,
    )
    return OpenChannelRequest(
        persona=persona.id, type=asked.channel_type, fields=fields, token=Secret(token) if token else None
    )


async def make(channels: ChannelService, new: OpenChannelRequest) -> OpenChannel:
    """Make the channel. Raises Refused, naming the field whose credentials the provider refused."""
    try:
        return await channels.open(new)
    except ChannelRefused as error:
        field = "botToken" if new.token else "phoneNumber" if new.fields.phone else "account"
        raise refused_field(field, sentence(error), status=422 if error.status == 404 else error.status) from error


async def made_since(
    ledger: Ledger, persona: Persona | None, new: OpenChannelRequest, at: int, now: int
) -> OpenChannel | None:
    """The channel that this request made at ``at`` or later, before the daemon died, or None.

    ``at`` and ``now`` are in epoch nanoseconds, ``persona`` is the current record. Raises Refused when she is gone.
    """
    if persona is None:
        raise Refused(409, "The persona was deleted meanwhile.")
    saved = {id_of(record): claim_of(record) for record in persona.channels or []}
    bot = channel_id(new.type, new.token.reveal()) if new.token else None
    for row in await ledger.open_channels(now, type_=new.type, after=(at - 1, "")):
        same = (row.persona, row.fields) == (new.persona, new.fields) and bot in (None, saved.get(row.channel))
        if row.open and same and row.channel in saved:
            return row
    return None
