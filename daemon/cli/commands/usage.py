"""``personad usage [PERSONA]``: what calls of remote minds and organs used, by day, model and purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final  # Any: the daemon's JSON answer
from urllib.parse import urlencode

from daemon.cli.client import Client, Persona, RefusedError
from daemon.cli.commands import Context, say, say_json, say_table

HEADING: Final = ["DAY", "MODEL", "FOR", "CALLS", "INPUT", "CACHED", "OUTPUT", "BESIDES", "COST", ""]


def run(context: Context) -> int:
    """Print the usage of one persona, or of all; with ``--json`` the answers of ``GET .../usage``, by her id."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    personas = [client.find(arguments.persona)] if arguments.persona else client.personas()
    asked = {"from": arguments.first, "to": arguments.last}
    query = urlencode({name: day for name, day in asked.items() if day})
    answers = {persona.id: _usage(client, persona, query) for persona in personas}
    if arguments.json:
        say_json(answers)
        return 0
    for place, persona in enumerate(personas):
        if place:
            say("")
        _say(persona, answers[persona.id])
    if not personas:
        say("There is no persona yet; create one with: personad create NAME")
    return 0


def _usage(client: Client, persona: Persona, query: str) -> Mapping[str, Any]:
    answer = client.get(f"/api/persona/{persona.id}/usage{'?' if query else ''}{query}")
    if not isinstance(answer, dict) or not isinstance(answer.get("rows"), list):
        raise RefusedError(500, "the daemon's answer holds no usage")
    return answer


def _say(persona: Persona, usage: Mapping[str, Any]) -> None:
    rows: Sequence[Mapping[str, Any]] = usage["rows"]
    say(f"{persona.name}, {usage['from']} to {usage['to']}:")
    if not rows:
        say("No remote mind or organ was called.")
    else:
        say_table([HEADING, *map(_row, rows)])
        totals = usage["totals"]
        money = ", ".join(f"{amount} {currency}" for currency, amount in totals["cost"].items())
        unpriced = totals["unpriced"]
        calls = _many(totals["calls"], "call")
        tokens = (
            f"{totals['input']:,} tokens of input, {totals['cached']:,} of them cached, {totals['output']:,} of output"
        )
        say(f"{calls}: {tokens}{f', {money}' if money else ''}")
        if unpriced:
            say(f"{_many(unpriced, 'call')} without a price: [prices] in personad.toml has none for the model.")
    for reason in usage.get("closed") or []:
        say(str(reason))


def _row(row: Mapping[str, Any]) -> list[str]:
    source = row["source"]
    return [
        str(row["day"]),
        f"{row['provider']}/{row['model']}",
        str(row["purpose"]) if row["organ"] == "thinking" else f"{row['purpose']}, {row['organ']}",
        f"{row['calls']:,}",
        f"{row['input']:,}",
        f"{row['cached']:,}",
        f"{row['output']:,}",
        f"{row['units']:,} {row['unit']}" if row["unit"] else "-",
        "-" if row["cost"] is None else f"{row['cost']} {row['currency']}",
        "" if source in ("reported", "counted") else str(source),
    ]


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"
