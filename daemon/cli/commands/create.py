"""``personad create NAME``: a new persona with embedded senses and, unless another is named, the embedded mind."""

from __future__ import annotations

import shlex

from daemon.cli.client import SLOW_TIMEOUT, Client, RefusedError
from daemon.cli.commands import Context, UsageError, read_secret, say, say_json
from proto.records import EMBEDDED, EMBEDDED_MIND, EMBEDDED_SENSES, PROVIDERS


def run(context: Context) -> int:
    """Create her. The daemon tests her mind before it saves and starts her."""
    arguments = context.arguments
    client = Client(context.settings, context.environ, arguments.url)
    body = {"name": arguments.name, **_mind(context), **({} if arguments.no_senses else _senses())}
    if arguments.zone is not None:
        body["zone"] = arguments.zone
    answer = client.post("/api/persona/create", body, SLOW_TIMEOUT)
    persona = answer.get("persona") if isinstance(answer, dict) else None
    if not isinstance(persona, dict):
        raise RefusedError(500, "the daemon's answer holds no persona")
    # Never print the whole record: it has the provider's key in the clear.
    made = {"id": persona.get("id"), "name": persona.get("name")}
    if arguments.json:
        say_json(made)
    else:
        say(f"{made['name']} was created: {made['id']}")
        say(f"Talk to her with: personad chat {shlex.quote(str(made['name']))}")
    return 0


def _senses() -> dict[str, str]:
    """Return the fields of the organs whose models come with personad."""
    models = {f"{organ}_model": model for organ, model in EMBEDDED_SENSES.items()}
    return models | {f"{organ}_provider": EMBEDDED for organ in EMBEDDED_SENSES}


def _mind(context: Context) -> dict[str, str]:
    """Return the ``thinking_*`` fields. Raises UsageError."""
    arguments = context.arguments
    provider = arguments.provider or (EMBEDDED if arguments.mind_url is None and arguments.model is None else "local")
    if provider not in PROVIDERS:
        raise UsageError(f"there is no provider {provider!r}; use {', '.join(sorted(PROVIDERS))}")
    model = arguments.model or (EMBEDDED_MIND if provider == EMBEDDED else "")
    if not model:
        raise UsageError(f"name the model of {provider} with --model")
    fields = {"thinking_model": model, "thinking_provider": provider}
    if arguments.mind_url is not None:
        fields["thinking_url"] = arguments.mind_url
    key = read_secret(context, arguments.api_key_file, arguments.api_key_env, "--api-key-file")
    if key:
        fields["thinking_api_key"] = key
    return fields
