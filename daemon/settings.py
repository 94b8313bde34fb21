"""The operator's settings: built-in defaults, then one TOML file, then the environment.

``etc/personad.toml`` describes every key. Settings never come from a request. Whatever cannot be taken as it stands is
a ``SettingsError`` before anything is touched: the daemon never guesses and never starts on half a configuration.
"""

from __future__ import annotations

import hashlib
import math
import os
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from daemon.setting_checks import check_host, check_hosts, check_path, check_url, is_loopback
from proto.secrets import redact

S = TypeVar("S", bound=msgspec.Struct)

SYSTEM_FILE: Final = Path("/etc/personad/personad.toml")
USER_FILE: Final = Path(".config/personad/personad.toml")
"""Relative to the home directory."""

PREFIX: Final = "PERSONAD_"
NOT_SETTINGS: Final = frozenset({"PERSONAD_TOKEN"})
"""Variables of the command line's that are no setting: ``PERSONAD_TOKEN`` is the token that it presents."""

MAX_FILE: Final = 1_048_576
MAX_SOCKET_PATH: Final = 99
"""Bytes in the path of a Unix socket: the kernel takes 107, ZeroMQ a little less."""
SOCKET_NAME_ROOM: Final = 20
"""Bytes that a socket's own name, with its slash, may take under ``runtime_dir``."""


class SettingsError(ValueError):
    """A setting that cannot be taken; the text names its file or variable, its key, and what to do."""


class SettingsFileError(SettingsError):
    """There is no settings file at the path."""


