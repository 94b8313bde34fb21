"""``personad reminders PERSONA [--cancel ID]``: what is to come."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final  # Any: the daemon's JSON answer.

from daemon.cli.client import Client, RefusedError
from daemon.cli.commands import Context, say, say_json, say_table

HEADING: Final = ["ID", "NEXT", "RULE", "ZONE", "CHANNEL", "TOLD", "WHAT"]


def run(context: Context) -> int:
    """List her reminders, or remove one."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    path = f"/api/persona/{persona.id}/reminders"
    if arguments.cancel is not None:
        answer = client.delete(f"{path}/{arguments.cancel}")
        if arguments.json:
            say_json(answer)
        else:
            say(f"{persona.name}: reminder {arguments.cancel} removed")
        return 0
    answer = client.get(path)
    found = answer.get("reminders") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise RefusedError(500, "the daemon's answer holds no reminders")
    if arguments.json:
        say_json(found)
    elif found:
        say_table([HEADING, *map(_row, found)])
    else:
        say(f"Nothing is to come; add something with: personad remind {shlex.quote(persona.name)} BODY --in 20m")
    return 0


def _row(one: Mapping[str, Any]) -> list[str]:
    channel = one.get("channel")
    return [
        str(one.get("id")),
        str(one.get("at")),
        str(one.get("cron") or "once"),
        str(one.get("zone")),
        str(channel["type"]) if channel else "last used",
        str(one.get("told")),
        f"{'task: ' if one.get('task') else ''}{one.get('body')}",
    ]
