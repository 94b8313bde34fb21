"""ETag and If-Match: two people who change a channel at the same time do not overwrite each other's settings."""

from __future__ import annotations

import pytest

from tests.daemon.api.v1.reception import Reception
from tests.daemon.api.v1.test_authentication import problem
from tests.daemon_process import wait_for


def test_a_change_of_an_older_state_is_refused(desk: Reception) -> None:
    """The second of two changes that began at the same state is 412; so is a deletion, and nothing changes."""
    made = desk.post({"name": "Shop", "channelType": "sms", "phoneNumber": desk.phone()})
    path, first = made.headers["location"], made.headers["etag"]
    assert desk.http.get(path).headers["etag"] == first
    changed = desk.http.patch(path, json={"name": "Bar"}, headers={"if-match": first})
    assert changed.status_code == 200, changed.text
    second = changed.headers["etag"]
    assert second != first

    for answer in (
        desk.http.patch(path, json={"name": "Inn", "welcomeMessage": "Hello!"}, headers={"if-match": first}),
        desk.http.patch(path, json={"name": "Inn"}, headers={"if-match": f"W/{second}"}),
        desk.http.patch(path, json={"name": "Inn"}, headers={"if-match": '"nope"'}),
        desk.http.delete(path, headers={"if-match": first}),
    ):
        assert answer.status_code == 412, answer.text
        assert "GET it again" in problem(answer)["detail"]
    shown = desk.http.get(path)
    assert (shown.json(), shown.headers["etag"]) == (changed.json(), second)
    for given in (f'"nope", {second}', "*"):
        assert desk.http.patch(path, json={}, headers={"if-match": given}).status_code == 200
    for action in ("pause", "resume"):
        again = desk.http.post(f"{path}/{action}").headers["etag"]
        assert again not in (first, second)
    assert desk.http.patch(path, json={"name": "last wins"}).status_code == 200
    last = desk.http.get(path).headers["etag"]
    assert desk.http.delete(path, headers={"if-match": last}).status_code == 204
    assert desk.http.patch(path, json={}, headers={"if-match": "*"}).status_code == 404


@pytest.mark.parametrize("given", ["nope", "", '"a', '"a" "b"', '*, "a"', '"a b"'])
def test_a_faulty_header_is_named(desk: Reception, given: str) -> None:
    """Anything else than ETags is 422, and says what to send."""
    made = desk.create()
    answer = desk.http.patch(f"/v1/channels/{made['id']}", json={"name": "x"}, headers={"if-match": given})
    assert answer.status_code == 422, answer.text
    assert [error["parameter"] for error in problem(answer)["errors"]] == ["If-Match"]
    assert desk.get(f"/{made['id']}") == made


def test_messages_do_not_change_it(desk: Reception) -> None:
    """An operator can change a channel on which people write; a repeated create has the ETag of the first answer."""
    token = desk.bot()
    body = {"name": "Busy", "channelType": "telegram", "botToken": token, "instructions": "Be brief."}
    made = desk.post(body, **{"Idempotency-Key": "busy"})
    path = made.headers["location"]
    ann = desk.telegram.chat(token, "ann_busy")
    ann.write("hello")
    wait_for(lambda: desk.http.get(path).json()["messageCount"] == 2, "her answer")
    assert desk.http.get(path).headers["etag"] == made.headers["etag"]
    again = desk.post(body, **{"Idempotency-Key": "busy"})
    assert (again.headers["idempotency-replayed"], again.headers["etag"]) == ("true", made.headers["etag"])