Url = Annotated[str, check_url]
Host = Annotated[str, check_host]
Hosts = Annotated[tuple[str, ...], check_hosts]
FilePath = Annotated[str, check_path]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Seconds = Annotated[float, msgspec.Meta(ge=0.01, le=86_400)]
Bytes = Annotated[int, msgspec.Meta(ge=1024, le=1_073_741_824)]
FileBytes = Annotated[int, msgspec.Meta(ge=1024, le=1_099_511_627_776)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Level = Literal["debug", "info", "warning", "error"]


class Http(msgspec.Struct, frozen=True):
    """The API's listener. ``port`` 0 takes a free one; ``max_body`` in bytes, ``shutdown_timeout`` in seconds."""

    host: Host = "127.0.0.1"
    port: Port = 5000
    token_file: FilePath = ""
    allowed_hosts: Hosts = ()
    max_body: Bytes = 1_048_576
    shutdown_timeout: Seconds = 5.0


class Providers(msgspec.Struct, frozen=True):
    """Where each provider answers: its base URL."""

    telegram_url: Url = "https://api.telegram.org"
    discord_url: Url = "https://discord.com/api/v10"
    slack_url: Url = "https://slack.com/api/"
    twilio_url: Url = "https://api.twilio.com"
    whatsapp_url: Url = "https://graph.facebook.com"
    openai_url: Url = "https://api.openai.com/v1"
    anthropic_url: Url = "https://api.anthropic.com"
    xai_url: Url = "https://api.x.ai/v1"
    gemini_url: Url = "https://generativelanguage.googleapis.com/v1beta/openai"
    local_url: Url = "http://localhost:11434/v1"


class Mind(msgspec.Struct, frozen=True):
    """How long a mind may take, how often one call is tried again, and how words are put together; seconds."""

    first_token_timeout: Seconds = 60.0
    total_timeout: Seconds = 180.0
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    burst_window: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0
    history_lines: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 40


class Supervision(msgspec.Struct, frozen=True):
    """The deadlines and the restarts of workers; times in seconds."""

    ready_timeout: Seconds = 20.0
    stop_timeout: Seconds = 3.0
    hang_after: Seconds = 15.0
    backoff_min: Seconds = 0.2
    backoff_max: Seconds = 60.0
    stable_after: Seconds = 60.0
    failures: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5
    failure_window: Seconds = 300.0
    poison_deaths: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3


class Limits(msgspec.Struct, frozen=True):
    """How much of anything there may be: perceptions waiting per persona, characters, sockets, frames, bytes, days."""

    inbox: Count = 1000
    message_chars: Count = 65_536
    sockets: Count = 256
    socket_queue: Count = 512
    personas: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    upload: Bytes = 52_428_800
    uploads_at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    feed: FileBytes = 4_294_967_296
    feeds_at_once: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    archive: FileBytes = 17_179_869_184
    replay_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30


class Organs(msgspec.Struct, frozen=True):
    """The embedded models: seconds until an idle host leaves, an own GGUF file, threads (0: one less than cores)."""

    idle_timeout: Seconds = 600.0
    mind_model: FilePath = ""
    threads: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0


class Logs(msgspec.Struct, frozen=True):
    """What is logged, the events kept for ``personad logs``, and the bytes taken of one line of a worker's."""

    level: Level = "info"
    tail: Annotated[int, msgspec.Meta(ge=10, le=100_000)] = 2000
    worker_line: Annotated[int, msgspec.Meta(ge=1024, le=262_144)] = 16_384


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator can set; ``file`` is where it was read, None when there was no file."""

    state_dir: Path
    runtime_dir: Path
    http: Http = Http()
    providers: Providers = Providers()
    mind: Mind = Mind()
    supervisor: Supervision = Supervision()
    limits: Limits = Limits()
    organs: Organs = Organs()
    logs: Logs = Logs()
    file: Path | None = None


class Key(NamedTuple):
    """A setting's place: ``section`` is empty for the two directories at the top."""

    section: str
    name: str

    @property
    def dotted(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        return PREFIX + self.dotted.replace(".", "_").upper()


class Given(NamedTuple):
    """A value as it was given: ``where`` is its file or variable, ``text`` whether it is a variable's text."""

    value: object
    where: str
    text: bool = False


SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    "http": Http,
    "providers": Providers,
    "mind": Mind,
    "supervisor": Supervision,
    "limits": Limits,
    "organs": Organs,
    "logs": Logs,
}


@cache
def keys() -> dict[Key, Any]:
    """Every setting and the type that it is declared with, in the order of the settings file."""
    # Any: an annotation is no type that mypy could name.
    found: dict[Key, Any] = {Key("", "state_dir"): FilePath, Key("", "runtime_dir"): FilePath}
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind, include_extras=True)
        found |= {Key(section, name): hints[name] for name in kind.__struct_fields__}
    return found


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read ``path``, else the system's file, else the user's, else nothing; the environment overrides each key.

    Raises SettingsError.
    """
    file, document = _read_first(path, environ)
    given = _given_by_file(document, file) | _given_by_environ(environ)
    values = {key: _value(key, one, environ) for key, one in given.items()}
    state_dir = _state_dir(values.get(Key("", "state_dir")), environ)
    settings = Settings(
        state_dir=state_dir,
        runtime_dir=_runtime_dir(values.get(Key("", "runtime_dir")), state_dir, environ),
        http=_section("http", Http, values),
        providers=_section("providers", Providers, values),
        mind=_section("mind", Mind, values),
        supervisor=_section("supervisor", Supervision, values),
        limits=_section("limits", Limits, values),
        organs=_section("organs", Organs, values),
        logs=_section("logs", Logs, values),
        file=file,
    )
    _check_together(settings, given)
    return settings


def _section(name: str, kind: type[S], values: Mapping[Key, object]) -> S:
    return kind(**{key.name: value for key, value in values.items() if key.section == name})


def _read_first(path: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, object]]:
    if path is not None:
        return path, _read(path)
    for candidate in (SYSTEM_FILE, _home(environ) / USER_FILE):
        try:
            return candidate, _read(candidate)
        except SettingsFileError:
            continue
    return None, {}


def _read(path: Path) -> dict[str, object]:
    """Raise SettingsFileError where there is no file, SettingsError where it cannot be read as TOML."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SettingsFileError(f"{path}: there is no such settings file; give another with --config") from error
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read: {error.strerror}; fix it, or give another with --config"
        ) from error
    if len(data) > MAX_FILE:
        raise SettingsError(f"{path}: larger than {MAX_FILE} bytes; a settings file is smaller")
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
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
            raise SettingsError(_unknown(str(file), key.dotted, [known.dotted for known in keys()]))
    return given


