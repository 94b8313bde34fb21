"""The operator's settings: built-in defaults, then one TOML file, then the environment.

``etc/personad.toml`` describes every key. Settings never come from a request. An invalid setting raises
``SettingsError`` before anything else happens. The daemon never guesses and never starts with half a configuration.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, get_type_hints

import msgspec

from daemon.settings import tables as setting_tables
from daemon.settings.amounts import amount
from daemon.settings.checks import is_loopback
from daemon.settings.sections import (
    SECTIONS,
    TABLES,
    V1,
    Account,
    Budgets,
    Channels,
    FilePath,
    Hooks,
    Http,
    Level,
    Limits,
    Logs,
    Mind,
    Model,
    Oidc,
    Organs,
    Price,
    Providers,
    Supervision,
)
from daemon.settings.values import Given, SettingsError, checked, home, unknown

__all__ = [
    "SECTIONS",
    "V1",
    "Account",
    "Budgets",
    "Channels",
    "Hooks",
    "Http",
    "Level",
    "Limits",
    "Logs",
    "Mind",
    "Model",
    "Oidc",
    "Organs",
    "Price",
    "Providers",
    "Settings",
    "SettingsError",
    "SettingsFileError",
    "Supervision",
    "keys",
    "load",
]

S = TypeVar("S", bound=msgspec.Struct)

SYSTEM_FILE: Final = Path("/etc/personad/personad.toml")
USER_FILE: Final = Path(".config/personad/personad.toml")
"""Relative to the home directory."""

PREFIX: Final = "PERSONAD_"
NOT_SETTINGS: Final = frozenset({"PERSONAD_TOKEN"})
"""Variables of the command line that are not settings: ``PERSONAD_TOKEN`` is the token that it presents."""

MAX_FILE: Final = 1_048_576
MAX_SOCKET_PATH: Final = 99
"""Bytes in the path of a Unix socket: the kernel allows 107, ZeroMQ a little less.

https://man7.org/linux/man-pages/man7/unix.7.html
"""
SOCKET_NAME_ROOM: Final = 20
"""Bytes for a socket's own name under ``runtime_dir``, with its slash."""


class SettingsFileError(SettingsError):
    """There is no settings file at the path."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator can set; ``file`` is the settings file, or None when there was none."""

    state_dir: Path
    runtime_dir: Path
    http: Http = Http()
    v1: V1 = V1()
    oidc: Oidc = Oidc()
    hooks: Hooks = Hooks()
    channels: Channels = Channels()
    providers: Providers = Providers()
    mind: Mind = Mind()
    supervisor: Supervision = Supervision()
    limits: Limits = Limits()
    organs: Organs = Organs()
    budgets: Budgets = Budgets()
    logs: Logs = Logs()
    models: dict[str, Model] = {}
    accounts: dict[str, Account] = {}
    prices: dict[str, Price] = {}
    file: Path | None = None


