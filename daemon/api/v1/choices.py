"""Chooses what a channel is made of from what exists here: persona, account, model and datasets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from daemon.api.v1.objects import AccountOption, ChannelType, ModelOption, OptionsObject, PersonaOption
from daemon.api.v1.problems import Refused, refused_field
from daemon.http.problems import FieldError
from daemon.personas.personas import Personas
from daemon.settings.accounts import ReadAccount
from daemon.settings.sections import AccountType
from proto.records import Organ, Persona

ACCOUNT_TYPES: Final[Mapping[ChannelType, tuple[AccountType, ...]]] = {
    "sms": ("twilio",),
    "whatsapp": ("meta", "twilio"),
    "slack": ("slack",),
    "telegram": ("telegram",),
}
"""The types of ``[accounts]`` that each type of channel can use."""

PHONE_TYPES: Final = frozenset({"sms", "whatsapp"})

DATASETS: Final = "datasets"
_DATASET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""proto.texts.DatasetName."""

MAX_DATASETS_SHOWN: Final = 1000


class Choices:
    """The available choices. ``default_persona`` is the id of the persona that answers if none is asked for, or ""."""

    def __init__(
        self,
        *,
        personas: Personas,
        accounts: Mapping[str, ReadAccount],
        models: Mapping[str, Organ],
        default_persona: str,
    ) -> None:
        self._personas = personas
        self._accounts = accounts
        self._models = models
        self._default_persona = default_persona

    async def options(self, organization_id: str) -> OptionsObject:
        """Everything that there is to choose from, each by the name under which ``create`` takes it."""
        personas = self._personas.all()
        default = self._default_persona if self._personas.get(self._default_persona) else ""
        if not self._default_persona and len(personas) == 1:
            default = personas[0].id
        return OptionsObject(
            organization_id=organization_id,
            default_system_prompt_id=default or None,
            system_prompts=[
                PersonaOption(one.id, one.name, await asyncio.to_thread(_datasets, self._datasets_of(one)))
                for one in personas
            ],
            models=[
                ModelOption(id_, model.name, model.provider or "local") for id_, model in sorted(self._models.items())
            ],
            accounts=[
                AccountOption(
                    account.name,
                    [type_ for type_, types in ACCOUNT_TYPES.items() if account.type in types],
                    list(account.phones),
                )
                for account in sorted(self._accounts.values(), key=lambda one: one.name)
            ],
        )

    def persona(self, system_prompt_id: str | None) -> Persona:
        """The persona that answers: the one asked for, else the operator's default, else the only one there is.

        Raises Refused.
        """
        wanted = system_prompt_id or self._default_persona
        if wanted:
            persona = self._personas.get(wanted)
            if persona is None and system_prompt_id:
                raise refused_field("systemPromptId", "There is no persona with this id; GET /api/personas lists them.")
            if persona is None:
                raise refused_field(
                    "systemPromptId",
                    "channels.default_persona in personad.toml is no persona's id: correct it, or send a"
                    " systemPromptId.",
                )
            return persona
        personas = self._personas.all()
        if not personas:
            raise refused_field("systemPromptId", "There is no persona yet: make one with `personad create NAME`.")
        if len(personas) > 1:
            raise refused_field(
                "systemPromptId",
                f"There are {len(personas)} personas: send the id of one as systemPromptId, or set"
                " channels.default_persona in personad.toml.",
            )
        return personas[0]

    def account(self, type_: ChannelType, name: str | None, phone: str | None) -> ReadAccount:
        """The account asked for, or the one that has the phone number. Raises Refused."""
        types = ACCOUNT_TYPES[type_]
        fitting = [account for account in self._accounts.values() if account.type in types]
        if name is not None:
            account = next((one for one in fitting if one.name == name), None)
            if account is None:
                raise refused_field(
                    "account", f"There is no account of type {' or '.join(types)} with this name; {_names(fitting)}."
                )
            if phone is not None and phone not in account.phones:
                raise refused_field("phoneNumber", f"accounts.{name} does not have this number: add it to its phones.")
            return account
        found = fitting if phone is None else [account for account in fitting if phone in account.phones]
        field = "phoneNumber" if phone else "account"
        if not found:
            what = f"account of type {' or '.join(types)}" + (" with this number among its phones" if phone else "")
            raise refused_field(
                field, f"There is no {what}; {_names(fitting)}. Add an [accounts.NAME] table to personad.toml."
            )
        if len(found) > 1:
            raise refused_field("account", f"Several accounts would do: send one as account; {_names(found)}.")
        return found[0]

    def check_model(self, model_id: str | None) -> None:
        """Raise Refused for a model that is not in the settings."""
        if model_id is not None and model_id not in self._models:
            known = ", ".join(sorted(self._models)) or "none yet"
            raise refused_field(
                "modelId", f"There is no [models.ID] table with this id in personad.toml. There are: {known}."
            )

    async def check_datasets(self, persona: Persona, ids: Iterable[str]) -> None:
        """Raise Refused, naming each dataset for which the persona has no folder."""
        folder = self._datasets_of(persona)
        errors = [
            FieldError(
                f"{persona.name} has no such dataset: put its documents into a folder of this name in"
                f" personas/{persona.id}/{DATASETS} of the state directory.",
                pointer=f"/datasetIds/{place}",
            )
            for place, id_ in enumerate(ids)
            if not await _is_dataset(folder, id_)
        ]
        if errors:
            raise Refused(422, errors[0].message, errors)

    def _datasets_of(self, persona: Persona) -> Path:
        return self._personas.folder(persona.id) / DATASETS


def _datasets(folder: Path) -> list[str]:
    try:
        found = (one.name for one in folder.iterdir() if _DATASET.fullmatch(one.name) and one.is_dir())
        return sorted(islice(found, MAX_DATASETS_SHOWN))
    except OSError:
        return []


async def _is_dataset(folder: Path, id_: str) -> bool:
    if not _DATASET.fullmatch(id_):
        return False
    return await asyncio.to_thread((folder / id_).is_dir)


def _names(accounts: list[ReadAccount]) -> str:
    return f"there are: {', '.join(account.name for account in accounts)}" if accounts else "there is none"
