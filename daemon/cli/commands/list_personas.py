"""``personad list``: all personas."""

from __future__ import annotations

from daemon.cli.client import Client
from daemon.cli.commands import Context, say, say_json, say_table


def run(context: Context) -> int:
    """Print one persona per line; with ``--json`` the daemon's reduced views."""
    client = Client(context.settings, context.environ, context.arguments.url)
    if context.arguments.json:
        say_json(client.get("/api/personas"))
        return 0
    personas = client.personas()
    broken = client.broken()
    for fault in broken.values():
        say(f"Not loaded: {fault}")
    if not personas and not broken:
        say("There is no persona yet; create one with: personad create NAME")
        return 0
    rows = [[one.name, "running" if one.running else "stopped", one.status, one.id] for one in personas]
    if not personas:
        return 0
    say_table([["NAME", "PROCESS", "STATUS", "ID"], *rows])
    return 0
