"""The routes of the persona API for the OpenAPI document, and what their paths and queries hold."""

from __future__ import annotations

from typing import Final

from daemon.api.history import LONGEST_SEARCH, SHOWN_TYPES
from daemon.api.logs import MAX_LINES
from daemon.api.openai.openapi import OPERATIONS as OPENAI_OPERATIONS
from daemon.api.openai.openapi import PARAMETERS as OPENAI_PARAMETERS
from daemon.api.openai.openapi import TAG as OPENAI_TAG
from daemon.api.openapi_knowledge import OPERATIONS as KNOWLEDGE_OPERATIONS
from daemon.api.openapi_knowledge import PARAMETERS as KNOWLEDGE_PARAMETERS
from daemon.api.openapi_parts import INTEGER, TEXT, Json, Operation, list_, object_, ref
from daemon.api.v1.openapi import OPERATIONS as V1_OPERATIONS
from daemon.api.v1.openapi import QUERY as V1_QUERY
from daemon.api.v1.openapi import TAG as V1_TAG
from proto.feeds import SOURCES
from proto.records import NAME_PATTERN, ORGANS

TAGS: Final = {
    "perception": "What a persona perceives: messages, recordings, files, the history with another AI.",
    "personas": "The personas and their lives.",
    "channels": "The channels on which a persona talks with her owner.",
    "memory": "What was said, and what she knows.",
    "reminders": "What she tells or does at a time.",
    "costs": "What remote minds and organs use, and may use.",
    "daemon": "How the daemon does.",
    OPENAI_TAG: "Her owner's door for programs that speak OpenAI's API: each persona is a model.",
    V1_TAG: "Open channels, on which everybody can talk to a persona.",
}
"""The groups of operations."""

PARAMETERS: Final[dict[str, Json]] = {
    **OPENAI_PARAMETERS,
    "persona_id": {"type": "string", "format": "uuid", "description": "Her UUID."},
    "filename": {"type": "string", "description": "A bare file name."},
    "channel_name": {"type": "string", "description": "The channel's name, percent-encoded."},
    "channel_id": {"type": "string", "description": "The channel's id."},
    **KNOWLEDGE_PARAMETERS,
    "reminder_id": {"type": "integer", "description": "The reminder's id."},
    "conversation_id": {"type": "string", "description": "The conversation's id."},
    "sender_id": {
        "type": "string",
        "description": "A person's id at the provider, as in a conversation's `senderIds`.",
    },
}

_DAY: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

QUERY: Final[dict[str, Json]] = {
    "limit": {"type": "integer", "minimum": 0, "description": "The greatest number of lines with an id, at most 1000."},
    "before": {"type": "integer", "minimum": 0, "description": "Only lines before the one with this id."},
    "after": {"type": "integer", "minimum": 0, "description": "The first lines after the one with this id."},
    "q": {
        "type": "string",
        "maxLength": LONGEST_SEARCH,
        "description": 'Only lines that contain all these words or "phrases".',
    },
    "lines": {"type": "integer", "minimum": 0, "maximum": MAX_LINES},
    "persona": {"type": "string"},
    "follow": {"type": "boolean"},
    "start": {"type": "string", "description": "An ISO date or time; a date is a day of her person's."},
    "end": {"type": "string", "description": "An ISO date or time, which is no longer in the range."},
    "usage from": {"type": "string", "pattern": _DAY, "description": "The first day; the first of the month of `to`."},
    "usage to": {"type": "string", "pattern": _DAY, "description": "The last day; today in her person's zone."},
    **V1_QUERY,
    "secrets": {"type": "boolean", "default": True},
}
"""By the name of the parameter, or by several words of which the last is its name."""


HEADERS: Final[dict[str, Json]] = {
    "Idempotency-Key": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[!-~]+$",
        "description": "The same key makes a repeated request the same request.",
    },
    "If-Match": {
        "type": "string",
        "description": "The ETag of what is changed, as it was read; 412 if it is another now.",
    },
    "Range": {"type": "string", "description": "A range of bytes, such as bytes=0-1023."},
}


