"""``personad status``: the daemon and its personas at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any  # for the daemon's JSON answer

from daemon.cli.client import Client, Persona, RefusedError
from daemon.cli.commands import Context, channel, say, say_json, say_table

HEADING = ["NAME", "STATE", "STATUS", "MIND", "WAITING", "RESTARTS", "PID", "MEMORY"]


def run(context: Context) -> int:
    """Print the daemon's status; with ``--json`` the answer of ``GET /api/status``."""
    client = Client(context.settings, context.environ, context.arguments.url)
    status = client.get("/api/status")
    if not isinstance(status, dict):
        raise RefusedError(500, "the daemon's answer holds no status")
    if context.arguments.json:
        say_json(status)
        return 0
    uptime, pid = _duration(float(status.get("uptime_s", 0))), status.get("pid")
    say(f"personad {status.get('version')} at {client.url}: up {uptime}, pid {pid}, {_size(status.get('rss'))}")
    personas = status.get("personas") or []
    if fault := (status.get("ledger") or {}).get("fault"):
        say(f"The ledger cannot be read: {fault}")
    for one in status.get("broken") or []:
        say(f"Not loaded: {one.get('fault')}")
    if not personas and not status.get("broken"):
        say("There is no persona yet; create one with: personad create NAME")
        return 0
    if personas:
        say_table([HEADING, *map(_row, personas)])
    for persona in personas:
        troubles = (*(persona.get("budgets") or []), *(persona.get("instructions") or []))
        for trouble in (persona.get("reason"), persona.get("fault"), *troubles):
            if trouble:
                say(f"{persona.get('name')}: {trouble}")
    _say_reminders(personas)
    _say_set_aside(personas)
    _say_channels(personas)
    _say_dead_letters(status.get("dead_letters") or [])
    return 0


def _say_set_aside(personas: Sequence[Mapping[str, Any]]) -> None:
    found = [(persona, one) for persona in personas for one in persona.get("set_aside") or []]
    if found:
        say("")
        say("Set aside without an answer (`personad retry PERSONA MESSAGE` takes one up again, --drop closes it):")
    for persona, one in found:
        where = f"{one['type']} {one['name']}"
        say(f"{persona.get('name')} {one['id']}: {one['time']} on {where}: {one['content']!r}: {one['reason']}")


def _say_reminders(personas: Sequence[Mapping[str, Any]]) -> None:
    for persona in personas:
        if count := persona.get("reminders"):
            many = "1 reminder" if count == 1 else f"{count} reminders"
            say(f"{persona.get('name')}: {many}, the next one at {persona.get('next_reminder')}")


def _say_channels(personas: Sequence[Mapping[str, Any]]) -> None:
    rows, advice = [], []
    for persona in personas:
        channels = persona.get("channels") or []
        name, running = str(persona.get("name")), bool(persona.get("running"))
        rows += [[name, *channel.row(health)] for health in channels]
        found = channel.advice(Persona(str(persona.get("id")), name, running, str(persona.get("status"))), channels)
        advice += [f"{name}: {line}" for line in found]
    if rows:
        say("")
        say_table([["PERSONA", *channel.HEADING], *rows])
        for line in advice:
            say(line)


def _say_dead_letters(letters: Sequence[Mapping[str, Any]]) -> None:
    if letters:
        say("")
        say("Given up without delivery:")
    for one in letters:
        say(f"{one['time']} {one['persona_name']} to {one['type']} {one['name']}: {one['content']!r}: {one['reason']}")


def _row(persona: Mapping[str, object]) -> list[str]:
    waiting = "?" if persona.get("inbox") is None else f"{persona['inbox']}"
    if persona.get("poison"):
        waiting += f" (+{persona['poison']} set aside)"
    return [
        str(persona.get("name")),
        str(persona.get("state")),
        str(persona.get("status")),
        str(persona.get("mind")),
        waiting,
        str(persona.get("restarts")),
        str(persona.get("pid") or "-"),
        _size(persona.get("memory")),
    ]


def _size(count: object) -> str:
    return f"{count / 1_048_576:.1f} MiB" if isinstance(count, int) else "-"


def _duration(seconds: float) -> str:
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
