"""The first persona, for whoever starts personad for the first time, and what to try with her."""

from __future__ import annotations

import shlex
import sys
import uuid
from datetime import datetime

from daemon.personas import PersonasError
from daemon.state import Daemon
from daemon.supervisor import StartFailed
from proto.records import EMBEDDED, EMBEDDED_MIND, Organ, Persona

_WELCOME = """
{name} is here. In a second terminal:

  personad chat {quoted}        talk to her
  personad status               see how she is
  personad logs -f              watch what happens

or over HTTP, with her reply coming over ws://{authority}/ws/{id}:

  curl -s http://{authority}/api/persona/{id}/read -H 'Content-Type: application/json' -d '{{"message": "Hello"}}'

The mind that ships with personad is tiny: it proves the road rather than holding a talk. The README tells how to give
her OpenAI's, Anthropic's, or your own Ollama's. Ctrl-C stops personad; everything is kept.
"""


async def first_persona(daemon: Daemon, name: str, authority: str) -> None:
    """Make and start her on the embedded mind if there is nobody, and print what to try next."""
    persona = next(iter(daemon.personas.all()), None)
    if persona is None and not daemon.personas.faults():
        persona = await _create(daemon, name)
    if persona:
        words = {"name": persona.name, "quoted": shlex.quote(persona.name), "id": persona.id}
        print(_WELCOME.format(**words, authority=authority), file=sys.stderr, flush=True)


async def _create(daemon: Daemon, name: str) -> Persona | None:
    mind = Organ(EMBEDDED_MIND, provider=EMBEDDED)
    persona = Persona(
        str(uuid.uuid4()), name, mind, base_model=EMBEDDED_MIND, birthday=f"{datetime.now().astimezone():%Y-%m-%d}"
    )
    try:
        await daemon.personas.create(persona)
        await daemon.supervisor.start(persona.id)
    except (PersonasError, StartFailed) as error:
        daemon.log.error("persona.first_failed", name=name, reason=str(error))
        return None
    return persona