def _form(file: str) -> Json:
    """A multipart form with one file and a caption."""
    properties = {file: {"type": "string", "format": "binary"}, "caption": {"type": "string", "default": ""}}
    return {"type": "object", "properties": properties, "required": [file]}


STATUS: Final = object_(status=TEXT)
NOTHING: Final[Json] = {"type": "null"}
UPDATE: Final[Json] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "status": {"enum": ["active", "hibernate", "sick"]},
        "zone": {"type": "string", "description": "Her person's time zone, an IANA name; empty: the machine's."},
        "quiet_hours": {"type": "string", "description": "When routines wait, such as 22:00-07:00; empty: never."},
        **{slot: ref("OrganChange") for slot in ("thinking", *ORGANS)},
        **{f"clear_{slot}": {"type": "boolean"} for slot in ORGANS},
    },
}

_FEED_FORM: Final = object_(history={"type": "string", "format": "binary"}, source={"enum": list(SOURCES)})
_RESTORE_FORM: Final[Json] = {
    "type": "object",
    "properties": {
        "archive": {"type": "string", "format": "binary"},
        "name": {
            "type": "string",
            "maxLength": 100,
            "pattern": NAME_PATTERN.replace("+", "*"),
            "description": "A name instead of her own, unless it is empty.",
        },
        "new_id": {"type": "boolean", "default": False},
    },
    "required": ["archive"],
}

_FILE: Final[Json] = {"type": "string", "format": "binary"}
_MEDIA_TYPES: Final = ("application/octet-stream", *sorted(set(SHOWN_TYPES.values())))
_READINESS: Final = object_(status=TEXT, checks={"type": "object", "additionalProperties": ref("Check")})

