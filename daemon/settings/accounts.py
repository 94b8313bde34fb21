"""The operator's provider accounts and channel models with their secrets.

Models are read once at the start. Accounts are read again when the settings file or a secret's file changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from daemon.settings.private_files import PrivateFileError, read_private
from daemon.settings.sections import AccountType
from daemon.settings.settings import Account, Settings, SettingsError, load
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


class Mark(NamedTuple):
    """What tells a changed file from an unchanged one."""

    inode: int
    modified: int
    changed: int
    size: int


Marks = dict[str, Mark | None]
"""The marks of files by their paths; None for a file that is not there."""


class Accounts(Mapping[str, ReadAccount]):
    """The accounts by name, as they were last in order. Raises SettingsError when they cannot be used at the start.

    ``fault`` says why what the files hold now cannot be used; it is empty when they are in order.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings_file = settings.file
        self._environ = environ
        self._files = account_files(settings.accounts)
        # The settings were read a moment ago: the first look that finds the files settled reads them again.
        self._read: Marks = {}
        self._seen: Marks = {}
        self._accounts = read_accounts(settings)
        self.fault = ""

    def __getitem__(self, name: str) -> ReadAccount:
        return self._accounts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)

    def files(self) -> list[str]:
        """The paths of the accounts' secrets."""
        return list(self._files)

    async def refresh(self) -> set[str]:
        """Look at the files, and read them if they changed. Returns the names of the accounts that are other ones now.

        Files that differ from the last look, too, are still being written, and are left until the next one.
        """
        if self._settings_file is None:
            return set()
        marks = await asyncio.to_thread(self._marks)
        is_settled, self._seen = marks == self._seen, marks
        if marks == self._read or not is_settled:
            return set()
        self._read = marks
        try:
            settings = await asyncio.to_thread(load, self._settings_file, self._environ)
            self._files = account_files(settings.accounts)
            accounts = await asyncio.to_thread(read_accounts, settings)
        except SettingsError as error:
            self.fault = str(error)
            return set()
        before, self._accounts, self.fault = self._accounts, accounts, ""
        return {name for name in {*before, *accounts} if before.get(name) != accounts.get(name)}

    def _marks(self) -> Marks:
        return {file: _mark(file) for file in (str(self._settings_file), *self._files)}


def account_files(accounts: Mapping[str, Account]) -> list[str]:
    """The paths of these accounts' secrets."""
    values = ((key, value) for account in accounts.values() for key, value in msgspec.structs.asdict(account).items())
    return [value for key, value in values if key.endswith(FILE) and value.startswith("/")]


def _mark(file: str) -> Mark | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return Mark(found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


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
