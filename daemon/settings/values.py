"""One setting's value, checked against the setting's declared type, bounds and checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from daemon.settings.sections import CredentialFile, FilePath, Hosts, Networks
from proto.secrets import redact


class SettingsError(ValueError):
    """A setting is invalid. The text names its file or variable and its key, and says what to do."""


class Given(NamedTuple):
    """A value and its origin: ``where`` names the file or variable, ``text`` is True for a variable's text."""

    value: object
    where: str
    text: bool = False


def checked(dotted: str, kind: Any, given: Given, environ: Mapping[str, str]) -> object:
    """Raise SettingsError unless the value fits the setting's declared type, bounds and checks."""
    # Any: mypy has no type for an annotation.
    value = given.value
    if given.text and isinstance(value, str) and kind in (Hosts, Networks):
        value = [part.strip() for part in value.split(",") if part.strip()]
    fault = ""
    try:
        value = msgspec.convert(value, kind, strict=not given.text)
    except (msgspec.ValidationError, UnicodeEncodeError):
        # The latter for a variable that is not UTF-8, where a number belongs.
        fault = _wanted(kind)
    if not fault and isinstance(value, float) and not math.isfinite(value):
        fault = _wanted(kind)
    if not fault:
        checks: list[Callable[[object], str]] = [check for check in get_args(kind)[1:] if callable(check)]
        fault = next((found for check in checks if (found := check(value))), "")
    if fault:
        raise SettingsError(f"{given.where}: {dotted} {fault}; it is {shown(given.value)}")
    if kind is CredentialFile:
        return _credential(str(value), environ)
    return _expanded(str(value), environ) if kind is FilePath else value


def unknown(where: str, name: str, known: Iterable[str]) -> SettingsError:
    """Return the error for a name that is not a setting."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "etc/personad.toml lists every setting; remove or correct it"
    return SettingsError(f"{where}: unknown setting {shown(name)}; {hint}")


def shown(value: object) -> str:
    """Return a value as an error may show it: redacted, at most about 100 characters."""
    text = redact(repr(value))
    return text if len(text) <= 100 else text[:100] + "..."


def home(environ: Mapping[str, str]) -> Path:
    """Return the home directory."""
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _wanted(kind: Any) -> str:
    """Return a text that says what a declared type takes."""
    # Any: mypy has no type for an annotation.
    if get_origin(kind) is Literal:
        return "must be one of: " + ", ".join(get_args(kind))
    base, *extras = get_args(kind)
    bounds = [extra for extra in extras if isinstance(extra, msgspec.Meta)]
    name = {int: "a whole number", float: "a number", str: "a text"}.get(base, "a list of texts")
    return f"must be {name}" + "".join(_bounded(bound) for bound in bounds)


def _bounded(bound: msgspec.Meta) -> str:
    if bound.max_length is not None:
        return f" of {bound.min_length or 0} to {bound.max_length} characters"
    return f" from {bound.ge} to {bound.le}"


def _expanded(text: str, environ: Mapping[str, str]) -> str:
    return str(home(environ) / text[2:]) if text.startswith("~/") else text


def _credential(text: str, environ: Mapping[str, str]) -> str:
    """Resolve a bare name as a systemd credential (``LoadCredential=``). Outside the service it stays a bare name.

    https://systemd.io/CREDENTIALS/
    """
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    return str(Path(directory) / text) if text and "/" not in text and directory else _expanded(text, environ)
