"""``personad hours PERSONA [--zone ZONE] [--quiet SPAN]``: her person's time zone and quiet hours."""

from __future__ import annotations

from daemon.cli.client import SLOW_TIMEOUT, Client, RefusedError
from daemon.cli.commands import Context, say, say_json


def run(context: Context) -> int:
    """Change what is given, and show both."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    asked = {"zone": arguments.zone, "quiet_hours": arguments.quiet}
    if body := {key: value for key, value in asked.items() if value is not None}:
        client.post(f"/api/persona/{persona.id}/update", body, SLOW_TIMEOUT)
    status = client.get("/api/status")
    personas = status.get("personas", []) if isinstance(status, dict) else []
    found = next((one for one in personas if one.get("id") == persona.id), None)
    if found is None:
        raise RefusedError(404, f"{persona.name} no longer exists")
    shown = {key: found.get(key) for key in asked}
    if arguments.json:
        say_json(shown)
    else:
        say(f"{persona.name}: time zone {shown['zone']}, quiet hours {shown['quiet_hours'] or 'none'}")
    return 0
