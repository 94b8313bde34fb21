"""``personad knowledge PERSONA``: what she knows."""

from __future__ import annotations

import sys

from daemon.cli.client import Client, RefusedError
from daemon.cli.commands import Context, say, say_json
from daemon.logging.terminal import lines


def run(context: Context) -> int:
    """Print her memory files, each with its name; with ``--json`` the answer of ``GET .../knowledge``."""
    client = Client(context.settings, context.environ, context.arguments.url)
    persona = client.find(context.arguments.persona)
    answer = client.get(f"/api/persona/{persona.id}/knowledge")
    memory = answer.get("memory") if isinstance(answer, dict) else None
    if not isinstance(memory, dict):
        raise RefusedError(500, "the daemon's answer holds no knowledge")
    if context.arguments.json:
        say_json(answer)
        return 0
    if not memory:
        say(f"{persona.name} knows nothing yet; she learns while she sleeps and from `personad feed`")
    for name, body in memory.items():
        say(f"# {name}")
        sys.stdout.write(lines(str(body)).rstrip("\n") + "\n\n")
    return 0