_PERSONA: Final = "/api/persona/{persona_id}"
_UPLOAD_ERRORS: Final = (400, 408, 409, 413, 422, 429, 503, 507)

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("POST", f"{_PERSONA}/read"): Operation(
        "read",
        "perception",
        "Send her a text message; her reply comes over the WebSocket.",
        STATUS,
        (400, 409, 413, 422, 429, 503, 507),
        ref("ReadRequest"),
        headers=("Idempotency-Key",),
    ),
    ("POST", f"{_PERSONA}/hear"): Operation(
        "hear",
        "perception",
        "Send her an audio clip, as if she heard the person speak; with a mouth she answers in a `chat_audio` frame.",
        STATUS,
        _UPLOAD_ERRORS,
        _form("audio"),
        headers=("Idempotency-Key",),
        body_type="multipart/form-data",
    ),
    ("POST", f"{_PERSONA}/attach"): Operation(
        "attach",
        "perception",
        "Send her a file, for the perception that its extension names.",
        STATUS,
        (*_UPLOAD_ERRORS, 415),
        _form("file"),
        headers=("Idempotency-Key",),
        body_type="multipart/form-data",
    ),
    ("POST", f"{_PERSONA}/feed"): Operation(
        "feed",
        "perception",
        "Let her learn from her person's chat history with another AI; answers when all of it is digested. Unmasked.",
        object_(persona=ref("Persona")),
        (400, 408, 409, 413, 422, 500, 503, 507),
        _FEED_FORM,
        body_type="multipart/form-data",
    ),
    ("POST", f"{_PERSONA}/feed/forecast"): Operation(
        "forecastFeed",
        "costs",
        "Say about what a feed of this chat history would take of her mind; she learns nothing.",
        ref("Forecast"),
        (400, 408, 409, 413, 422, 500, 503, 507),
        _FEED_FORM,
        body_type="multipart/form-data",
    ),
    ("GET", "/api/personas"): Operation(
        "listPersonas", "personas", "List the personas.", object_(personas=list_("PersonaView"))
    ),
    ("GET", "/api/config/providers"): Operation(
        "listProviders",
        "personas",
        "Where each model provider answers.",
        {"type": "object", "additionalProperties": object_(url=TEXT)},
    ),
    ("POST", "/api/persona/create"): Operation(
        "createPersona",
        "personas",
        "Create a persona and start her.",
        object_(persona=ref("Persona"), recovery_phrase=NOTHING),
        (400, 422, 500),
        ref("CreateRequest"),
    ),
    ("POST", "/api/persona/restore"): Operation(
        "restorePersona",
        "personas",
        "Make a persona from her archive, with her id or a new one. Unmasked.",
        ref("Restored"),
        (400, 408, 409, 413, 422, 500, 503, 507),
        _RESTORE_FORM,
        body_type="multipart/form-data",
    ),
    ("POST", f"{_PERSONA}/update"): Operation(
        "updatePersona",
        "personas",
        "Change her status or organs, then make running match the status.",
        object_(status=TEXT, running={"type": "boolean"}),
        (400, 404, 422, 500),
        UPDATE,
    ),
    ("POST", f"{_PERSONA}/delete"): Operation(
        "deletePersona", "personas", "Delete her and all her data.", NOTHING, (400, 404)
    ),
    ("POST", f"{_PERSONA}/start"): Operation("startPersona", "personas", "Start her.", STATUS, (400, 404)),
    ("POST", f"{_PERSONA}/stop"): Operation("stopPersona", "personas", "Stop her.", STATUS, (400, 404)),
    ("POST", f"{_PERSONA}/restart"): Operation(
        "restartPersona", "personas", "Restart her, or start her.", STATUS, (400, 404)
    ),
    ("POST", f"{_PERSONA}/sleep"): Operation(
        "sleep", "personas", "Fold the talk into what she knows.", NOTHING, (400, 409)
    ),
    ("POST", f"{_PERSONA}/hush"): Operation(
        "hush",
        "perception",
        "Stop the answer to her person that is in hand; what she has said of it is kept. `not answering` without one.",
        STATUS,
        (404, 409),
    ),
    ("POST", f"{_PERSONA}/retry"): Operation(
        "retry",
        "perception",
        "Take up again what was set aside, one message or all, or drop it.",
        object_(status=TEXT, messages={"type": "array", "items": INTEGER}),
        (404, 422, 503, 507),
        ref("RetryRequest"),
        body_required=False,
    ),
    ("POST", f"{_PERSONA}/channels"): Operation(
        "addChannel",
        "channels",
        "Add a Telegram or Discord bot as a channel; the provider is asked whose token it is.",
        object_(kind=TEXT),
        (400, 404, 422, 500, 507),
        ref("AddRequest"),
    ),
    ("DELETE", f"{_PERSONA}/channels/{{channel_name}}"): Operation(
        "removeChannel",
        "channels",
        "Remove her channel of this name; without one, nothing changes.",
        object_(removed=TEXT),
        (404, 500, 507),
    ),
    ("POST", f"{_PERSONA}/pair"): Operation(
        "pairChannel",
        "channels",
        "Claim a pairing code, and so bind the channel to the account that was shown it. Unmasked.",
        object_(persona=ref("Persona"), channel=ref("Channel")),
        (400, 409, 422, 507),
        ref("PairRequest"),
    ),
    ("GET", f"{_PERSONA}/conversation"): Operation(
        "getConversation",
        "memory",
        "What was said, in pages: the last 100 lines unless the query asks for others.",
        object_(messages=list_("Message")),
        (404, 422),
        query=("limit", "before", "after", "q"),
    ),
    ("GET", f"{_PERSONA}/reminders"): Operation(
        "listReminders",
        "reminders",
        "Her reminders and routines that are to come, the next one first.",
        object_(reminders=list_("ReminderShown")),
        (404,),
    ),
    ("POST", f"{_PERSONA}/reminders"): Operation(
        "addReminder",
        "reminders",
        "Have her person reminded at a time, or by a rule of cron.",
        ref("ReminderShown"),
        (404, 409, 422, 507),
        ref("ReminderRequest"),
        status=201,
    ),
    ("PATCH", f"{_PERSONA}/reminders/{{reminder_id}}"): Operation(
        "changeReminder",
        "reminders",
        "Change a reminder that is to come.",
        ref("ReminderShown"),
        (404, 422, 507),
        ref("ReminderUpdate"),
    ),
    ("DELETE", f"{_PERSONA}/reminders/{{reminder_id}}"): Operation(
        "removeReminder", "reminders", "Remove a reminder.", object_(removed=INTEGER), (404, 507)
    ),
    ("GET", f"{_PERSONA}/calendar"): Operation(
        "getCalendar",
        "reminders",
        "What was said and told in a half-open range, and what is to come, with repetitions.",
        ref("CalendarShown"),
        (400, 404, 422),
        query=("start", "end"),
    ),
    ("GET", f"{_PERSONA}/export"): Operation(
        "exportPersona",
        "personas",
        "All of her as a ZIP archive, with her keys and tokens unless secrets is false.",
        _FILE,
        (400, 404, 422),
        query=("secrets",),
        # The first is what is sent; a generator that does not know it takes the second.
        media_types=("application/zip", "application/octet-stream"),
    ),
    ("GET", f"{_PERSONA}/knowledge"): Operation(
        "getKnowledge", "memory", "What she knows.", ref("Knowledge"), (400, 404)
    ),
    **KNOWLEDGE_OPERATIONS,
    ("GET", f"{_PERSONA}/media/{{filename}}"): Operation(
        "getMedia",
        "memory",
        "A file that she perceived or made.",
        _FILE,
        (404, 416),
        media_types=_MEDIA_TYPES,
        headers=("Range",),
        partial=True,
    ),
    ("GET", f"{_PERSONA}/usage"): Operation(
        "getUsage",
        "costs",
        "What her calls of remote minds and organs used, by day, model and purpose, and what it cost.",
        ref("Usage"),
        (400, 404),
        query=("usage from", "usage to"),
    ),
    ("GET", f"{_PERSONA}/budget"): Operation(
        "getBudget", "costs", "What her calls may use in a day and a month.", ref("BudgetShown"), (404,)
    ),
    ("POST", f"{_PERSONA}/budget"): Operation(
        "changeBudget",
        "costs",
        "Change what her calls may use, and what her visitors' may; it counts at once.",
        ref("BudgetShown"),
        (400, 404, 422, 507),
        ref("BudgetRequest"),
    ),
    ("GET", "/api/status"): Operation(
        "getStatus",
        "daemon",
        "The daemon and every persona.",
        object_(
            version=TEXT,
            commit={"type": ["string", "null"]},
            uptime_s={"type": "number"},
            pid=INTEGER,
            rss=INTEGER,
            spawner=TEXT,
            organ_host=object_(pid={"type": ["integer", "null"]}),
            sockets=INTEGER,
            ledger=object_(commits=INTEGER, fault=TEXT),
            personas=list_("PersonaStatus"),
            edits=TEXT,
            broken=list_("Broken"),
            dead_letters=list_("DeadLetterShown"),
        ),
    ),
    ("GET", "/api/logs"): Operation(
        "getLogs",
        "daemon",
        "The daemon's last events, one JSON object a line; with follow=true also those to come.",
        TEXT,
        (422, 429),
        query=("persona", "lines", "follow"),
        # As with the archive: text/plain is for generators.
        media_types=("application/x-ndjson", "text/plain"),
    ),
    ("GET", "/livez"): Operation("getLiveness", "daemon", "Whether the daemon lives.", STATUS),
    ("GET", "/readyz"): Operation(
        "getReadiness",
        "daemon",
        "Whether the daemon is ready.",
        _READINESS,
        (503,),
        refusals={503: _READINESS},
    ),
    ("GET", "/metrics"): Operation("getMetrics", "daemon", "Prometheus metrics.", TEXT, media_types=("text/plain",)),
    ("GET", "/openapi.json"): Operation("getOpenApi", "daemon", "This document.", {"type": "object"}),
    **OPENAI_OPERATIONS,
    **V1_OPERATIONS,
}
