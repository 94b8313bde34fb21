"""One setting's value: what was given, checked against the type, bounds and checks that it is declared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

import msgspec

from daemon.settings.sections import CredentialFile, FilePath, Hosts
from proto.secrets import redact


class SettingsError(ValueError):
    """A setting that cannot be taken; the text names its file or variable, its key, and what to do."""


class Given(NamedTuple):
    """A value as it was given: ``where`` is its file or variable, ``text`` whether it is a variable's text."""

    value: object
    where: str
    text: bool = False


def checked(dotted: str, kind: Any, given: Given, environ: Mapping[str, str]) -> object:
    """Raise SettingsError unless the value fits the setting's declared type, bounds and checks."""
    # Any: an annotation is no type that mypy could name.
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
        raise SettingsError(f"{given.where}: {dotted} {fault}; it is {shown(given.value)}")
    if kind is CredentialFile:
        return _credential(str(value), environ)
    return _expanded(str(value), environ) if kind is FilePath else value


def unknown(where: str, name: str, known: Iterable[str]) -> SettingsError:
    """The words for a name that is no setting."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "etc/personad.toml lists every setting; remove or correct it"
    return SettingsError(f"{where}: unknown setting {shown(name)}; {hint}")


def shown(value: object) -> str:
    """A value as an error may show it."""
    text = redact(repr(value))
    return text if len(text) <= 100 else text[:100] + "..."


def home(environ: Mapping[str, str]) -> Path:
    """The home directory."""
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _wanted(kind: Any) -> str:
    """Say in words what a declared type takes."""
    # Any: an annotation is no type that mypy could name.
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
    """A bare name is a systemd credential's (``LoadCredential=``); outside of the service it stays a name."""
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    return str(Path(directory) / text) if text and "/" not in text and directory else _expanded(text, environ)