class Key(NamedTuple):
    """A setting's section and name; ``section`` is "" for the two directories at the top."""

    section: str
    name: str

    @property
    def dotted(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        return PREFIX + self.dotted.replace(".", "_").upper()


@cache
def keys() -> dict[Key, Any]:
    """Return every setting with its declared type, in the order of the settings file."""
    # Any: mypy has no type for an annotation.
    found: dict[Key, Any] = {Key("", "state_dir"): FilePath, Key("", "runtime_dir"): FilePath}
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind, include_extras=True)
        found |= {Key(section, name): hints[name] for name in kind.__struct_fields__}
    return found


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read ``path``, else the system's file, else the user's, else none. The environment overrides each key.

    Raises SettingsError.
    """
    file, document = _read_first(path, environ)
    tables = {section: document.pop(section, {}) for section in TABLES}
    given = _given_by_file(document, file) | _given_by_environ(environ)
    values = {key: checked(key.dotted, keys()[key], one, environ) for key, one in given.items()}
    state_dir = _state_dir(values.get(Key("", "state_dir")), environ)
    settings = Settings(
        state_dir=state_dir,
        runtime_dir=_runtime_dir(values.get(Key("", "runtime_dir")), state_dir, environ),
        http=_section("http", Http, values),
        v1=_section("v1", V1, values),
        oidc=_section("oidc", Oidc, values),
        hooks=_section("hooks", Hooks, values),
        channels=_section("channels", Channels, values),
        providers=_section("providers", Providers, values),
        mind=_section("mind", Mind, values),
        supervisor=_section("supervisor", Supervision, values),
        limits=_section("limits", Limits, values),
        organs=_section("organs", Organs, values),
        budgets=_section("budgets", Budgets, values),
        logs=_section("logs", Logs, values),
        models=setting_tables.models(tables["models"], str(file), environ),
        accounts=setting_tables.accounts(tables["accounts"], str(file), environ),
        prices=setting_tables.prices(tables["prices"], str(file), environ),
        file=file,
    )
    _check_together(settings, given)
    return settings


def _section(name: str, kind: type[S], values: Mapping[Key, object]) -> S:
    return kind(**{key.name: value for key, value in values.items() if key.section == name})


def _read_first(path: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, object]]:
    if path is not None:
        return path, _read(path)
    for candidate in (SYSTEM_FILE, home(environ) / USER_FILE):
        try:
            return candidate, _read(candidate)
        except SettingsFileError:
            continue
    return None, {}


def _read(path: Path) -> dict[str, object]:
    """Raise SettingsFileError when there is no file, SettingsError when it cannot be read as TOML."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SettingsFileError(f"{path}: there is no such settings file; name another with --config") from error
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror}; fix it, or name another with --config"
        ) from error
    if len(data) > MAX_FILE:
        raise SettingsError(f"{path}: larger than {MAX_FILE} bytes, so it is not a settings file")
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except (ValueError, RecursionError) as error:
        # Besides its own errors tomllib raises those of numbers with thousands of digits, and of thousands of brackets.
        raise SettingsError(f"{path}: not TOML: {error}; correct it") from error


def _given_by_file(document: dict[str, object], file: Path | None) -> dict[Key, Given]:
    given: dict[Key, Given] = {}
    for name, value in document.items():
        if name in SECTIONS:
            if not isinstance(value, dict):
                raise SettingsError(f"{file}: {name} is a section: write [{name}] and its keys below it")
            given |= {Key(name, inner): Given(one, str(file)) for inner, one in value.items()}
        else:
            given[Key("", name)] = Given(value, str(file))
    for key in given:
        if key not in keys():
            raise unknown(str(file), key.dotted, [known.dotted for known in keys()])
    return given


def _given_by_environ(environ: Mapping[str, str]) -> dict[Key, Given]:
    by_variable = {key.variable: key for key in keys()}
    given: dict[Key, Given] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        if name not in by_variable and (table := _table_of(name)):
            raise SettingsError(
                f"environment: {name}: only the settings file can set a [{table}.NAME] table; remove the variable"
            )
        if name not in by_variable:
            raise unknown("environment", name, by_variable)
        given[by_variable[name]] = Given(text, f"environment variable {name}", text=True)
    return given


def _table_of(variable: str) -> str:
    return next((name for name in TABLES if variable.startswith(f"{PREFIX}{name.upper()}_")), "")


def _state_dir(given: object, environ: Mapping[str, str]) -> Path:
    """Return the setting, else systemd's ``StateDirectory=``, else a directory of the user's.

    ``$STATE_DIRECTORY`` separates several by colons:
    https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#RuntimeDirectory=
    """
    if given:
        return Path(str(given))
    if directory := environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(directory)
    return home(environ) / ".local/state/personad"


