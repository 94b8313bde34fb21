"""``personad pair PERSONA CODE``: claim the code that her bot showed."""

from __future__ import annotations

from daemon.cli.client import Client, RefusedError
from daemon.cli.commands import Context, say, say_json


def run(context: Context) -> int:
    """Pair the channel with the account that was shown the code; ``--json`` prints the whole answer, unmasked."""
    client = Client(context.settings, context.environ, context.arguments.url)
    persona = client.find(context.arguments.persona)
    answer = client.post(f"/api/persona/{persona.id}/pair", {"code": context.arguments.code})
    if context.arguments.json:
        say_json(answer)
        return 0
    channel = answer.get("channel") if isinstance(answer, dict) else None
    if not isinstance(channel, dict):
        raise RefusedError(500, "the daemon's answer holds no channel")
    # Never print the whole answer: it has the bot's token in the clear.
    say(
        f"{persona.name} is connected with {channel.get('name')} on {channel.get('type')}"
        ", and listens only to that account"
    )
    return 0
