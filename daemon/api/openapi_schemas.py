"""The schemas of the OpenAPI document, in a form that generators of clients take."""

from __future__ import annotations

import re
from typing import Final, get_args

import msgspec

from daemon.api.channels import AddRequest, PairRequest
from daemon.api.health import Broken, Check, PersonaStatus
from daemon.api.history import Message
from daemon.api.instructions import InstructionList, InstructionRequest, InstructionShown
from daemon.api.knowledge import Knowledge
from daemon.api.memory import FileHistory, FileShown, UndoRequest, VersionShown, VersionText
from daemon.api.openai.openapi import KINDS as OPENAI_KINDS
from daemon.api.openapi_parts import REF, TEXT, Json, list_, object_, ref
from daemon.api.perception import ReadRequest
from daemon.api.personas import CreateRequest, OrganChange
from daemon.api.reminders import CalendarShown, ReminderRequest, ReminderShown, ReminderUpdate
from daemon.api.retry import RetryRequest
from daemon.api.usage import BudgetRequest, BudgetShown, Usage
from daemon.api.v1.objects import ChannelType
from daemon.api.v1.openapi import KINDS as V1_KINDS
from daemon.archives.restore import Restored
from daemon.channels.health import DeadLetterShown
from daemon.conversations.frames import ChatFrame, DeltaFrame, SignalFrame, SpeechFrame
from daemon.feeding.forecast import Forecast
from daemon.http.answers import Fault
from daemon.ledger import Cause, ChannelStatus
from proto.feeds import SOURCES
from proto.records import Channel, Persona, PersonaView, Status
from proto.secrets import Secret

_KINDS: Final = (
    *(ReadRequest, CreateRequest, OrganChange, AddRequest, PairRequest, RetryRequest, BudgetRequest),
    *(ReminderRequest, ReminderUpdate, ReminderShown, CalendarShown),
    *(
        Persona,
        Channel,
        PersonaView,
        PersonaStatus,
        Broken,
        DeadLetterShown,
        Check,
        Message,
        Knowledge,
        Usage,
        BudgetShown,
    ),
    *(Restored, Forecast, Fault, ChatFrame, DeltaFrame, SpeechFrame, SignalFrame),
    *OPENAI_KINDS,
    *(FileShown, FileHistory, VersionShown, VersionText, UndoRequest),
    *(InstructionShown, InstructionList, InstructionRequest),
    *V1_KINDS,
)

_CHOICES: Final = {
    "Status": get_args(Status),
    "ChannelType": get_args(ChannelType),
    "ChannelStatus": get_args(ChannelStatus),
    "Source": tuple(SOURCES),
    "MemoryCause": get_args(Cause),
    "InstructionSource": ("builtin", "custom"),
}
"""Choices that stand in several schemas. Without a name of its own, a generator names each after where it stands."""

_NAMES_OF_CHOICES: Final = {frozenset(values): name for name, values in _CHOICES.items()}


def schemas() -> Json:
    """The schemas of the components, by name."""
    _, made = msgspec.json.schema_components(_KINDS, schema_hook=_secret_schema, ref_template=REF)
    made["Detail"] = object_(detail=TEXT)
    made["Detail"]["properties"]["reason"] = {**TEXT, "description": "What is wrong with this export or mind."}
    made["Unprocessable"] = object_(detail=list_("Fault"))
    choices = {name: {"type": "string", "enum": list(values)} for name, values in _CHOICES.items()}
    return {**plain(made), **choices}


def plain(schema: object) -> Json:
    """Rewrite what generators do not take: patterns of Python, and choices without a type or a name."""
    rewritten = _plain(schema)
    assert isinstance(rewritten, dict)
    return rewritten


def _plain(schema: object) -> object:
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(values := schema.get("enum"), list):
        if name := _NAMES_OF_CHOICES.get(frozenset(values)):
            return {**{key: value for key, value in schema.items() if key not in ("enum", "type")}, **ref(name)}
        return {"type": "string", **schema}
    inner = {key: _plain(value) for key, value in schema.items()}
    if isinstance(pattern := inner.get("pattern"), str):
        inner["pattern"] = _in_ecma(pattern)
    return inner


def _in_ecma(pattern: str) -> str:
    r"""Write a pattern as JSON Schema has it, in ECMA-262: there ``$`` is the end, and ``\Z`` is not known.

    Halves of characters are left out: no valid JSON text holds one, and few engines compile them.
    """
    return re.sub(r"\\Z\Z", "$", pattern).replace(r"\ud800-\udfff", "")


def _secret_schema(kind: type) -> Json:
    if kind is Secret:
        return TEXT
    raise NotImplementedError(f"no schema for {kind.__name__}")