def _given_by_environ(environ: Mapping[str, str]) -> dict[Key, Given]:
    by_variable = {key.variable: key for key in keys()}
    given: dict[Key, Given] = {}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        if name not in by_variable:
            raise SettingsError(_unknown("environment", name, list(by_variable)))
        given[by_variable[name]] = Given(text, f"environment variable {name}", text=True)
    return given


def _unknown(where: str, name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "etc/personad.toml lists every setting; remove or correct it"
    return f"{where}: unknown setting {_shown(name)}; {hint}"


def _value(key: Key, given: Given, environ: Mapping[str, str]) -> object:
    """Raise SettingsError unless the value fits the setting's declared type, bounds and checks."""
    kind = keys()[key]
    value = given.value
    if given.text and isinstance(value, str) and kind is Hosts:
        value = [part.strip() for part in value.split(",") if part.strip()]
    fault = ""
    try:
        value = msgspec.convert(value, kind, strict=not given.text)
    except msgspec.ValidationError:
        fault = _wanted(kind)
    if not fault and isinstance(value, float) and not math.isfinite(value):
        fault = _wanted(kind)
    if not fault:
        checks: list[Callable[[object], str]] = [check for check in get_args(kind)[1:] if callable(check)]
        fault = next((words for check in checks if (words := check(value))), "")
    if fault:
        raise SettingsError(f"{given.where}: {key.dotted} {fault}; it is {_shown(given.value)}")
    return _expanded(str(value), environ) if kind is FilePath else value


def _wanted(kind: Any) -> str:
    """Say in words what a declared type takes."""
    # Any: an annotation is no type that mypy could name.
    if get_origin(kind) is Literal:
        return "must be one of: " + ", ".join(get_args(kind))
    base, *extras = get_args(kind)
    bounds = [extra for extra in extras if isinstance(extra, msgspec.Meta)]
    name = {int: "a whole number", float: "a number", str: "a text"}.get(base, "a list of texts")
    return f"must be {name}" + "".join(f" from {bound.ge} to {bound.le}" for bound in bounds)


def _shown(value: object) -> str:
    text = redact(repr(value))
    return text if len(text) <= 100 else text[:100] + "..."


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _expanded(text: str, environ: Mapping[str, str]) -> str:
    return str(_home(environ) / text[2:]) if text.startswith("~/") else text


def _state_dir(given: object, environ: Mapping[str, str]) -> Path:
    """systemd's ``StateDirectory=`` stands in ``$STATE_DIRECTORY``, several separated by colons."""
    if given:
        return Path(str(given))
    if directory := environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(directory)
    return _home(environ) / ".local/state/personad"


def _runtime_dir(given: object, state_dir: Path, environ: Mapping[str, str]) -> Path:
    """One directory per state directory, so that two daemons of one user do not share their sockets."""
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
            f"runtime_dir: {directory} is longer than {room} bytes, too long for the path of a Unix socket;"
            " set runtime_dir (PERSONAD_RUNTIME_DIR) to a shorter absolute path"
        )
    return directory


def _check_together(settings: Settings, given: Mapping[Key, Given]) -> None:
    """Raise SettingsError where two settings contradict each other."""

    def where(*names: Key) -> str:
        return next((given[key].where for key in names if key in given), "settings")

    http, mind, supervisor = settings.http, settings.mind, settings.supervisor
    if not is_loopback(http.host) and not http.token_file:
        raise SettingsError(
            f"{where(Key('http', 'host'))}: http.host {http.host} can be reached from other machines, and there is no"
            " token: make one with `personad token`, set http.token_file to its file, or use 127.0.0.1"
        )
    if mind.first_token_timeout > mind.total_timeout:
        place = where(Key("mind", "first_token_timeout"), Key("mind", "total_timeout"))
        raise SettingsError(f"{place}: mind.first_token_timeout is over mind.total_timeout; raise the total")
    if supervisor.backoff_min > supervisor.backoff_max:
        place = where(Key("supervisor", "backoff_min"), Key("supervisor", "backoff_max"))
        raise SettingsError(f"{place}: supervisor.backoff_min is over supervisor.backoff_max; lower it")
