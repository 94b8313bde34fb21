"""``personad budget PERSONA``: what her calls of remote minds and organs may use in a day and a month."""

from __future__ import annotations

from typing import Final

from daemon.cli.client import Client, RefusedError
from daemon.cli.commands import Context, say, say_json, say_table

LIMITS: Final = {
    "day": "a day",
    "month": "a month",
    "visitors_day": "a day, visitors",
    "visitors_month": "a month, visitors",
}


def run(context: Context) -> int:
    """Change the limits that are given, and print all; with ``--json`` the answer of ``.../budget``."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    given = {name: getattr(arguments, name) for name in LIMITS if getattr(arguments, name) is not None}
    path = f"/api/persona/{persona.id}/budget"
    answer = client.post(path, given) if given else client.get(path)
    if not isinstance(answer, dict) or not isinstance(effective := answer.get("effective"), dict):
        raise RefusedError(500, "the daemon's answer holds no budget")
    if arguments.json:
        say_json(answer)
        return 0
    own = answer.get("own") or {}
    rows = [
        [words, str(effective.get(name)), "hers" if own.get(name) else "settings"] for name, words in LIMITS.items()
    ]
    say_table([["BUDGET", "LIMIT", "FROM"], *rows])
    for reason in answer.get("closed") or []:
        say(str(reason))
    return 0
