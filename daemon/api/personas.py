"""List, create, update and delete personas."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final, get_args

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.bodies import Body, fault, read_object
from daemon.api.channels import refused
from daemon.api.errors import Unprocessable
from daemon.api.lookup import find_persona, require_room
from daemon.channels.errors import ChannelRefused
from daemon.channels.new_channel import NewChannel
from daemon.channels.register import ChannelRegister
from daemon.channels.service import ChannelService
from daemon.conversations.hubs import Hubs
from daemon.costs.costs import Costs
from daemon.http.answers import Fault, json_response, sentence
from daemon.ledger import Ledger
from daemon.personas.channel_records import PAIRED
from daemon.personas.personas import Personas, PersonasError
from daemon.supervision.supervisor import StartFailed, Supervisor
from proto.records import ORGANS, Organ, Persona, PersonaName, Slot, Status, persona_view
from proto.secrets import Secret, without
from proto.zones import BadHours, UnknownZone, quiet_span, zone_of

MIND: Final = "thinking"
SLOTS: Final[tuple[Slot, ...]] = (MIND, *ORGANS)
STATUSES: Final[tuple[Status, ...]] = get_args(Status)

UPDATED: Final = ("status", "zone", "quiet_hours", *SLOTS)
"""What ``update`` takes, beside ``clear_<organ>``."""
HOURS: Final[dict[str, Callable[[str], object]]] = {"zone": zone_of, "quiet_hours": quiet_span}
"""The fields about her person's time, and what refuses a bad one."""

ORGAN_FIELDS: Final = ("model", "url", "provider", "api_key")
OrganText = Annotated[str, msgspec.Meta(max_length=2048)]

CreateRequest: Final = msgspec.defstruct(
    "CreateRequest",
    [
        ("name", PersonaName),
        ("thinking_model", OrganText),
        *[
            (f"{slot}_{field}", OrganText | None, None)
            for slot in SLOTS
            for field in ORGAN_FIELDS
            if (slot, field) != (MIND, "model")
        ],
        *[(f"{kind}_token", OrganText | None, None) for kind in PAIRED],
        ("zone", OrganText | None, None),
        ("quiet_hours", OrganText | None, None),
    ],
    module=__name__,
)
CREATE_BODY: Final = Body(CreateRequest)

_NO_REMOTE_MODEL: Final = "A model name is required when using a remote provider."
_NO_MODEL: Final = "No model available. Please provide a model name."


