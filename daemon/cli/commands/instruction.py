"""``personad instruction list|set|remove PERSONA``: what she is asked to do, and when."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import quote

from daemon.cli.client import Client, Persona, RefusedError
from daemon.cli.commands import Context, UsageError, say, say_json
from daemon.logging.terminal import lines
from daemon.personas.instruction_files import FILE_BYTES, InstructionFault, parsed


def run(context: Context) -> int:
    """List, write or remove; with ``--json`` the daemon's answer."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    path = f"/api/persona/{persona.id}/knowledge/instructions"
    match arguments.action:
        case "list":
            return _list(client, persona, path, as_json=arguments.json)
        case "set":
            body = _read(arguments.name, arguments.file, visitors=arguments.visitors)
            answer = client.put(f"{path}/{quote(arguments.name, safe='')}", body)
            words = f"{persona.name} has the instruction {arguments.name}: {body['intention']}"
        case _:
            answer = client.delete(f"{path}/{quote(arguments.name, safe='')}")
            words = f"{persona.name} has no instruction {arguments.name} any more"
    if arguments.json:
        say_json(answer)
        return 0
    say(words)
    told = client.get(path)
    if arguments.action == "set" and isinstance(told, dict) and told.get("note"):
        say(str(told["note"]))
    return 0


def _list(client: Client, persona: Persona, path: str, *, as_json: bool) -> int:
    answer = client.get(path)
    if not isinstance(answer, dict):
        raise RefusedError(500, "the daemon's answer holds no instructions")
    if as_json:
        say_json(answer)
        return 0
    if not answer["instructions"] and not answer["faults"]:
        say(f"{persona.name} has no instructions; write one with: personad instruction set {persona.name!r} NAME FILE")
    for one in answer["instructions"]:
        say(f"# {one['intention']} ({one['name']}{', also for visitors' if one['visitors'] else ''})")
        sys.stdout.write(lines(str(one["body"])).rstrip("\n") + "\n\n")
    for fault in answer["faults"]:
        say(f"Not told: {fault['file']}: {fault['reason']}")
    if answer["instructions"] and answer["note"]:
        say(str(answer["note"]))
    return 0


def _read(name: str, file: Path, *, visitors: bool) -> dict[str, object]:
    """Read an instruction's Markdown. Raises UsageError."""
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(FILE_BYTES + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(FILE_BYTES + 1)
        one = parsed(f"{name}.md", data)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror or error}") from error
    except InstructionFault as fault:
        raise UsageError(f"{file}: {fault}") from fault
    return {"intention": one.intention, "body": one.body, "visitors": one.visitors or visitors}
