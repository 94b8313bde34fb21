"""``personad logs``: the daemon's latest events, and with ``-f`` new ones as they happen."""

from __future__ import annotations

import json
import random
import sys
import time
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from daemon.cli.client import Client, Persona, UnreachableError
from daemon.cli.commands import Context, say

RETRY_SECONDS: Final = 60.0
"""How long ``-f`` waits for a restarting daemon."""
CATCH_UP_LINES: Final = 1000


def run(context: Context) -> int:
    """Print events, oldest first. With ``-f``, continue after the daemon restarts."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona) if arguments.persona else None
    shown = Shown(client.personas(), as_json=arguments.json)
    if not arguments.follow:
        for line in client.lines(_path(persona, arguments.lines, follow=False)):
            shown.show(line)
        return 0
    lines = arguments.lines
    while True:
        _follow(client, _path(persona, lines, follow=True), shown)
        print("personad: the daemon ended the log; waiting for it to come back", file=sys.stderr)
        _wait_for(client)
        lines = CATCH_UP_LINES


class Shown:
    """Prints events in the order of time, none twice: after a break, the request overlaps with what was shown."""

    def __init__(self, personas: list[Persona], *, as_json: bool) -> None:
        self._names = {one.id: one.name for one in personas}
        self._as_json = as_json
        self._last = ""
        self._at_last: set[bytes] = set()

    def show(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        when = str(event.get("time", self._last))
        if when > self._last:
            self._last = when
            self._at_last.clear()
        elif when < self._last or line in self._at_last:
            return
        self._at_last.add(line)
        if self._as_json:
            sys.stdout.write(json.dumps(event) + "\n")
        else:
            say(self._readable(event))
        sys.stdout.flush()

    def _readable(self, event: dict[str, object]) -> str:
        fields = dict(event)
        when, level, name = (str(fields.pop(key, "")) for key in ("time", "level", "event"))
        if (persona := fields.get("persona")) in self._names:
            fields["persona"] = self._names[str(persona)]
        text = " ".join(f"{key}={_quoted(value)}" for key, value in fields.items())
        return f"{_clock(when)} {level:<7} {name} {text}".rstrip()


def _follow(client: Client, path: str, shown: Shown) -> None:
    try:
        for line in client.lines(path):
            shown.show(line)
    except UnreachableError:
        # A killed daemon breaks the log off in the middle. That is handled like an orderly end.
        return


def _wait_for(client: Client) -> None:
    """Return when the daemon answers again. Raises UnreachableError after a minute."""
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        time.sleep(random.uniform(0.2, 1.0))
        try:
            client.personas()
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def _path(persona: Persona | None, lines: int, *, follow: bool) -> str:
    query = {"lines": str(lines), "follow": "true" if follow else "false"}
    if persona:
        query["persona"] = persona.id
    return f"/api/logs?{urlencode(query)}"


def _clock(when: str) -> str:
    try:
        return datetime.fromisoformat(when).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except ValueError:
        return when


def _quoted(value: object) -> str:
    text = "" if value is None else str(value)
    return text if text and not any(char in text for char in ' "=') else json.dumps(text, ensure_ascii=False)