class PersonaRoutes:
    """List, create, update and delete personas.

    ``max_personas`` is how many there may be. ``register`` saves records, because their channels may change meanwhile.
    """

    def __init__(
        self,
        *,
        personas: Personas,
        supervisor: Supervisor,
        ledger: Ledger,
        hubs: Hubs,
        register: ChannelRegister,
        channels: ChannelService,
        costs: Costs,
        max_personas: int,
    ) -> None:
        self._personas = personas
        self._supervisor = supervisor
        self._ledger = ledger
        self._hubs = hubs
        self._register = register
        self._channels = channels
        self._costs = costs
        self._max_personas = max_personas

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/personas", self.list_personas),
            Route("/api/persona/create", self.create, methods=["POST"]),
            Route("/api/persona/{persona_id}/update", self.update, methods=["POST"]),
            Route("/api/persona/{persona_id}/delete", self.delete, methods=["POST"]),
        ]

    async def list_personas(self, _request: Request) -> Response:
        """``GET /api/personas``: the reduced views; a persona whose file is broken shows as she was last read."""
        running, status_of = self._supervisor.running, self._supervisor.status_of
        views = [persona_view(persona, running(persona.id), status_of(persona)) for persona in self._personas.all()]
        return json_response({"personas": views})

    async def create(self, request: Request) -> Response:
        """``POST /api/persona/create``: her organs are tried first, then she is saved, then started."""
        asked = msgspec.structs.asdict(await CREATE_BODY.read(request))
        persona = _new_persona(asked)
        require_room(self._personas, self._max_personas)
        await self._probe(persona.id, {slot: getattr(persona, slot) for slot in SLOTS})
        channels = await self._new_channels(asked)
        require_room(self._personas, self._max_personas)
        await self._make(persona, channels)
        self._hubs.signal("Event", "Persona created", persona, {})
        try:
            await self._supervisor.start(persona.id)
        except StartFailed as error:
            raise HTTPException(500, sentence(f"Persona created but failed to start: {error}")) from error
        return json_response({"persona": persona, "recovery_phrase": None})

    async def update(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/update``: change her status or organs, then make running match it."""
        persona = find_persona(self._personas, request)
        changed = _updated(persona, await read_object(request))
        organs = {slot: getattr(changed, slot) for slot in SLOTS}
        new = {slot: organ for slot, organ in organs.items() if organ != getattr(persona, slot)}
        await self._probe(persona.id, new)
        self._hubs.signal("Plan", "Updating persona", persona, {})
        try:
            # Her minds took their time; meanwhile she may be gone.
            saved = await self._register.change_record(persona.id, lambda _: changed)
        except PersonasError as error:
            raise HTTPException(400, f"Could not save the persona's identity. ({error})") from error
        changed = saved or find_persona(self._personas, request)
        try:
            await self._reconcile(changed)
        except StartFailed as error:
            raise HTTPException(500, sentence(f"Updated but lifecycle change failed: {error}")) from error
        self._hubs.signal("Event", "Persona updated", changed, {"status": changed.status})
        return json_response({"status": changed.status, "running": self._supervisor.running(persona.id)})

    async def delete(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/delete``: stop her and remove all that is hers."""
        persona = find_persona(self._personas, request)
        await self._supervisor.stop(persona.id)
        try:
            await self._personas.delete(persona.id)
        except PersonasError as error:
            # 404 if another request has deleted her meanwhile.
            find_persona(self._personas, request)
            raise HTTPException(400, f"Could not delete persona. Please check the persona data. ({error})") from error
        # Somebody may have started her between the two calls; from now on nobody can.
        await self._supervisor.stop(persona.id)
        self._supervisor.forget(persona.id)
        self._channels.forget(persona.id)
        self._costs.forget(persona.id)
        # What a crash leaves undone here, the next start finishes.
        await self._ledger.forget(persona.id)
        await self._personas.remove_deleted(persona.id)
        self._hubs.signal("Event", "Persona deleted", persona, {})
        self._hubs.forget(persona.id)
        return json_response(None)

    async def _new_channels(self, asked: dict[str, str | None]) -> list[NewChannel]:
        """Ask the providers whose tokens these are. Raises 400."""
        found = []
        for kind in PAIRED:
            if token := asked[f"{kind}_token"]:
                try:
                    found.append(await self._channels.identify(kind, token))
                except ChannelRefused as error:
                    raise refused(error, f"{kind.title()} validation failed") from error
        return found

    async def _make(self, persona: Persona, channels: list[NewChannel]) -> None:
        """Make her with her channels. Raises 400, and then nothing of her is left."""
        try:
            await self._channels.create(persona, channels)
        except ChannelRefused as error:
            raise refused(error, f"{error.kind.title()} validation failed") from error
        except PersonasError as error:
            raise HTTPException(400, f"Could not set up persona identity files. ({error})") from error

    async def _probe(self, persona_id: str, organs: dict[Slot, Organ | None]) -> None:
        """Try each organ in its slot. Raises 400 with the reason of the first that fails."""
        trials = [
            self._supervisor.probe(organ, slot, persona_id) for slot, organ in organs.items() if organ is not None
        ]
        keys = [organ.api_key.reveal() for organ in organs.values() if organ is not None and organ.api_key]
        for reason in await asyncio.gather(*trials):
            if reason:
                # A provider may repeat the key that it refuses.
                raise HTTPException(400, sentence(f"Environment preparation failed: {without(keys, reason)}"))

    async def _reconcile(self, persona: Persona) -> None:
        if persona.status != "active":
            await self._supervisor.stop(persona.id)
        elif self._supervisor.running(persona.id):
            await self._supervisor.restart(persona.id)
        else:
            await self._supervisor.start(persona.id)


def _new_persona(asked: dict[str, str | None]) -> Persona:
    organs = {slot: _asked_organ(asked, slot) for slot in SLOTS}
    mind = organs.pop(MIND)
    if mind is None:
        raise HTTPException(400, _NO_REMOTE_MODEL if _provider(asked["thinking_provider"]) else _NO_MODEL)
    persona = Persona(
        id=str(uuid.uuid4()),
        name=asked["name"] or "",
        thinking=mind,
        base_model=mind.name if mind.provider is None else "",
        birthday=datetime.now().astimezone().date().isoformat(),
        own_zone=_hours("zone", asked["zone"]),
        own_quiet_hours=_hours("quiet_hours", asked["quiet_hours"]),
    )
    return msgspec.structs.replace(persona, **organs)


def _asked_organ(asked: dict[str, str | None], slot: str) -> Organ | None:
    """An organ exists when its model is named."""
    model, url, provider, api_key = (asked[f"{slot}_{field}"] for field in ORGAN_FIELDS)
    if not model or not model.strip():
        return None
    return Organ(model.strip(), _provider(provider), _secret(api_key), url or None)


def _provider(text: str | None) -> str | None:
    """``local`` is the name under which the provider list shows what a record calls null."""
    return None if text in (None, "", "local") else text


def _updated(persona: Persona, asked: dict[str, object]) -> Persona:
    """Return her record with the changes asked for; raises 400 naming the first that cannot be made."""
    changes: dict[str, object] = {}
    for key, value in asked.items():
        if key == "status":
            if value not in STATUSES:
                raise HTTPException(400, f"Status must be one of: {', '.join(STATUSES)}.")
            changes["status"] = value
        elif key in HOURS:
            changes[f"own_{key}"] = _hours(key, value)
        elif key in SLOTS:
            changes[key] = _updated_organ(key, getattr(persona, key), value)
        elif key.removeprefix("clear_") in ORGANS and key.startswith("clear_"):
            if not isinstance(value, bool):
                raise HTTPException(400, f"{key} must be true or false.")
            if value:
                changes[key.removeprefix("clear_")] = None
        else:
            # Not shown: it may be a key that was pasted into the wrong place.
            raise HTTPException(400, f"An unknown key was sent: send {', '.join(UPDATED)}, or clear_<organ>.")
    changed = msgspec.structs.replace(persona, **changes)
    if changed.thinking != persona.thinking:
        changed.base_model = changed.thinking.name if changed.thinking.provider is None else ""
    return changed


def _hours(field: str, value: object) -> str | msgspec.UnsetType:
    """Return the field's value in a record, where an empty one is absent.

    Raise Unprocessable for a time zone that does not exist, and for quiet hours that are none.
    """
    if value is not None and not isinstance(value, str):
        raise Unprocessable([Fault("string_type", ("body", field), "Input should be a valid string")])
    text = (value or "").strip()
    try:
        HOURS[field](text)
    except (UnknownZone, BadHours) as error:
        raise Unprocessable([Fault("value_error", ("body", field), str(error))]) from error
    return text or msgspec.UNSET


class OrganChange(msgspec.Struct, forbid_unknown_fields=True):
    """An organ's object in ``update``: what is absent stays as it is."""

    provider: OrganText | msgspec.UnsetType | None = msgspec.UNSET
    model: OrganText | msgspec.UnsetType = msgspec.UNSET
    url: OrganText | msgspec.UnsetType | None = msgspec.UNSET
    api_key: OrganText | msgspec.UnsetType | None = msgspec.UNSET


def _updated_organ(slot: str, organ: Organ | None, asked: object) -> Organ:
    if isinstance(asked, dict) and not asked.keys() <= set(ORGAN_FIELDS):
        raise HTTPException(400, f"{slot} cannot be taken: it has an unknown field; send {', '.join(ORGAN_FIELDS)}.")
    try:
        change = msgspec.convert(asked, OrganChange)
    except msgspec.ValidationError as error:
        # The words name the field and what was expected, never the value.
        found = fault((slot,), error)
        field = "".join(f"{name}: " for name in found.loc[1:])
        raise HTTPException(400, f"{slot} cannot be taken: {field}{found.msg}.") from error
    old = organ or Organ("")
    provider = old.provider if change.provider is msgspec.UNSET else _provider(change.provider)
    if provider != old.provider:
        # Another provider's address and key are of no use there, and its key is not sent to it.
        old = Organ(old.name)
    name = old.name if change.model is msgspec.UNSET else change.model.strip()
    if not name:
        raise HTTPException(400, _NO_REMOTE_MODEL if provider else _NO_MODEL)
    url = old.url if change.url is msgspec.UNSET else change.url or None
    key = old.api_key if change.api_key is msgspec.UNSET else _secret(change.api_key)
    return Organ(name, provider, key, url)


def _secret(text: str | None) -> Secret | None:
    """A key without the blanks around it that come with a paste. Raises 400 for one that no header can carry."""
    key = (text or "").strip()
    if any(not "!" <= character <= "~" for character in key):
        raise HTTPException(400, "An api_key has a blank or a character that no provider's key has: copy it again.")
    return Secret(key) if key else None
