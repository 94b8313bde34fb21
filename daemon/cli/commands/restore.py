"""``personad restore FILE``: restore a persona from her archive."""

from __future__ import annotations

import shlex
from typing import Final

from daemon.cli.client import Client, RefusedError
from daemon.cli.commands import Context, UsageError, say, say_json

TIMEOUT: Final = 3600.0
"""Seconds that the daemon has to restore an archive."""


def run(context: Context) -> int:
    """Send the archive. The daemon checks all of it before it restores anything."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    texts = {"new_id": "true"} if arguments.new_id else {}
    if arguments.name:
        texts["name"] = arguments.name
    try:
        answer = client.upload("/api/persona/restore", "archive", arguments.file, texts, TIMEOUT)
    except OSError as error:
        raise UsageError(f"{arguments.file}: cannot be read: {error.strerror}") from error
    except RefusedError as error:
        if error.status == 409:
            raise RefusedError(
                409, "she already exists; delete her first, or use --new-id to restore a second persona"
            ) from error
        raise
    persona = answer.get("persona") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(persona, dict):
        raise RefusedError(500, "the daemon's answer holds no persona")
    # Never print the whole record: it has keys and tokens in the clear.
    made = {"id": persona.get("id"), "name": persona.get("name"), "lines": answer.get("lines")}
    left_out = [str(one) for one in answer.get("left_out") or []]
    if arguments.json:
        say_json({**made, "left_out": left_out})
        return 0
    say(f"{made['name']} is back: {made['id']}, {made['lines']} lines of conversation")
    if persona.get("status") != "active":
        say(f"She was stopped when she was exported; to start her: personad start {shlex.quote(str(made['name']))}")
    for one in left_out:
        say(f"Left out: {one}")
    if persona.get("channels"):
        say(f"Pair each of her channels again: personad channel list {shlex.quote(str(made['name']))}")
    return 0
