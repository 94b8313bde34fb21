"""Idempotency-Key: a repeated request makes nothing twice, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.daemon.api.v1.reception import Reception
from tests.daemon.api.v1.test_authentication import problem
from tests.daemon_process import wait_for


def body_of(desk: Reception, **more: object) -> dict[str, object]:
    """The body of a request for a channel on a new number."""
    return {"name": "Shop", "channelType": "sms", "phoneNumber": desk.phone(), **more}


def test_a_repeated_request_gets_the_first_answer(desk: Reception) -> None:
    """It does so even if the channel has changed meanwhile; another body with the same key is refused."""
    body = body_of(desk)
    first = desk.post(body, **{"Idempotency-Key": "key-1"})
    assert first.status_code == 201
    assert "idempotency-replayed" not in first.headers
    desk.http.patch(f"/v1/channels/{first.json()['id']}", json={"name": "Bar"})

    # Written differently, with an unknown field that has a number too large for a parser.
    spelled = json.dumps(dict(reversed(body.items())), indent=2)[:-2] + f', "x": {"9" * 5000}}}'
    headers = {"Idempotency-Key": "key-1", "content-type": "application/json"}
    again = desk.http.post("/v1/channels", content=spelled, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    other = desk.post({**body, "name": "Bar"}, **{"Idempotency-Key": "key-1"})
    assert other.status_code == 422
    assert problem(other)["errors"][0]["parameter"] == "Idempotency-Key"
    assert desk.post(body, **{"Idempotency-Key": "key-2"}).status_code == 409


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\u00e9".encode().decode("latin-1")])
def test_a_key_that_is_none_is_refused(desk: Reception, key: str) -> None:
    """A key has 1 to 255 printable characters."""
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    answer = desk.http.post("/v1/channels", json=body_of(desk), headers=headers)

    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["parameter"] == "Idempotency-Key"


def test_a_request_that_failed_may_be_mended_under_its_key(desk: Reception) -> None:
    """Only successful requests are kept: a corrected request may have the same key."""
    body = body_of(desk)
    assert desk.post({**body, "modelId": "none"}, **{"Idempotency-Key": "key-3"}).status_code == 422
    assert desk.post(body, **{"Idempotency-Key": "key-3"}).status_code == 201


def test_of_requests_at_once_one_is_carried_out(desk: Reception) -> None:
    """The others are asked to retry, and then get the same answer."""
    body = body_of(desk)
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: desk.post(body, **{"Idempotency-Key": "key-4"}), range(6)))

    made = [answer for answer in answers if answer.status_code == 201]
    assert made
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.headers["retry-after"] for answer in answers if answer.status_code == 409} <= {"1"}
    assert {answer.content for answer in made} == {desk.post(body, **{"Idempotency-Key": "key-4"}).content}


@pytest.mark.slow
def test_a_death_in_the_middle_neither_doubles_nor_blocks(lonely: Reception) -> None:
    """After a kill before the channel is made, after that, or after the answer, a repeated request gets one channel."""
    persona = lonely.persona()
    emulator = lonely.telegram.emulator
    early = {"name": "Shop", "channelType": "telegram", "botToken": lonely.bot()}
    emulator.fail("hang", "getMe", token=str(early["botToken"]))
    struck(lonely, early, lambda: bool(emulator.calls("getMe", str(early["botToken"]))))
    emulator.heal()
    late, done = body_of(lonely), body_of(lonely)
    record = lonely.daemon.state_dir / "personas" / persona / "config.json"
    struck(lonely, late, lambda: str(late["phoneNumber"]) in record.read_text())
    answered = keyed(lonely, done)
    lonely.daemon.kill()
    lonely.daemon.start()

    for body in (early, late, done):
        made = keyed(lonely, body)
        assert made.status_code == 201, made.text
        assert keyed(lonely, body).content == made.content
    assert keyed(lonely, done).content == answered.content
    assert len(lonely.ids()) == 3


def keyed(lonely: Reception, body: Mapping[str, object]) -> httpx.Response:
    """Request a channel with a key."""
    return lonely.post(body, **{"Idempotency-Key": str(body.get("botToken") or body["phoneNumber"])})


def struck(lonely: Reception, body: Mapping[str, object], moment: Callable[[], bool]) -> None:
    """Request a channel and kill the daemon at this moment."""
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(keyed, lonely, body)
        wait_for(lambda: moment() or asking.done(), "the moment to strike")
        assert moment(), asking.result().text
        lonely.daemon.kill()
        asking.exception()
    lonely.daemon.start()
