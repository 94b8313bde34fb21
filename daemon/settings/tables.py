"""The tables that the operator names, such as ``[models.<id>]`` and ``[prices.<model>]``. Only the file sets them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar, get_type_hints

import msgspec

from daemon.settings.sections import ACCOUNT_KEYS, Account, Model, Price
from daemon.settings.values import Given, SettingsError, checked, shown, unknown

S = TypeVar("S", bound=msgspec.Struct)

PRICED: Final = ("openai", "anthropic", "xai", "gemini", "local")
"""The providers whose models may have a price. The embedded ones cost nothing."""

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")


def models(tables: object, file: str, environ: Mapping[str, str]) -> dict[str, Model]:
    """Read ``[models]``. Raises SettingsError."""
    return {name: _table("models", name, given, Model, file, environ) for name, given in _named("models", tables, file)}


def accounts(tables: object, file: str, environ: Mapping[str, str]) -> dict[str, Account]:
    """Read ``[accounts]``. Raises SettingsError, also for keys that an account's type needs or does not have."""
    found = {
        name: _table("accounts", name, given, Account, file, environ)
        for name, given in _named("accounts", tables, file)
    }
    for name, account in found.items():
        if fault := _account_fault(account):
            raise SettingsError(f"{file}: accounts.{name} (type {account.type}) {fault}")
    return found


def prices(tables: object, file: str, environ: Mapping[str, str]) -> dict[str, Price]:
    """Read ``[prices]``. Raises SettingsError, also for a provider that does not exist and for two currencies."""
    found = {
        name: _table("prices", name, given, Price, file, environ) for name, given in _named("prices", tables, file)
    }
    for name in found:
        provider, _, model = name.partition("/")
        if provider not in PRICED or not model:
            raise SettingsError(
                f'{file}: [prices."{name}"] names no model: write [prices."PROVIDER/MODEL"] with the provider'
                f" {', '.join(PRICED)} and the model as in her record"
            )
    if len(currencies := sorted({one.currency for one in found.values()})) > 1:
        raise SettingsError(
            f"{file}: prices are in {' and '.join(currencies)}, which cannot be added; write all in one currency"
        )
    return found


def _named(section: str, tables: object, file: str) -> list[tuple[str, dict[str, object]]]:
    if not isinstance(tables, dict):
        raise SettingsError(f"{file}: {section} is a section of tables: write [{section}.NAME] and its keys below it")
    for name, given in tables.items():
        if not isinstance(given, dict):
            raise SettingsError(f"{file}: {section}.{name} is a table: write [{section}.{name}] and its keys below it")
        if not NAME.fullmatch(name):
            raise SettingsError(
                f"{file}: [{section}.{shown(name)}] has an invalid name: use at most 100 letters, digits and . _ : / -"
            )
    return list(tables.items())


def _table(
    section: str, name: str, given: dict[str, object], kind: type[S], file: str, environ: Mapping[str, str]
) -> S:
    hints = get_type_hints(kind, include_extras=True)
    place = f"{section}.{name}"
    for key in given:
        if key not in hints:
            raise unknown(file, f"{place}.{key}", [f"{place}.{known}" for known in hints])
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in given:
            raise SettingsError(f"{file}: {place} has no {field.name}; write one below [{place}]")
    values = {key: checked(f"{place}.{key}", hints[key], Given(one, file), environ) for key, one in given.items()}
    return kind(**values)


def _account_fault(account: Account) -> str:
    keys = ACCOUNT_KEYS[account.type]
    given = {field for field in account.__struct_fields__ if field != "type" and getattr(account, field)}
    if missing := [key for key in keys.needs if key not in given]:
        return f"needs {', '.join(missing)}; write them below it"
    if surplus := given - {*keys.needs, *keys.may, *keys.one_of, *keys.together}:
        return f"does not take {', '.join(sorted(surplus))}; remove it, or correct the type"
    if keys.one_of and not given & set(keys.one_of):
        return f"needs {' or '.join(keys.one_of)}; write one below it"
    if given & set(keys.together) and not given >= set(keys.together):
        return f"needs {' and '.join(keys.together)} together; write both, or neither"
    if account.type == "meta" and len(account.phones) > 1:
        return "takes one phone number, that of its phone_number_id; make a table for each number"
    return ""
