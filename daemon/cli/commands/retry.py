"""``personad retry PERSONA [MESSAGE]``: take up again what was set aside, or drop it."""

from __future__ import annotations

from daemon.cli.client import Client, RefusedError
from daemon.cli.commands import Context, say, say_json


def run(context: Context) -> int:
    """Send the request and print how many messages it concerned."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    answer = client.post(f"/api/persona/{persona.id}/retry", {"message": arguments.message, "drop": arguments.drop})
    messages = answer.get("messages") if isinstance(answer, dict) else None
    if not isinstance(messages, list):
        raise RefusedError(500, "the daemon's answer names no messages")
    if arguments.json:
        say_json(answer)
    elif not messages:
        say(f"{persona.name}: nothing is set aside")
    else:
        many = "1 message" if len(messages) == 1 else f"{len(messages)} messages"
        say(f"{persona.name}: {many} {'dropped' if arguments.drop else 'waiting again'}")
    return 0
