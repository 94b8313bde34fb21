"""What she used of remote minds and organs, and the budgets that hold it."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Annotated, Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.bodies import Body
from daemon.api.lookup import find_persona
from daemon.channels.register import ChannelRegister
from daemon.costs.budgets import effective, fault_of, own_budget
from daemon.costs.costs import Costs
from daemon.costs.days import today, zone_of
from daemon.http.answers import json_response
from daemon.ledger import Ledger, UsageRow
from daemon.personas.personas import Personas, PersonasError
from daemon.runtime.clock import Clock
from daemon.settings.amounts import decimal
from proto.records import Budget, Persona

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

MOST_DAYS: Final = 366
"""Days of one answer; other years are asked for by themselves."""


LimitText = Annotated[str, msgspec.Meta(max_length=40)]


class UsageShown(msgspec.Struct):
    """What was used on one day of one model for one purpose, in ``calls`` calls.

    ``input`` includes ``cached``. ``unit`` and ``units`` are what is billed besides tokens. ``source`` says where the
    numbers are from; ``open`` calls are in progress, with what is reserved for them. ``cost`` is a decimal number of
    ``currency``, null if no price is known.
    """

    day: str
    provider: str
    model: str
    organ: str
    purpose: str
    source: str
    calls: int
    input: int
    output: int
    cached: int
    unit: str
    units: int
    cost: str | None
    currency: str


class UsageTotals(msgspec.Struct):
    """The sums; ``unpriced`` counts the calls without a price, and ``cost`` holds by currency what the others cost."""

    calls: int
    input: int
    output: int
    cached: int
    unpriced: int
    cost: dict[str, str]


class Usage(msgspec.Struct):
    """From the day ``first`` to ``last``, in her person's zone. ``closed`` says which budgets let no call pass now."""

    first: str = msgspec.field(name="from")
    last: str = msgspec.field(name="to")
    rows: list[UsageShown]
    totals: UsageTotals
    closed: list[str]


class BudgetRequest(msgspec.Struct):
    """The limits to change; "" is the settings' own, ``unlimited`` is none."""

    day: LimitText | None = None
    month: LimitText | None = None
    visitors_day: LimitText | None = None
    visitors_month: LimitText | None = None


class BudgetShown(msgspec.Struct):
    """Her limits: ``own`` are those of her record, ``effective`` are all that hold; ``closed`` as in Usage."""

    own: dict[str, str]
    effective: dict[str, str]
    closed: list[str]


BUDGET_BODY: Final = Body(BudgetRequest)


class UsageRoutes:
    """Her usage and her budgets; both are there while she is stopped."""

    def __init__(
        self, *, personas: Personas, ledger: Ledger, costs: Costs, register: ChannelRegister, clock: Clock
    ) -> None:
        self._personas = personas
        self._ledger = ledger
        self._costs = costs
        self._register = register
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/persona/{persona_id}/usage", self.usage),
            Route("/api/persona/{persona_id}/budget", self.budget),
            Route("/api/persona/{persona_id}/budget", self.change_budget, methods=["POST"]),
        ]

    async def usage(self, request: Request) -> Response:
        """``GET .../usage?from=&to=``: both days count; without them it is the month so far."""
        persona = find_persona(self._personas, request)
        now = today(zone_of(persona), self._clock.time_ns())
        last = _day(request, "to", date.fromisoformat(now.day))
        first = _day(request, "from", last.replace(day=1))
        if first > last:
            raise HTTPException(400, f"from ({first}) is after to ({last}): exchange them.")
        if last - first >= timedelta(days=MOST_DAYS):
            raise HTTPException(400, f"That are more than {MOST_DAYS} days: ask for one year at a time.")
        rows = await self._ledger.usage(persona.id, first.isoformat(), last.isoformat())
        closed = self._costs.closed(persona.id)
        return json_response(
            Usage(first.isoformat(), last.isoformat(), [_shown(row) for row in rows], _totals(rows), closed)
        )

    async def budget(self, request: Request) -> Response:
        """``GET .../budget``: her limits."""
        return self._budget(find_persona(self._personas, request))

    async def change_budget(self, request: Request) -> Response:
        """``POST .../budget``: change her limits, at once and without a new process."""
        persona = find_persona(self._personas, request)
        asked = msgspec.structs.asdict(await BUDGET_BODY.read(request))
        given = {name: limit for name, limit in asked.items() if limit is not None}
        for name, limit in given.items():
            if fault := fault_of(limit, self._costs.prices.currency):
                raise HTTPException(400, f"{name} {fault}.")
        try:
            saved = await self._register.change_record(persona.id, lambda current: _budgeted(current, given))
        except PersonasError as error:
            raise HTTPException(507, f"Nothing was changed: {error}") from error
        if saved is None:
            raise HTTPException(404, "Persona not found.")
        self._costs.changed(persona.id)
        return self._budget(saved)

    def _budget(self, persona: Persona) -> Response:
        own = {name: limit for name, limit in msgspec.structs.asdict(own_budget(persona)).items() if limit}
        whole = msgspec.structs.asdict(effective(self._costs.defaults, persona))
        return json_response(BudgetShown(own, whole, self._costs.closed(persona.id)))


def _budgeted(persona: Persona, given: dict[str, str]) -> Persona:
    budget = msgspec.structs.replace(own_budget(persona), **given)
    return msgspec.structs.replace(persona, budget=msgspec.UNSET if budget == Budget() else budget)


def _day(request: Request, name: str, otherwise: date) -> date:
    text = request.query_params.get(name, "")
    if not text:
        return otherwise
    try:
        # Since 3.11 fromisoformat takes other forms, too.
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise HTTPException(400, f"{name} must be a day such as 2026-01-31.")
    return day


def _shown(row: UsageRow) -> UsageShown:
    cost = None if row.cost is None else decimal(row.cost)
    return UsageShown(**{**msgspec.structs.asdict(row), "cost": cost})


def _totals(rows: list[UsageRow]) -> UsageTotals:
    cost: dict[str, int] = {}
    for row in rows:
        if row.cost:
            cost[row.currency] = cost.get(row.currency, 0) + row.cost
    return UsageTotals(
        sum(row.calls for row in rows),
        sum(row.input for row in rows),
        sum(row.output for row in rows),
        sum(row.cached for row in rows),
        sum(row.calls for row in rows if row.cost is None),
        {currency: decimal(amount) for currency, amount in sorted(cost.items())},
    )
