"""The rows of the table, by name; each measures its baseline and personad, and needs no other row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tests.bench.rows import (
    channel,
    feed,
    front,
    gateways,
    hear,
    idle,
    memory,
    organs,
    read,
    recall,
    reply,
    restart,
    senses,
    start,
    streaming,
)
from tests.bench.table import Line

ROWS: Final[Mapping[str, Callable[[], list[Line]]]] = {
    "restart": restart.measure,
    "channel": channel.measure,
    "memory": memory.measure,
    "gateways": gateways.measure,
    "start": start.measure,
    "read": read.measure,
    "reply": reply.measure,
    "streaming": streaming.measure,
    "front": front.measure,
    "idle": idle.measure,
    "feed": feed.measure,
    "organs": organs.measure,
    "senses": senses.measure,
    "hear": hear.measure,
    "recall": recall.measure,
}
