"""What the turns of a persona have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from proto.messages import FromWorker
from proto.records import Organ, Persona
from worker.agent.daemon_calls import DaemonCalls
from worker.agent.outages import Outages
from worker.agent.pace import Pace
from worker.agent.senses import Understood
from worker.base.log import WorkerLog
from worker.organs.body import Body
from worker.organs.host_calls import HostCalls
from worker.organs.mind import Mind


@dataclass(frozen=True)
class Means:
    """What all turns of a persona share. ``mind`` returns the mind that a turn asks for; None means her own."""

    persona: Persona
    mind: Callable[[Organ | None], Mind]
    outages: Outages
    understood: Understood
    body: Body
    calls: HostCalls
    daemon: DaemonCalls
    send: Callable[[FromWorker], None]
    start: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]
    """Starts a task whose unexpected errors are reported."""
    drop: Callable[[list[str]], Coroutine[None, None, None]]
    """Removes files from her media folder."""
    log: WorkerLog
    pace: Pace
    media: Path
    """Her media folder."""
