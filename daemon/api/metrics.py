"""The daemon's figures in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.channels.health import ChannelHealth, channel_health
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.costs.costs import Costs
from daemon.http.answers import NO_STORE
from daemon.ledger import Ledger
from daemon.personas.personas import Personas
from daemon.runtime.clock import Clock
from daemon.supervision.processes import resident
from daemon.supervision.supervisor import Supervisor
from proto.costs import Purpose
from proto.records import Persona

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_LAG_PROBE: Final = 0.01


class Sample(NamedTuple):
    """One figure."""

    labels: Mapping[str, str]
    value: float


def render(name: str, kind: Literal["counter", "gauge"], text: str, samples: Iterable[Sample]) -> str:
    """Write one metric with its help and type."""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(label_value)}"' for label, label_value in labels.items())
        lines.append(f"{name}{{{inner}}} {value:.17g}" if inner else f"{name} {value:.17g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def resident_bytes() -> int:
    """The resident memory of this process; 0 when it cannot be read."""
    return resident(os.getpid()) or 0


async def loop_lag() -> float:
    """How late, in seconds, a short timer of the event loop fires now."""
    loop = asyncio.get_running_loop()
    due = loop.time() + _LAG_PROBE
    await asyncio.sleep(_LAG_PROBE)
    return max(0.0, loop.time() - due)


class MetricsRoutes:
    """``/metrics``. ``started_at`` is monotonic seconds.

    ``request_counts`` counts requests by method, route and status, ``webhook_counts`` by provider and status.
    """

    def __init__(
        self,
        *,
        personas: Personas,
        supervisor: Supervisor,
        ledger: Ledger,
        inbox: Inbox,
        costs: Costs,
        hubs: Hubs,
        request_counts: Mapping[tuple[str, str, int], int],
        webhook_counts: Mapping[tuple[str, int], int],
        started_at: float,
        clock: Clock,
    ) -> None:
        self._personas = personas
        self._supervisor = supervisor
        self._ledger = ledger
        self._inbox = inbox
        self._costs = costs
        self._hubs = hubs
        self._request_counts = request_counts
        self._webhook_counts = webhook_counts
        self._started_at = started_at
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        return [Route("/metrics", self.metrics)]

    async def metrics(self, _request: Request) -> Response:
        """``GET /metrics``: for Prometheus."""
        return Response(await self._exposition(), headers={**NO_STORE, "content-type": CONTENT_TYPE})

    async def _channel_health(self, persona: Persona) -> list[ChannelHealth]:
        return await channel_health(
            self._ledger,
            persona,
            self._supervisor.gateways(persona.id),
            self._supervisor.minds_down(persona.id),
            self._clock.time_ns(),
        )

    async def _exposition(self) -> str:
        """Write all metrics."""
        personas = self._personas.all()
        views = {persona.id: self._supervisor.view(persona.id) for persona in personas}
        states = Counter(view.state for view in views.values())
        depths = await self._ledger.depths()
        one: Mapping[str, str] = {}
        requested = [
            Sample({"method": method, "route": path, "status": str(status)}, count)
            for (method, path, status), count in sorted(self._request_counts.items())
        ]
        called = [
            Sample({"provider": provider, "status": str(status)}, count)
            for (provider, status), count in sorted(self._webhook_counts.items())
        ]
        pending = [Sample({"persona": persona_id}, depth.pending) for persona_id, depth in sorted(depths.items())]
        poison = [Sample({"persona": persona_id}, depth.poison) for persona_id, depth in sorted(depths.items())]
        reminders = sorted((await self._ledger.waiting_reminders()).items())
        restarts = [Sample({"persona": persona_id}, view.restarts) for persona_id, view in sorted(views.items())]
        running = [Sample({"state": state}, count) for state, count in sorted(states.items())]
        uptime = self._clock.monotonic() - self._started_at
        return "".join(
            (
                render("personad_requests_total", "counter", "Requests answered, by route and status.", requested),
                render("personad_hooks_total", "counter", "Webhook requests answered, by provider and status.", called),
                render(
                    "personad_perceptions_accepted_total",
                    "counter",
                    "Perceptions accepted.",
                    [Sample(one, self._inbox.accepted)],
                ),
                render(
                    "personad_perceptions_answered_total",
                    "counter",
                    "Perceptions answered.",
                    [Sample(one, self._inbox.answered)],
                ),
                render(
                    "personad_ledger_commits_total",
                    "counter",
                    "Transactions committed.",
                    [Sample(one, self._ledger.commits)],
                ),
                render("personad_inbox_pending", "gauge", "Perceptions not answered yet.", pending),
                render("personad_inbox_poison", "gauge", "Perceptions set aside.", poison),
                render(
                    "personad_reminders",
                    "gauge",
                    "Reminders and routines that are to come.",
                    [Sample({"persona": persona_id}, count) for persona_id, (count, _) in reminders],
                ),
                render(
                    "personad_reminder_next_timestamp_seconds",
                    "gauge",
                    "When a persona's next reminder is due.",
                    [Sample({"persona": persona_id}, due / 1e9) for persona_id, (_, due) in reminders],
                ),
                render("personad_personas", "gauge", "Personas by the state of their process.", running),
                render("personad_restarts_total", "counter", "Processes that replaced another, by persona.", restarts),
                render("personad_sockets", "gauge", "WebSockets connected.", [Sample(one, self._hubs.sockets)]),
                render(
                    "personad_resident_bytes",
                    "gauge",
                    "Resident memory of the daemon process.",
                    [Sample(one, resident_bytes())],
                ),
                render(
                    "personad_loop_lag_seconds",
                    "gauge",
                    "How late a timer of the event loop fires.",
                    [Sample(one, await loop_lag())],
                ),
                render("personad_uptime_seconds", "gauge", "Seconds since the daemon started.", [Sample(one, uptime)]),
                _costs(self._costs),
                _channels({persona.id: await self._channel_health(persona) for persona in personas}),
            )
        )


def _costs(costs: Costs) -> str:
    """Write what calls of remote minds and organs used since the start, by persona and purpose."""

    def samples(counter: Counter[tuple[str, Purpose]], **labels: str) -> list[Sample]:
        keyed = sorted(counter.items())
        return [Sample({"persona": who, "purpose": purpose, **labels}, count) for (who, purpose), count in keyed]

    totals = costs.totals
    used = [sample for kind in ("input", "output", "cached") for sample in samples(getattr(totals, kind), kind=kind)]
    money = [
        Sample({**sample.labels, "currency": costs.prices.currency}, sample.value / 1e9)
        for sample in samples(totals.cost)
        if costs.prices.currency
    ]
    return "".join(
        (
            render("personad_calls_total", "counter", "Calls of remote minds and organs.", samples(totals.calls)),
            render("personad_tokens_total", "counter", "Tokens they used; input includes cached.", used),
            render("personad_cost_total", "counter", "What they cost, as far as prices are known.", money),
            render(
                "personad_calls_refused_total",
                "counter",
                "Calls that no budget had room for, and that were not made.",
                samples(totals.refused),
            ),
        )
    )


def _channels(by_persona: Mapping[str, list[ChannelHealth]]) -> str:
    """Write the channels' metrics. Two channels may have the same name; their ids, which are no secrets, differ."""
    labelled = {
        (persona_id, one.channel): (
            {"persona": persona_id, "type": one.type, "name": one.name, "channel": one.channel},
            one,
        )
        for persona_id, channels in by_persona.items()
        for one in channels
        if one.channel is not None
    }

    def samples(value: Callable[[ChannelHealth], float | None]) -> list[Sample]:
        figures = ((labels, value(one)) for labels, one in labelled.values())
        return [Sample(labels, figure) for labels, figure in figures if figure is not None]

    return "".join(
        (
            render(
                "personad_channel_up",
                "gauge",
                "Whether the channel's gateway is connected.",
                samples(lambda one: one.state == "connected"),
            ),
            render(
                "personad_channel_round_trip_seconds",
                "gauge",
                "Age of the last completed exchange with the provider.",
                samples(lambda one: one.round_trip_s),
            ),
            render(
                "personad_channel_received_total",
                "counter",
                "Messages of the paired person, and everybody's on an open channel.",
                samples(lambda one: one.received),
            ),
            render(
                "personad_channel_strangers_total",
                "counter",
                "Messages of everybody else, which are not answered.",
                samples(lambda one: one.strangers),
            ),
            render("personad_channel_sent_total", "counter", "Messages delivered.", samples(lambda one: one.sent)),
            render(
                "personad_channel_limited_total",
                "counter",
                "Messages on open channels over their senders' limits.",
                samples(lambda one: one.limited if one.open else None),
            ),
            render(
                "personad_channel_conversations",
                "gauge",
                "People who talk or talked on an open channel.",
                samples(lambda one: one.conversations if one.open else None),
            ),
            render("personad_channel_dead_total", "counter", "Messages given up.", samples(lambda one: one.dead)),
        )
    )
