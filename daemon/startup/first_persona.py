"""The first persona, for somebody who starts personad for the first time, and what to try with her."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import uuid
from datetime import datetime
from pathlib import Path

from daemon.logging.log import Log
from daemon.personas.personas import Personas, PersonasError
from daemon.supervision.supervisor import StartFailed, Supervisor
from proto.records import EMBEDDED, EMBEDDED_MIND, EMBEDDED_SENSES, Organ, Persona

_WELCOME = """
{name} is here. In a second terminal:

  {command} chat {quoted}
  {command} status
  {command} logs -f

or over HTTP, with her reply coming over ws://{authority}/ws/{id}:

  curl -s http://{authority}/api/persona/{id}/read -H 'Content-Type: application/json' -d '{{"message": "Hello"}}'

The included mind is tiny: it proves that everything works, and cannot hold a real conversation. The README explains how
to give her a mind from OpenAI, Anthropic or your own Ollama. Ctrl-C stops personad; everything is kept.
"""


async def first_persona(personas: Personas, supervisor: Supervisor, log: Log, name: str, authority: str) -> None:
    """Make and start her on the embedded mind if there is nobody, and print what to try next."""
    persona = next(iter(personas.all()), None)
    if persona is None and not personas.faults():
        persona = await _create(personas, supervisor, log, name)
    if persona:
        words = {"name": persona.name, "quoted": shlex.quote(persona.name), "id": persona.id, "command": _command()}
        print(_WELCOME.format(**words, authority=authority), file=sys.stderr, flush=True)


def _command() -> str:
    """Return how this program is called from where it was started."""
    if shutil.which("personad"):
        return "personad"
    return shlex.quote(os.path.relpath(Path(sys.executable).with_name("personad")))


async def _create(personas: Personas, supervisor: Supervisor, log: Log, name: str) -> Persona | None:
    mind = Organ(EMBEDDED_MIND, provider=EMBEDDED)
    born = f"{datetime.now().astimezone():%Y-%m-%d}"
    persona = Persona(str(uuid.uuid4()), name, mind, base_model=EMBEDDED_MIND, birthday=born)
    for organ, model in EMBEDDED_SENSES.items():
        setattr(persona, organ, Organ(model, provider=EMBEDDED))
    try:
        await personas.create(persona)
        await supervisor.start(persona.id)
    except (PersonasError, StartFailed) as error:
        log.error("persona.first_failed", name=name, reason=str(error))
        return None
    return persona
