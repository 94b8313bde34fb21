"""``personad start|hush|stop|restart|delete PERSONA``."""

from __future__ import annotations

import sys

from daemon.cli.client import SLOW_TIMEOUT, Client, Persona
from daemon.cli.commands import Context, UsageError, say, say_json
from daemon.logging.terminal import one_line


def run(context: Context) -> int:
    """Send the request and print her new status."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    if arguments.verb == "delete" and not arguments.yes and not _confirmed(persona):
        say("Nothing was deleted.")
        return 1
    answer = client.post(f"/api/persona/{persona.id}/{arguments.verb}", timeout=SLOW_TIMEOUT)
    status = str(answer.get("status")) if isinstance(answer, dict) else "deleted"
    if arguments.json:
        say_json({"id": persona.id, "name": persona.name, "status": status})
    else:
        say(f"{persona.name}: {status}")
    return 0


def _confirmed(persona: Persona) -> bool:
    """Ask on the terminal. Raises UsageError when there is none."""
    if not sys.stdin.isatty():
        raise UsageError(f"deleting {persona.name} cannot be undone; use --yes to delete without a question")
    print(
        f"Delete {one_line(persona.name)} ({persona.id}), her memory and her conversations? Type yes: ",
        end="",
        flush=True,
    )
    return sys.stdin.readline().strip().lower() == "yes"
