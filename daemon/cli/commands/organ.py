"""``personad organ PERSONA [ORGAN [PROVIDER [MODEL]]]``: show or change what she perceives and thinks with."""

from __future__ import annotations

from typing import Final

from daemon.cli.client import SLOW_TIMEOUT, Client, Persona, RefusedError
from daemon.cli.commands import Context, UsageError, read_secret, say_json, say_table
from proto.records import EMBEDDED, EMBEDDED_MIND, EMBEDDED_SENSES, ORGANS, PROVIDERS

MIND: Final = "thinking"
SLOTS: Final = (MIND, *ORGANS)
EMBEDDED_MODELS: Final[dict[str, str]] = {MIND: EMBEDDED_MIND} | {
    slot: EMBEDDED_SENSES[slot] for slot in EMBEDDED_SENSES
}


def run(context: Context) -> int:
    """Show all organs or one, or set or remove one. The daemon tests a new one before it saves it."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    organ = arguments.organ
    if organ is not None and organ not in SLOTS:
        raise UsageError(f"there is no organ {organ!r}; the organs are: {', '.join(SLOTS)}")
    body = _change(context)
    persona = client.find(arguments.persona)
    if body:
        client.post(f"/api/persona/{persona.id}/update", body, SLOW_TIMEOUT)
    _show(client, persona, SLOTS if organ is None else (organ,), as_json=arguments.json)
    return 0


def _change(context: Context) -> dict[str, object]:
    """Return the body of ``update``, empty when organs are only shown. Raises UsageError."""
    arguments = context.arguments
    organ, provider = arguments.organ, arguments.provider
    key = read_secret(context, arguments.api_key_file, arguments.api_key_env, "--api-key-file")
    given = [arguments.organ_url, key, provider]
    if arguments.off:
        if organ is None or organ == MIND or any(given):
            raise UsageError("--off takes one organ and nothing else; her mind cannot be removed")
        return {f"clear_{organ}": True}
    if provider is None:
        if any(given):
            raise UsageError("name the provider as well: personad organ PERSONA ORGAN PROVIDER [MODEL]")
        return {}
    # A field that is left out keeps its value, unless the provider changes.
    asked = {"provider": provider, "model": _model(organ, provider, arguments.model)}
    if arguments.organ_url is not None:
        asked["url"] = arguments.organ_url
    if key:
        asked["api_key"] = key
    return {organ: asked}


def _model(organ: str, provider: str, model: str | None) -> str:
    if provider not in PROVIDERS:
        remedy = "" if organ == MIND else f"; to remove it: personad organ PERSONA {organ} --off"
        raise UsageError(f"there is no provider {provider!r}; use {', '.join(sorted(PROVIDERS))}{remedy}")
    if provider != EMBEDDED:
        if model is None:
            raise UsageError(f"name the model as well: personad organ PERSONA {organ} {provider} MODEL")
        return model
    if organ not in EMBEDDED_MODELS:
        raise UsageError(f"there is no embedded {organ}; there are: {', '.join(EMBEDDED_MODELS)}")
    return model or EMBEDDED_MODELS[organ]


def _show(client: Client, persona: Persona, slots: tuple[str, ...], *, as_json: bool) -> None:
    answer = client.get("/api/personas")
    views = answer.get("personas", []) if isinstance(answer, dict) else []
    view = next((one for one in views if one.get("id") == persona.id), None)
    if view is None:
        raise RefusedError(404, f"{persona.name} no longer exists")
    organs = {slot: view.get(slot) for slot in slots}
    if as_json:
        say_json(organs)
        return
    rows = [["ORGAN", "PROVIDER", "MODEL", "URL"]]
    for slot, organ in organs.items():
        cells = [organ.get("provider") or "local", organ.get("name"), organ.get("url") or "-"] if organ else ["-"] * 3
        rows.append([slot, *map(str, cells)])
    say_table(rows)
