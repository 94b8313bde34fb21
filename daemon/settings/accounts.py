"""The operator's provider accounts and channel models with their secrets, read once at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from daemon.settings.private_files import PrivateFileError, read_private
from daemon.settings.sections import AccountType
from daemon.settings.settings import Settings, SettingsError
from proto.records import Organ
from proto.secrets import Secret

MAX_SECRET: Final = 8192
"""Bytes in one secret's file."""

FILE: Final = "_file"
"""The suffix of settings that name a secret's file; the credential's name is the setting's without it."""


class ReadAccount(msgspec.Struct, frozen=True):
    """An ``[accounts.<name>]`` table with its files read; ``proto/README.md`` names the ``credentials``."""

    name: str
    type: AccountType
    phones: tuple[str, ...]
    credentials: dict[str, Secret]


def read_accounts(settings: Settings) -> dict[str, ReadAccount]:
    """Read every account's files. Raises SettingsError."""
    return {
        name: ReadAccount(
            name,
            account.type,
            account.phones,
            {
                key.removesuffix(FILE): _secret(f"accounts.{name}.{key}", value)
                for key in account.__struct_fields__
                if key not in ("type", "phones") and (value := getattr(account, key))
            },
        )
        for name, account in settings.accounts.items()
    }


def read_models(settings: Settings) -> dict[str, Organ]:
    """Read the key of every ``[models.<id>]``. Raises SettingsError."""
    return {
        name: Organ(
            name=model.name,
            provider=None if model.provider == "local" else model.provider,
            api_key=_secret(f"models.{name}.api_key_file", model.api_key_file) if model.api_key_file else None,
            url=model.url or None,
        )
        for name, model in settings.models.items()
    }


def _secret(setting: str, value: str) -> Secret:
    """Return the file's content, or the value itself when the setting does not name a file."""
    if not setting.endswith(FILE):
        return Secret(value)
    if "/" not in value:
        raise SettingsError(
            f"{setting}: there is no credential {value}: start personad with LoadCredential={value}:PATH, or set the"
            " absolute path of a file"
        )
    try:
        data = read_private(Path(value), MAX_SECRET, setting, f"put the secret there, or correct {setting}")
        text = data.decode("ascii").strip()
    except PrivateFileError as error:
        raise SettingsError(f"{setting}: {error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{setting}: {value} has a character at byte {error.start} that no provider's secret contains"
        ) from error
    if not text or any(not 0x21 <= ord(character) <= 0x7E for character in text):
        raise SettingsError(f"{setting}: {value} must hold one secret without spaces or line breaks")
    return Secret(text)
