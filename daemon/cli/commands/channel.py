"""``personad channel add|remove|list PERSONA``: the channels on which she is reached from outside."""

from __future__ import annotations

import getpass
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

from daemon.cli.client import SLOW_TIMEOUT, Client, Persona, RefusedError
from daemon.cli.commands import Context, UsageError, read_secret, say, say_json, say_table

Health = Mapping[str, object]
"""A channel as ``GET /api/status`` shows it."""

PROVIDERS: Final = {"telegram": "Telegram", "discord": "Discord"}

HEADING: Final = ["TYPE", "NAME", "PAIRED", "STATE", "ROUND TRIP", "RECEIVED", "STRANGERS", "SENT", "WAITING", "DEAD"]


def run(context: Context) -> int:
    """Carry out the requested action."""
    client = Client(context.settings, context.environ, context.arguments.url)
    persona = client.find(context.arguments.persona)
    match context.arguments.action:
        case "add":
            _add(context, client, persona)
        case "remove":
            _remove(context, client, persona)
        case "list":
            _list(context, client, persona)
    return 0


def channels_of(client: Client, persona: Persona) -> list[Health]:
    """Return her channels with their health. Raises RefusedError, UnreachableError."""
    status = client.get("/api/status")
    personas = status.get("personas", []) if isinstance(status, dict) else []
    found = next((one for one in personas if one.get("id") == persona.id), None)
    if found is None:
        raise RefusedError(404, f"{persona.name} no longer exists")
    channels: list[Health] = found.get("channels", [])
    return channels


def row(health: Health) -> list[str]:
    """Return a channel's row in the table under ``HEADING``."""
    trip = health.get("round_trip_s")
    counts = (str(health.get(key)) for key in ("received", "strangers", "sent", "pending", "dead"))
    return [
        str(health.get("type")),
        str(health.get("name")),
        "open" if health.get("open") else "yes" if health.get("verified") else "no",
        "paused" if health.get("paused") else str(health.get("state")),
        f"{trip:.1f} s" if isinstance(trip, int | float) else "-",
        *counts,
    ]


def advice(persona: Persona, channels: Iterable[Health]) -> list[str]:
    """Return a line for each of her channels that needs something: what is wrong and what to do."""
    found = []
    for health in channels:
        name = f"{health.get('type')} {health.get('name')}"
        if health.get("error"):
            found.append(f"{name}: {health['error']} {health.get('hint', '')}".rstrip())
        elif not persona.running:
            found.append(
                f"{name}: closed, because she is not running; start her: personad start {shlex.quote(persona.name)}"
            )
        elif not health.get("verified"):
            found.append(f"{name}: {_next_step(persona, health)}")
    return found


def _next_step(persona: Persona, health: Health) -> str:
    provider = PROVIDERS.get(str(health.get("type")), str(health.get("type")))
    pair = f"personad pair {shlex.quote(persona.name)} CODE"
    return f"write to the bot {health.get('name')} on {provider}; it answers with a code for: {pair}"


def _add(context: Context, client: Client, persona: Persona) -> None:
    arguments = context.arguments
    token = read_secret(context, arguments.token_file, arguments.token_env, "--token-file") or _ask(arguments.kind)
    body = {"kind": arguments.kind, "credentials": {"token": token}}
    answer = client.post(f"/api/persona/{persona.id}/channels", body, SLOW_TIMEOUT)
    if arguments.json:
        say_json(answer)
        return
    # The new channel is the last one in her record.
    added = next((one for one in reversed(channels_of(client, persona)) if one.get("type") == arguments.kind), {})
    say(f"{persona.name}: {arguments.kind} {added.get('name', '')} added")
    if not persona.running:
        say(f"She is not running; start her first: personad start {shlex.quote(persona.name)}")
    say(f"Now {_next_step(persona, added)}")


def _ask(kind: str) -> str:
    """Ask for the token on the terminal, without echo. Raises UsageError when there is no terminal."""
    if not sys.stdin.isatty():
        raise UsageError("pass the bot's token with --token-file or --token-env")
    token = getpass.getpass(f"Token of the {PROVIDERS[kind]} bot: ").strip()
    if not token:
        raise UsageError("no token was given")
    return token


def _remove(context: Context, client: Client, persona: Persona) -> None:
    name = context.arguments.name
    known = any(one.get("name") == name for one in channels_of(client, persona))
    answer = client.delete(f"/api/persona/{persona.id}/channels/{quote(name, safe='')}", SLOW_TIMEOUT)
    if context.arguments.json:
        say_json(answer)
    elif known:
        say(f"{persona.name}: {name} removed")
    else:
        say(f"{persona.name} has no channel {name!r}; nothing was removed")


def _list(context: Context, client: Client, persona: Persona) -> None:
    channels = channels_of(client, persona)
    if context.arguments.json:
        say_json(channels)
        return
    if not channels:
        say(f"{persona.name} has no channel yet; add one with: personad channel add {shlex.quote(persona.name)} KIND")
        return
    say_table([HEADING, *map(row, channels)])
    for line in advice(persona, channels):
        say(line)
