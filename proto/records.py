"""The records of the persona API, with their fields in the perception seed's order."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from proto.secrets import Secret
from proto.texts import Label
from proto.zones import quiet_span, zone_of

T = TypeVar("T")

Status = Literal["active", "hibernate", "sick"]
OrganName = Literal["imagination", "mouth", "eye", "ear", "teacher", "researcher"]

Slot = Literal["thinking"] | OrganName
"""The field of a persona's record that holds an organ."""

ORGANS: Final[tuple[OrganName, ...]] = ("imagination", "mouth", "eye", "ear", "teacher", "researcher")
"""The optional organs in declaration order; ``thinking`` is required."""

EMBEDDED: Final = "embedded"
"""The provider name of organs whose model is part of an installed package."""

PROVIDERS: Final = frozenset({EMBEDDED, "local", "openai", "anthropic", "xai", "gemini"})
"""The providers that an organ may name; null is ``local``."""

EMBEDDED_MIND: Final = "smollm2-135m-instruct"

EMBEDDED_SENSES: Final[dict[OrganName, str]] = {
    "ear": "whisper-tiny.en",
    "eye": "pp-ocr",
    "researcher": "library",
    "mouth": "hibari-heart",
}
"""The optional organs that have an embedded model, and the model's name in a record."""

NAME_PATTERN: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+\Z"
"""A persona's name is shown in terminals and logs: no control characters, no line breaks."""

PersonaName = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=NAME_PATTERN)]
PersonaId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")]
IdleTimeout = Annotated[int, msgspec.Meta(ge=1, le=30 * 24 * 3600)]


class Organ(msgspec.Struct, forbid_unknown_fields=True):
    """A model slot. ``provider`` null means a local Ollama, ``embedded`` a model from an installed package."""

    name: str
    provider: str | None = None
    api_key: Secret | None = None
    url: str | None = None


class Channel(msgspec.Struct, forbid_unknown_fields=True):
    """A way to reach her from outside. ``verified_at`` is ISO 8601 with an offset, or null until it is paired."""

    type: Label
    name: Label = ""
    credentials: dict[str, Secret] = {}
    verified_at: str | None = None


LIMIT: Final = r"^(?:unlimited|(?:0|[1-9][0-9]{0,14}) tokens|(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,9})? [A-Z]{3})?\Z"
"""How much a budget allows: ``200000 tokens``, ``2.50 USD``, ``unlimited``, or nothing: the setting decides."""

Limit = Annotated[str, msgspec.Meta(max_length=40, pattern=LIMIT)]


class Budget(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """What her calls of remote minds and organs may use in a day and in a month, and apart from it her visitors'."""

    day: Limit = ""
    month: Limit = ""
    visitors_day: Limit = ""
    visitors_month: Limit = ""


class Persona(msgspec.Struct, forbid_unknown_fields=True):
    """The raw record: config.json on disk, and the response body where a seed leaves it unmasked."""

    id: PersonaId
    name: PersonaName
    thinking: Organ
    version: str = "v1"
    base_model: str = ""
    birthday: str = ""
    status: Status = "active"
    idle_timeout: IdleTimeout = 3600
    imagination: Organ | None = None
    mouth: Organ | None = None
    eye: Organ | None = None
    ear: Organ | None = None
    teacher: Organ | None = None
    researcher: Organ | None = None
    channels: list[Channel] | None = None
    own_zone: str | msgspec.UnsetType = msgspec.field(name="zone", default=msgspec.UNSET)
    own_quiet_hours: str | msgspec.UnsetType = msgspec.field(name="quiet_hours", default=msgspec.UNSET)
    # A record without them has exactly the documented fields.

    @property
    def zone(self) -> str:
        """Her person's time zone, an IANA name; "" is the machine's."""
        return "" if self.own_zone is msgspec.UNSET else self.own_zone

    @property
    def quiet_hours(self) -> str:
        """When routines wait, such as ``22:00-07:00`` in that zone; "" for never."""
        return "" if self.own_quiet_hours is msgspec.UNSET else self.own_quiet_hours

    budget: Budget | msgspec.UnsetType = msgspec.UNSET
    """Not a field of the documents, so it is not shown where none is set."""


class OrganView(msgspec.Struct):
    """An organ as lists show it, without its key."""

    name: str
    provider: str | None
    url: str | None


class ChannelView(msgspec.Struct):
    """A channel as lists show it."""

    type: str
    name: str
    verified: bool


class PersonaView(msgspec.Struct):
    """The reduced view of ``GET /api/personas``."""

    id: str
    name: str
    base_model: str
    birthday: str
    running: bool
    status: Status
    thinking: OrganView
    imagination: OrganView | None
    mouth: OrganView | None
    eye: OrganView | None
    ear: OrganView | None
    teacher: OrganView | None
    researcher: OrganView | None
    channels: list[ChannelView]


def organ_view(organ: Organ) -> OrganView:
    """Return the organ without its key."""
    return OrganView(organ.name, organ.provider, organ.url)


def persona_view(persona: Persona, running: bool, status: Status | None = None) -> PersonaView:
    """Return the reduced view: no version, no idle_timeout, no secrets; ``channels`` is never null.

    ``status`` is shown instead of the record's.
    """
    organs = {name: getattr(persona, name) for name in ORGANS}
    return PersonaView(
        id=persona.id,
        name=persona.name,
        base_model=persona.base_model,
        birthday=persona.birthday,
        running=running,
        status=status or persona.status,
        thinking=organ_view(persona.thinking),
        channels=[ChannelView(c.type, c.name, c.verified_at is not None) for c in persona.channels or []],
        **{name: organ and organ_view(organ) for name, organ in organs.items()},
    )


def reveal_secrets(value: object) -> object:
    """msgspec's encoding hook (https://jcristharif.com/msgspec/extending.html): write secrets in the clear."""
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"no encoding for {type(value).__name__}")


def seal_secrets(kind: type, value: Any) -> object:
    """msgspec's decoding hook: turn a string into a Secret where the field asks for one."""
    # Any: msgspec passes whatever value the document has.
    if kind is Secret:
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
        return Secret(value)
    raise NotImplementedError(f"no decoding for {kind.__name__}")


def to_json(value: object) -> bytes:
    """Encode a record with its secrets in the clear, for config.json and the seeds' unmasked responses."""
    return msgspec.json.encode(value, enc_hook=reveal_secrets)


def from_json(data: bytes | str, kind: type[T]) -> T:
    """Decode a record. Raises ``msgspec.DecodeError`` when it is invalid (a ``ValidationError`` names the field)."""
    return msgspec.json.decode(data, type=kind, dec_hook=seal_secrets)


def require_providers(persona: Persona) -> None:
    """Raise ValidationError for an organ whose provider does not exist: no process could start with it."""
    for slot in ("thinking", *ORGANS):
        organ: Organ | None = getattr(persona, slot)
        if organ and organ.provider is not None and organ.provider not in PROVIDERS:
            known = ", ".join(sorted(PROVIDERS))
            raise msgspec.ValidationError(f"there is no such provider; use null or {known} - at `$.{slot}.provider`")


def require_hours(persona: Persona) -> None:
    """Raise ValidationError for a time zone that does not exist, and for quiet hours that are none."""
    for field, check in (("zone", zone_of), ("quiet_hours", quiet_span)):
        try:
            check(getattr(persona, field))
        except ValueError as error:
            raise msgspec.ValidationError(f"{error} - at `$.{field}`") from error
