"""Health, metrics and the API's own description."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from daemon.api.app import RouteGroup, table
from daemon.api.metrics import Sample, render, resident_bytes
from daemon.api.openapi import routed
from daemon.startup.routes import api_routes, openai_routes, v1_routes
from tests.daemon_process import DaemonProcess

Make = Callable[..., str]


def made_of_anything(make: Callable[..., list[RouteGroup]]) -> list[RouteGroup]:
    """The groups of routes with a stand-in for every service: the table of routes calls none of them."""
    return make(**{name: MagicMock() for name in inspect.signature(make).parameters})


def test_livez_and_readyz(front: DaemonProcess) -> None:
    """The daemon is live and, with all personas running, ready; each check says so."""
    assert front.http.get("/livez").json() == {"status": "alive"}
    answer = front.http.get("/readyz")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "ready"
    checks = ("ledger", "spawner", "personas", "accounts", "edits", "tasks", "budgets")
    assert body["checks"] == {name: {"ok": True, "reason": ""} for name in checks}


def test_status(front: DaemonProcess, make: Make) -> None:
    """Everything that `personad status` shows is there and correct."""
    persona_id = make()
    body = front.http.get("/api/status").json()
    assert body["pid"] == front.pid
    assert body["uptime_s"] > 0
    assert body["rss"] > 1_000_000
    assert body["ledger"]["commits"] >= 0
    (eve,) = [one for one in body["personas"] if one["id"] == persona_id]
    assert (eve["name"], eve["status"], eve["running"], eve["state"]) == ("Eve", "active", True, "running")
    assert Path(f"/proc/{eve['pid']}").exists()
    assert (eve["generation"], eve["restarts"], eve["inbox"], eve["poison"], eve["mind"]) == (1, 0, 0, 0, "ok")


def test_metrics(front: DaemonProcess, make: Make) -> None:
    """Prometheus' text has every figure, counts requests by route and status, and never by path."""
    persona_id = make()
    front.http.get("/api/personas")
    front.http.get(f"/api/persona/{persona_id}/conversation")
    front.http.get("/nobody/was/here")
    answer = front.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    for line in lines:
        assert line.startswith("# ") or re.fullmatch(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+', line), line
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("# "))
    listed = 'personad_requests_total{method="GET",route="/api/personas",status="200"}'
    assert float(samples[listed]) >= 1
    assert float(samples['personad_requests_total{method="GET",route="",status="404"}']) >= 1
    by_route = 'personad_requests_total{method="GET",route="/api/persona/{persona_id}/conversation",status="200"}'
    assert float(samples[by_route]) >= 1
    assert "nobody" not in answer.text
    assert float(samples['personad_personas{state="running"}']) >= 1
    for name in ("perceptions_accepted_total", "ledger_commits_total", "sockets", "resident_bytes", "loop_lag_seconds"):
        assert float(samples[f"personad_{name}"]) >= 0


def test_labels_are_escaped() -> None:
    """A label's value cannot end its line or its quotes."""
    text = render("m", "gauge", "Help.", [Sample({"a": 'x"\n\\y'}, 1.5)])
    assert text.splitlines() == ["# HELP m Help.", "# TYPE m gauge", 'm{a="x\\"\\n\\\\y"} 1.5']


def test_resident_memory_is_measured() -> None:
    """The figure is this process's resident memory in bytes."""
    assert 5_000_000 < resident_bytes() < 2_000_000_000


def test_openapi_describes_every_route(front: DaemonProcess) -> None:
    """Exactly the routes of the table are described, and every reference resolves."""
    document = front.http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "personad"
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    # The services are not called here, so anything can stand in for them.
    groups = [group for routes in (api_routes, v1_routes, openai_routes) for group in made_of_anything(routes)]
    assert described == routed(table(groups))
    for method, path in described:
        if path.startswith("/v1/"):
            assert front.http.request(method, path).status_code == 401, path
        elif method == "GET" and "{" not in path:
            assert front.http.get(path).status_code in (200, 503), path
        else:
            filled = path.replace("{persona_id}", "nobody").replace("{filename}", "none")
            assert front.http.request(method, filled).json() != {"detail": "Not Found"}, path
    schemas = document["components"]["schemas"]
    for reference in re.findall(r"#/components/schemas/(\w+)", front.http.get("/openapi.json").text):
        assert reference in schemas


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_wrong_methods_are_405(front: DaemonProcess, method: str) -> None:
    """A known path with another method is 405 in the documented form, and says which are allowed."""
    answer = front.http.request(method, "/api/persona/create")
    assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/", "/api", "/api/personas/", "/docs", "/redoc", "/api/persona//read", "/%00"])
def test_unknown_paths_are_404(front: DaemonProcess, path: str) -> None:
    """An unknown path is 404 in the documented form; there are no pages and no redirects."""
    answer = front.http.get(path)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})
