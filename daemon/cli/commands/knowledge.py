"""``personad knowledge PERSONA``: what she knows, how it came to be, and the way back."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import Any  # for the daemon's JSON answers

from daemon.cli.client import Client, Persona, RefusedError
from daemon.cli.commands import Context, UsageError, say, say_json, say_table
from daemon.logging.terminal import lines

_CAUSES = {
    "hand": "edited by hand",
    "restored": "restored from an archive",
    "found": "was there when the history began",
}


def run(context: Context) -> int:
    """Print her memory files, or with an option their history; with ``--json`` the daemon's answer."""
    client = Client(context.settings, context.environ, context.arguments.url)
    arguments = context.arguments
    persona = client.find(arguments.persona)
    if arguments.history is not None:
        return _history(client, persona, arguments.history, as_json=arguments.json)
    if arguments.diff:
        return _diff(client, persona, *_file_and_version(arguments.diff), as_json=arguments.json)
    if arguments.undo:
        return _undo(client, persona, *_file_and_version(arguments.undo), as_json=arguments.json)
    answer = client.get(f"/api/persona/{persona.id}/knowledge")
    memory = answer.get("memory") if isinstance(answer, dict) else None
    if not isinstance(memory, dict):
        raise RefusedError(500, "the daemon's answer holds no knowledge")
    if arguments.json:
        say_json(answer)
        return 0
    if not memory:
        say(f"{persona.name} knows nothing yet; she learns while she sleeps and from `personad feed`")
    for name, body in memory.items():
        say(f"# {name}")
        sys.stdout.write(lines(str(body)).rstrip("\n") + "\n\n")
    return 0


def _history(client: Client, persona: Persona, file: str, *, as_json: bool) -> int:
    answer = _asked(client, persona, f"/{file}" if file else "")
    if as_json:
        say_json(answer)
    elif file:
        rows = [[str(one["version"]), one["time"], _bytes(one), _why(one)] for one in answer["versions"]]
        say_table([["VERSION", "WHEN", "BYTES", "WHY"], *rows])
    elif answer["files"]:
        last = [(one, one["last"]) for one in answer["files"]]
        rows = [[one["file"], str(one["versions"]), of["time"], _bytes(of), _why(of)] for one, of in last]
        say_table([["FILE", "VERSIONS", "LAST", "BYTES", "WHY"], *rows])
    else:
        say(f"{persona.name} knows nothing yet, so there is no history")
    return 0


def _diff(client: Client, persona: Persona, file: str, version: int | None, *, as_json: bool) -> int:
    """Print what changed from a version to today's: what ``--undo`` with the same words takes back."""
    versions = _asked(client, persona, f"/{file}")["versions"]
    last = versions[0]["version"]
    if version is None:
        if len(versions) == 1:
            raise RefusedError(409, f"{file} has one version only: there is nothing to compare it with")
        version = versions[1]["version"]
    before, after = (_asked(client, persona, f"/{file}/{number}") for number in (version, last))
    if as_json:
        say_json({"before": before, "after": after})
        return 0
    old, new = ((one["text"] or "").splitlines() for one in (before, after))
    of, to = (f"{file}, version {one['version']['version']}, {one['version']['time']}" for one in (before, after))
    for line in difflib.unified_diff(old, new, of, to, lineterm=""):
        say(line)
    return 0


def _undo(client: Client, persona: Persona, file: str, version: int | None, *, as_json: bool) -> int:
    answer = client.post(f"/api/persona/{persona.id}/knowledge/memory/{file}/undo", {"version": version})
    if as_json:
        say_json(answer)
    elif isinstance(answer, dict):
        back = (
            f"as it was in version {answer['restores']}" if answer.get("restores") else "gone, as before its version 1"
        )
        say(f"{file} is {back}; this is its version {answer.get('version')}")
    return 0


# Any: the daemon's JSON answer.
def _asked(client: Client, persona: Persona, path: str) -> dict[str, Any]:
    answer = client.get(f"/api/persona/{persona.id}/knowledge/memory{path}")
    if not isinstance(answer, dict):
        raise RefusedError(500, "the daemon's answer holds no history")
    return answer


def _why(one: dict[str, Any]) -> str:
    cause = str(one.get("cause"))
    if told := one.get("lines"):
        where = f", lines {told['first']} to {told['last']}" if told.get("first") else ""
        return f"a talk from {told['since']} to {told['until']}{where}"
    if fed := one.get("fed"):
        return f"fed from {fed['source']}: {fed['title'] or fed['key'][:12]}"
    if cause == "undo":
        return f"undone: back to version {one['restores']}" if one.get("restores") else "undone: removed"
    return _CAUSES.get(cause, cause)


def _bytes(one: dict[str, Any]) -> str:
    return "gone" if one.get("bytes") is None else str(one["bytes"])


def _file_and_version(words: Sequence[str]) -> tuple[str, int | None]:
    """Raise UsageError unless it is a file, perhaps with the number of a version."""
    file, *rest = words
    file = file.removesuffix(".md")
    if len(rest) > 1 or any(not (word.isascii() and word.isdecimal() and len(word) < 10) for word in rest):
        raise UsageError("give a memory file, and perhaps the number of a version that --history shows")
    if not file or not all(one.isascii() and (one.isalnum() or one == "-") for one in file):
        raise UsageError(f"{file!r} is no memory file; `personad knowledge PERSONA --history` lists them")
    return file, int(rest[0]) if rest else None