def _runtime_dir(given: object, state_dir: Path, environ: Mapping[str, str]) -> Path:
    """Return one directory per state directory, so that two daemons of one user do not share sockets."""
    mark = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:8]
    if given:
        directory = Path(str(given))
    elif named := environ.get("RUNTIME_DIRECTORY", "").split(":")[0]:
        directory = Path(named)
    elif base := environ.get("XDG_RUNTIME_DIR", ""):
        directory = Path(base) / f"personad-{mark}"
    else:
        directory = Path(f"/tmp/personad-{os.getuid()}-{mark}")  # noqa: S108 - made 0700, its owner checked
    room = MAX_SOCKET_PATH - SOCKET_NAME_ROOM
    if len(os.fsencode(directory)) > room:
        raise SettingsError(
            f"runtime_dir: {directory} is longer than {room} bytes, which is too long for the path of a Unix socket;"
            " set runtime_dir (PERSONAD_RUNTIME_DIR) to a shorter absolute path"
        )
    return directory


def _check_together(settings: Settings, given: Mapping[Key, Given]) -> None:
    """Raise SettingsError when two settings contradict each other."""

    def where(*names: Key) -> str:
        return next((given[key].where for key in names if key in given), "settings")

    http, mind, supervisor = settings.http, settings.mind, settings.supervisor
    if not is_loopback(http.host) and not http.token_file:
        raise SettingsError(
            f"{where(Key('http', 'host'))}: http.host {http.host} can be reached from other machines, but there is no"
            " token: make one with `personad token` and set http.token_file to its file, or use 127.0.0.1"
        )
    if mind.first_token_timeout > mind.total_timeout:
        place = where(Key("mind", "first_token_timeout"), Key("mind", "total_timeout"))
        raise SettingsError(f"{place}: mind.first_token_timeout is larger than mind.total_timeout; raise the total")
    if supervisor.backoff_min > supervisor.backoff_max:
        place = where(Key("supervisor", "backoff_min"), Key("supervisor", "backoff_max"))
        raise SettingsError(f"{place}: supervisor.backoff_min is larger than supervisor.backoff_max; lower it")
    if settings.hooks.port and (settings.hooks.host, settings.hooks.port) == (http.host, http.port):
        place = where(Key("hooks", "port"), Key("http", "port"))
        raise SettingsError(f"{place}: hooks.port is the same as http.port; webhooks need their own port")
    currency = next((price.currency for price in settings.prices.values()), "")
    for name in Budgets.__struct_fields__:
        found = amount(getattr(settings.budgets, name))
        if found and found.currency not in ("", currency):
            known = f"the prices are in {currency}" if currency else "no model has a price"
            raise SettingsError(
                f"{where(Key('budgets', name))}: budgets.{name} is in {found.currency}, but {known}: write [prices]"
                " tables in that currency, or a budget in tokens"
            )
    if fault := _oidc_fault(settings.oidc):
        place = where(*(Key("oidc", name) for name in Oidc.__struct_fields__))
        raise SettingsError(f"{place}: {fault}")


def _oidc_fault(oidc: Oidc) -> str:
    """Return why tokens could not be verified with these settings, or ""."""
    given = [name for name in Oidc.__struct_fields__ if name != "roles_claim" and getattr(oidc, name)]
    if given and not (oidc.issuer and oidc.audience):
        return f"oidc.{given[0]} needs oidc.issuer and oidc.audience; set both"
    if given and bool(oidc.jwks_url) == bool(oidc.jwks_file):
        return "oidc.issuer needs the keys that sign its tokens: set one of oidc.jwks_url and oidc.jwks_file"
    if given and not (oidc.organization_claim or oidc.required_scope or oidc.required_role):
        return (
            "oidc.issuer would open /v1 to everybody whom the issuer knows: set oidc.organization_claim, "
            "oidc.required_scope or oidc.required_role"
        )
    if oidc.read_scope and not oidc.required_scope:
        return (
            "oidc.read_scope is for tokens that may only read, but without oidc.required_scope every token may do"
            " everything: set oidc.required_scope to the scope that changes need"
        )
    return ""
