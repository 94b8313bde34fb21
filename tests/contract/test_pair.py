"""Channels, "Pair": claim a code, and the channel is bound to the account that was shown it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.contract.bots import Bot, code_for
from tests.contract.server import NOT_ACTIVE, RAW_FIELDS, Server, names_field, nobody, refused
from tests.daemon_process import wait_for

INVALID = "Pairing code is invalid or has expired."
NO_CHANNEL = "The channel associated with this pairing code could not be found."
VERIFIED = "This channel is already verified."


def test_pair_answers_with_the_persona_and_the_verified_channel(
    server: Server, eve: str, bot: Bot, mind_fields: dict[str, str]
) -> None:
    """200: both unmasked; "verified_at is set to the moment of pairing", name is "the account that claimed"."""
    server.add(eve, bot.kind, bot.token)
    bot.connected()
    code = code_for(bot.chat("ann"))
    before = datetime.now().astimezone() - timedelta(seconds=1)
    answer = server.post(eve, "pair", json={"code": code})
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["persona", "channel"]
    persona, channel = answer.json()["persona"], answer.json()["channel"]
    assert tuple(persona) == RAW_FIELDS
    assert persona["thinking"]["api_key"] == mind_fields["thinking_api_key"]
    assert persona["channels"] == [channel]
    assert list(channel) == ["type", "name", "credentials", "verified_at"]
    assert (channel["type"], channel["name"]) == (bot.kind, "ann")
    assert channel["credentials"] == {"token": bot.token}
    verified_at = datetime.fromisoformat(channel["verified_at"])
    assert before <= verified_at <= datetime.now().astimezone() + timedelta(seconds=1)
    assert server.channels(eve) == [{"type": bot.kind, "name": "ann", "verified": True}]


def test_she_listens_to_that_account_only(server: Server, eve: str, bot: Bot) -> None:
    """The page: "after which she only listens to that account"."""
    server.add(eve, bot.kind, bot.token)
    bot.connected()
    ann, mallory = bot.chat("ann"), bot.chat("mallory")
    server.post(eve, "pair", json={"code": code_for(ann)})
    told = len(ann.texts())
    mallory.write("a stranger's words")
    ann.write("the owner's words")
    # Messages are handled in order: when the owner is answered, the stranger would have been answered too.
    wait_for(lambda: len(ann.texts()) > told, "an answer to the owner")
    assert mallory.texts() == []


def test_a_code_may_be_typed_in_small_letters(server: Server, eve: str, bot: Bot) -> None:
    """code: "Case-insensitive"."""
    server.add(eve, bot.kind, bot.token)
    bot.connected()
    assert server.post(eve, "pair", json={"code": code_for(bot.chat("ann")).lower()}).status_code == 200


def test_a_code_is_worth_nothing_afterwards(server: Server, eve: str, bot: Bot) -> None:
    """400: a claimed code "is invalid", and so is another account's for a channel that is "already verified"."""
    server.add(eve, bot.kind, bot.token)
    bot.connected()
    claimed, late = code_for(bot.chat("ann")), code_for(bot.chat("bob"))
    assert server.post(eve, "pair", json={"code": claimed}).status_code == 200
    for code in (claimed, late):
        answer = server.post(eve, "pair", json={"code": code})
        assert answer.status_code == 400
        assert answer.json()["detail"] in (INVALID, VERIFIED)
    assert server.channels(eve)[0]["name"] == "ann"


def test_a_code_goes_with_its_channel(server: Server, eve: str, bot: Bot) -> None:
    """400: "no channel matches the code", or the code went with it."""
    server.add(eve, bot.kind, bot.token)
    bot.connected()
    code = code_for(bot.chat("ann"))
    server.remove(eve, server.channels(eve)[0]["name"])
    answer = server.post(eve, "pair", json={"code": code})
    assert answer.status_code == 400
    assert answer.json()["detail"] in (INVALID, NO_CHANNEL)


def test_pair_needs_her_running(server: Server, eve: str) -> None:
    """409: "She isn't running ("Persona is not active.")"."""
    server.post(eve, "stop")
    for persona_id in (eve, nobody()):
        refused(server.post(persona_id, "pair", json={"code": "AB12CD"}), 409, NOT_ACTIVE)


def test_a_code_that_nobody_was_shown_is_400(server: Server, eve: str) -> None:
    """400: "The code is invalid or expired"."""
    refused(server.post(eve, "pair", json={"code": "AB12CD"}), 400, INVALID)


@pytest.mark.parametrize("body", [{}, {"code": 123456}, {"code": None}])
def test_a_code_that_is_missing_or_not_a_string_is_422(server: Server, eve: str, body: dict[str, object]) -> None:
    """422: "code missing or not a string (Pydantic validation)"."""
    names_field(server.post(eve, "pair", json=body), "code")
