"""``/v1/models``: each persona who runs is a model, by her id and by her name."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.openai.refusals import Refused
from daemon.http.answers import json_response
from daemon.http.openai_errors import MODELS
from daemon.personas.personas import Personas
from daemon.supervision.supervisor import Supervisor
from proto.records import Persona

OWNER: Final = "personad"


class Model(msgspec.Struct):
    """A persona as a model. ``id`` is her name, or her id if another persona has that name; both can be asked for.

    ``created`` is her birthday, in epoch seconds. ``name`` and ``persona_id`` are ours.
    """

    id: str
    created: int
    object: Literal["model"] = "model"
    owned_by: str = OWNER
    name: str = ""
    persona_id: str = ""


class ModelList(msgspec.Struct):
    """All models."""

    data: list[Model]
    object: Literal["list"] = "list"


class Models:
    """Finds the persona that a request names as its model."""

    def __init__(self, personas: Personas, supervisor: Supervisor) -> None:
        self._personas = personas
        self._supervisor = supervisor

    def all(self) -> list[Model]:
        """Return the personas who run, by name."""
        running = [one for one in self._personas.all() if self._supervisor.running(one.id)]
        return [self.shown(one) for one in sorted(running, key=lambda one: (one.name.casefold(), one.id))]

    def shown(self, persona: Persona) -> Model:
        """Return a persona as a model."""
        names = Counter(one.name.casefold() for one in self._personas.all())
        shown = persona.name if names[persona.name.casefold()] == 1 else persona.id
        return Model(shown, _created(persona.birthday), name=persona.name, persona_id=persona.id)

    def find(self, model: str) -> Persona:
        """Return the running persona with this id or name, in any capitals. Raises Refused."""
        persona = self._personas.get(model) or self._named(model)
        if persona is None:
            raise _not_found(model, "GET /v1/models lists those that there are.")
        if not self._supervisor.running(persona.id):
            raise _not_found(model, f"{persona.name} is not running: start her, as with `personad start`.")
        return persona

    def _named(self, model: str) -> Persona | None:
        """Return the only persona with this name. Raises Refused when several have it."""
        found = [one for one in self._personas.all() if one.name.casefold() == model.casefold()]
        if len(found) > 1:
            ids = " or ".join(sorted(one.id for one in found)[:8])
            message = f"{len(found)} personas are called '{_short(model)}': name one by her id, {ids}."
            raise Refused(400, message, param="model", code="model_ambiguous")
        return found[0] if found else None


class ModelRoutes:
    """The routes of models."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def routes(self) -> list[BaseRoute]:
        return [
            Route(MODELS, self.list_models),
            # A name may have a slash in it.
            Route(f"{MODELS}/{{model:path}}", self.get_model),
        ]

    async def list_models(self, _request: Request) -> Response:
        """``GET /v1/models``."""
        return json_response(ModelList(self._models.all()))

    async def get_model(self, request: Request) -> Response:
        """``GET /v1/models/{model}``."""
        return json_response(self._models.shown(self._models.find(request.path_params["model"])))


def _not_found(model: str, hint: str) -> Refused:
    message = f"The model `{_short(model)}` does not exist or you do not have access to it. {hint}"
    return Refused(404, message, param="model", code="model_not_found")


def _short(model: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in model[:100])


def _created(birthday: str) -> int:
    try:
        return int(datetime.fromisoformat(birthday).replace(tzinfo=UTC).timestamp())
    except ValueError:
        return 0
