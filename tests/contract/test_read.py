"""Perception, "Read": send the persona a text message."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.server import Server, names_field, nobody, reply


def test_what_is_read_is_received_and_answered_over_the_socket(server: Server, eve: str) -> None:
    """200 {"status": "received"}: "accepted for delivery; her reply comes later over the WebSocket"."""
    with server.socket(eve) as socket:
        answer = server.post(eve, "read", json={"message": "What did the morning market scan turn up?"})
        assert (answer.status_code, answer.json()) == (200, {"status": "received"})
        assert reply(socket)


@pytest.mark.parametrize("body", [{}, {"message": 1}, {"message": None}, {"message": ["hello"]}])
def test_a_message_that_is_missing_or_not_a_string_is_422(server: Server, eve: str, body: dict[str, Any]) -> None:
    """422: "message missing or not a string (Pydantic validation)"."""
    with server.socket(eve):
        names_field(server.post(eve, "read", json=body), "message")


def test_the_body_is_json(server: Server, eve: str) -> None:
    """A body that is not JSON is 422 too."""
    headers = {"content-type": "application/json"}
    answer = server.http.post(f"/api/persona/{eve}/read", content=b'{"message"', headers=headers)
    assert answer.status_code == 422


def test_nobody_reads(server: Server) -> None:
    """409: an unknown persona counts as not running."""
    assert server.post(nobody(), "read", json={"message": "hello"}).status_code == 409
