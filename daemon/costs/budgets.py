"""Her budgets: the settings, and in her record what is different for her."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import msgspec

from daemon.settings.amounts import Amount, amount, check_limit
from daemon.settings.settings import Budgets
from proto.records import Budget, Persona

Period: TypeAlias = Literal["day", "month"]


class Limited(NamedTuple):
    """One limit of a budget."""

    period: Period
    amount: Amount


def limits(defaults: Budgets, persona: Persona | None, *, visitors: bool) -> list[Limited]:
    """Return what holds for her own calls, or for her visitors'; none for one that is unlimited."""
    whole, before = effective(defaults, persona), "visitors_" if visitors else ""
    periods: tuple[Period, ...] = ("day", "month")
    found = ((period, amount(getattr(whole, f"{before}{period}"))) for period in periods)
    return [Limited(period, limit) for period, limit in found if limit is not None]


def effective(defaults: Budgets, persona: Persona | None) -> Budget:
    """Return her four limits, each from her record or else from the settings."""
    own = own_budget(persona)
    return Budget(**{name: getattr(own, name) or getattr(defaults, name) for name in Budget.__struct_fields__})


def own_budget(persona: Persona | None) -> Budget:
    """Return what her record says."""
    return Budget() if persona is None or persona.budget is msgspec.UNSET else persona.budget


def fault_of(limit: str, currency: str) -> str:
    """Return why a limit cannot be used with prices in ``currency`` ("": there are none), or ""."""
    if fault := check_limit(limit):
        return fault
    found = amount(limit)
    if found is None or found.currency in ("", currency):
        return ""
    known = f"the prices in personad.toml are in {currency}" if currency else "personad.toml has no prices"
    return f"is in {found.currency}, but {known}; give a budget in tokens, or correct the prices"
