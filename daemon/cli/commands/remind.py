"""``personad remind PERSONA BODY --at|--in|--cron``: a reminder, or a routine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from daemon.cli.client import Client, RefusedError
from daemon.cli.commands import Context, UsageError, say, say_json


def run(context: Context) -> int:
    """Add it and say when it comes."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    body = {
        "body": arguments.body,
        "at": arguments.at if arguments.wait is None else _from_now(arguments.wait),
        "cron": arguments.cron,
        "zone": arguments.zone,
        "channel": arguments.channel,
        "task": arguments.task,
    }
    answer = client.post(f"/api/persona/{persona.id}/reminders", {key: one for key, one in body.items() if one})
    if not isinstance(answer, dict):
        raise RefusedError(500, "the daemon's answer holds no reminder")
    if arguments.json:
        say_json(answer)
    else:
        first = "first " if answer.get("cron") else ""
        say(f"{persona.name}: reminder {answer.get('id')}, {first}due at {answer.get('at')} ({answer.get('zone')})")
    return 0


def _from_now(seconds: int) -> str:
    """Raise UsageError for a time after the last year that there is."""
    try:
        return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    except OverflowError as error:
        raise UsageError("--in is too far ahead; give an earlier time") from error
