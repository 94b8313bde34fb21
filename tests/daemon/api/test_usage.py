"""Her usage and her budgets over HTTP: what a turn books, and what happens at the limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.daemon_process import DaemonProcess, wait_for
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.server import Step
from tests.listener import Listener


def usage(front: DaemonProcess, persona_id: str, query: str = "") -> dict[str, Any]:
    """Her usage. Any: JSON."""
    answer = front.http.get(f"/api/persona/{persona_id}/usage{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rows(front: DaemonProcess, persona_id: str, purpose: str) -> list[dict[str, Any]]:
    """The rows for one purpose that are booked."""
    found = usage(front, persona_id)["rows"]
    return [row for row in found if row["purpose"] == purpose and row["source"] != "open"]


def test_an_answer_is_booked_with_what_the_provider_reports(
    front: DaemonProcess, make: Callable[..., str], mind: OpenAIEmulator
) -> None:
    """Her test at her creation, and her answer, each with its numbers; the sums stand in the metrics."""
    eve = make()
    mind.script(Step(text="Hi.", used=(1234, 56, 1000)))
    with Listener(front, eve) as listener:
        front.read(eve, "hello")
        wait_for(lambda: listener.words, "her answer")
    wait_for(lambda: rows(front, eve, "answer"), "the booking")

    [row] = rows(front, eve, "answer")
    assert (row["provider"], row["model"], row["organ"], row["source"]) == ("openai", "echo", "thinking", "reported")
    assert (row["calls"], row["input"], row["output"], row["cached"]) == (1, 1234, 56, 1000)
    assert (row["cost"], row["currency"]) == (None, "")
    assert len(rows(front, eve, "test")) == 1
    totals = usage(front, eve)["totals"]
    assert (totals["calls"], totals["unpriced"], totals["cost"]) == (2, 2, {})
    metrics = front.http.get("/metrics").text
    assert f'personad_tokens_total{{persona="{eve}",purpose="answer",kind="cached"}} 1000' in metrics


def test_at_the_limit_she_says_so_once_and_answers_when_it_is_raised(
    front: DaemonProcess, make: Callable[..., str], mind: OpenAIEmulator
) -> None:
    """No call reaches the provider, nothing is lost, and status and readiness say which budget it is."""
    eve = make()
    path = f"/api/persona/{eve}/budget"
    assert front.http.post(path, json={"day": "0 tokens"}).json()["effective"]["day"] == "0 tokens"
    before = len(mind.journal)
    with Listener(front, eve) as listener:
        front.read(eve, "one")
        wait_for(lambda: listener.words, "her notice")
        front.read(eve, "two")
        wait_for(lambda: status_of(front, eve)["inbox"] == 2, "both to wait")
        said = "The budget of this persona for the day is 0 tokens: no call is made."
        assert status_of(front, eve)["budgets"] == [said]
        ready = front.http.get("/readyz").json()["checks"]["budgets"]
        assert ready["ok"]
        assert said in ready["reason"]
        assert usage(front, eve)["closed"] == [said]
        assert len(mind.journal) == before
        front.http.post(path, json={"day": "unlimited"})
        wait_for(lambda: len(listener.words) >= 2, "her answer")

        assert listener.words[0].startswith(f"I cannot think right now. {said}")
        assert [word for word in listener.words if "cannot think" in word] == listener.words[:1]
        assert "two" in listener.words[-1]
    assert status_of(front, eve)["budgets"] == []


def status_of(front: DaemonProcess, persona_id: str) -> dict[str, Any]:
    """Her status. Any: JSON."""
    found: dict[str, Any] = next(
        one for one in front.http.get("/api/status").json()["personas"] if one["id"] == persona_id
    )
    return found


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("?from=2026-11-03&to=2026-11-02", "from (2026-11-03) is after to (2026-11-02): exchange them."),
        ("?from=1926-01-01&to=2026-01-01", "That are more than 366 days: ask for one year at a time."),
        ("?from=2026-02-30", "from must be a day such as 2026-01-31."),
        ("?to=tomorrow", "to must be a day such as 2026-01-31."),
        ("?to=20260101", "to must be a day such as 2026-01-31."),
        ("?from=2026-W01-1", "from must be a day such as 2026-01-31."),
    ],
)
def test_days_that_cannot_be_taken(front: DaemonProcess, make: Callable[..., str], query: str, detail: str) -> None:
    """Each gets a 400 that says what to send."""
    answer = front.http.get(f"/api/persona/{make()}/usage{query}")

    assert (answer.status_code, answer.json()) == (400, {"detail": detail})


@pytest.mark.parametrize(
    "limit", ["-1 tokens", "NaN USD", "1e9 tokens", "5 XXX", "5", "tokens", "1.5 tokens", "0x10 tokens", "9 USD EUR"]
)
def test_limits_that_cannot_be_taken(front: DaemonProcess, make: Callable[..., str], limit: str) -> None:
    """Each gets a 400 that says what a limit is, and changes nothing."""
    path = f"/api/persona/{make()}/budget"
    answer = front.http.post(path, json={"day": "100 tokens", "month": limit})

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("month must")
    assert front.http.get(path).json()["own"] == {}


def test_a_budget_in_money_needs_prices(front: DaemonProcess, make: Callable[..., str]) -> None:
    """Without prices it could hold nothing, so it is refused with what to do."""
    answer = front.http.post(f"/api/persona/{make()}/budget", json={"day": "5 USD"})

    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        "day is in USD, but personad.toml has no prices; give a budget in tokens, or correct the prices."
    )


def test_a_budget_stands_in_her_record_and_goes_with_it(front: DaemonProcess, make: Callable[..., str]) -> None:
    """It is kept while she is stopped and started, and an empty text takes it away."""
    eve = make()
    path = f"/api/persona/{eve}/budget"
    front.http.post(path, json={"month": "10 tokens"})
    front.http.post(f"/api/persona/{eve}/restart")
    assert front.http.get(path).json()["own"] == {"month": "10 tokens"}
    assert front.http.post(path, json={"month": ""}).json()["own"] == {}
    assert front.http.post(path, json={"day": 5}).status_code == 422
    assert front.http.get("/api/persona/nobody/usage").status_code == 404
