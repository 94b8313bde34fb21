"""Providers call a whole daemon: messages come in by webhook, answers go out by REST, and nothing is lost between."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from urllib.parse import urlencode

import httpx
import psutil
import pytest

from tests.daemon.webhooks.office import SMS_LINE, WHATSAPP_LINE, Office
from tests.daemon_process import wait_for
from tests.emulators.meta import MetaEmulator
from tests.emulators.openai import OpenAIEmulator
from tests.emulators.twilio import FORM, TwilioEmulator
from tests.observed import status, worker
from tests.patience import PATIENCE

ANN = "+15557654321"
BURST = 200
MARK = "(perhaps repeated)"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, mind: OpenAIEmulator) -> Iterator[Office]:
    """A daemon that may be killed, and its providers."""
    with TwilioEmulator(SMS_LINE) as twilio, MetaEmulator() as meta:
        # Random kills must not make a person's message look like the cause.
        deaths = {"PERSONAD_SUPERVISOR_POISON_DEATHS": "100"}
        office = Office(tmp_path_factory.mktemp("office"), twilio, meta, mind, **deaths)
        try:
            yield office.start()
            assert office.daemon.stop() == 0
        finally:
            office.daemon.close()


def test_a_conversation_by_text_message(office: Office) -> None:
    """A text is answered once, even if Twilio calls twice and also lists it; a later failure is recorded."""
    channel = office.open("sms", SMS_LINE)
    form = office.twilio.form(office.twilio.text(ANN, SMS_LINE, "hello there"))
    for _ in range(2):
        answer = office.twilio.call(office.local(channel), office.public(channel), form)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml")
    wait_for(lambda: office.sms_answers(ANN), "an answer")
    office.sms(channel, ANN, "and again")
    wait_for(lambda: len(office.sms_answers(ANN)) > 1, "the next answer")
    first, second = office.sms_answers(ANN)
    assert ("hello there" in first, "and again" in second) == (True, True)

    failed = office.twilio.settle(office.twilio.sent[-1]["sid"], "undelivered", 30003)
    assert office.twilio.call(office.local(channel), office.public(channel), failed).status_code == 200

    def is_dead() -> bool:
        return bool(status(office.daemon, office.persona)["channels"][0]["dead"])

    wait_for(is_dead, "the message to be marked as not delivered")
    shown = office.shown(channel)
    assert (shown["status"], shown["lastError"]) == ("active", None)


def test_a_conversation_on_whatsapp(office: Office) -> None:
    """Each person in a batch is answered; without a valid signature nothing is accepted."""
    channel = office.open("whatsapp", WHATSAPP_LINE)
    people = ["15550000001", "15550000002"]
    body = office.meta.batch(*(office.meta.message(who, body=f"I am {who}") for who in people))
    stranger = httpx.post(office.local(channel), content=body, headers={"content-type": "application/json"})
    assert stranger.status_code == 403
    assert office.meta.call(office.local(channel), body).status_code == 200
    for who in people:
        wait_for(partial(office.whatsapp_answers, who), f"an answer to {who}")
    assert [len(office.whatsapp_answers(who)) for who in people] == [1, 1]
    assert len(office.meta.read) >= 2
    metrics = office.daemon.http.get("/metrics").text
    assert 'personad_hooks_total{provider="whatsapp",status="403"} 1' in metrics


def test_what_cannot_be_read_is_shown(office: Office) -> None:
    """A batch with one message that no version understands: the others are answered, and the channel says so."""
    channel = office.open("whatsapp", WHATSAPP_LINE)
    odd = office.meta.message("15550000012", text={"body": {"parts": ["hello"]}})
    body = office.meta.batch(office.meta.message("15550000011", body="I am well"), odd)
    for _ in range(2):
        assert office.meta.call(office.local(channel), body).status_code == 200
    wait_for(partial(office.whatsapp_answers, "15550000011"), "an answer to the one who can be read")
    wait_for(lambda: office.shown(channel)["lastError"], "the channel to say so")
    shown = office.shown(channel)
    assert shown["status"] == "active"
    assert shown["lastError"].startswith("One message of the provider could not be read (it.text.body is no text")
    [health] = [one for one in status(office.daemon, office.persona)["channels"] if one["channel"] == channel]
    assert (health["unread"], health["error"]) == (1, shown["lastError"])
    # A restart is no upgrade: nothing is answered twice, and it is still there.
    os.kill(status(office.daemon, office.persona)["pid"], signal.SIGKILL)
    assert office.meta.call(office.local(channel), office.meta.batch(office.meta.message("15550000013"))).is_success
    wait_for(partial(office.whatsapp_answers, "15550000013"), "an answer by her next process")
    assert len(office.whatsapp_answers("15550000011")) == 1
    assert office.shown(channel)["lastError"] == shown["lastError"]


def test_stop_outlives_her_process(office: Office) -> None:
    """After STOP she sends that person nothing, also from her next process, where Twilio does not see to it."""
    channel, bob = office.open("sms", SMS_LINE), "+15557650001"
    office.sms(channel, bob, "STOP")
    wait_for(lambda: "twilio.opting" in office.daemon.log.read_text(), "the STOP")
    office.twilio.opted_out.clear()
    office.daemon.http.post(f"/api/persona/{office.persona}/restart")
    office.connected(channel)
    office.sms(channel, bob, "are you there?")

    def refused() -> bool:
        found = office.daemon.http.get(f"/v1/channels/{channel}/conversations").json()["items"]
        return any(one["id"] == bob[1:] and "opted out with STOP" in (one["lastError"] or "") for one in found)

    wait_for(refused, "her answer to be refused")
    assert office.sms_answers(bob) == []
    office.sms(channel, bob, "START")
    office.sms(channel, bob, "and now?")
    wait_for(lambda: office.sms_answers(bob), "an answer")
    assert ["and now?" in answer for answer in office.sms_answers(bob)] == [True]


def test_messages_wait_for_a_daemon_that_was_killed(office: Office) -> None:
    """A message answered with 200 is not lost when the daemon dies, and is answered once afterwards."""
    channel = office.open("sms", SMS_LINE)
    os.kill(status(office.daemon, office.persona)["pid"], signal.SIGSTOP)
    for number in range(5):
        office.sms(channel, f"+1556000000{number}", f"word {number}")
    office.daemon.kill()
    office.start()
    for number in range(5):
        wait_for(partial(office.sms_answers, f"+1556000000{number}"), f"answer {number}")
    assert [len(office.sms_answers(f"+1556000000{number}")) for number in range(5)] == [1] * 5


def test_a_burst_with_deaths(office: Office) -> None:
    """200 people write at once while her process dies repeatedly; each is answered, more than once only if marked."""
    channel = office.open("sms", SMS_LINE)
    people = [f"+1555{number:07d}" for number in range(BURST)]
    forms = [office.twilio.form(office.twilio.text(who, SMS_LINE, f"I am {who}")) for who in people]
    calm = threading.Event()
    before = len(office.twilio.sent)

    def answers() -> int:
        return len({message["to"] for message in office.twilio.sent[before:]})

    def strike() -> None:
        # Each of her processes lives until it has answered one more person, and dies with others in hand.
        for _ in range(4):
            answered = answers()
            with suppress(psutil.NoSuchProcess):
                worker(office.daemon, office.persona).send_signal(signal.SIGKILL)
            wait_for(lambda seen=answered: answers() > min(seen, BURST - 1), "the next to answer")  # type: ignore[misc]
        calm.set()

    threading.Thread(target=strike, daemon=True).start()
    asyncio.run(_call(office, channel, forms))
    assert calm.wait(PATIENCE)

    wait_for(lambda: answers() == BURST, f"{BURST} answers; log: {office.daemon.log}")
    assert {message["to"] for message in office.twilio.sent[before:]} == set(people)
    # A message that Twilio had when a process died may be sent again, and is marked as such: it may have arrived.
    plain = [message["to"] for message in office.twilio.sent[before:] if MARK not in message["body"]]
    assert [who for who, count in Counter(plain).items() if count > 1] == []


async def _call(office: Office, channel: str, forms: list[dict[str, str]]) -> None:
    """Call like Twilio: many at once, each again until it is answered with 200."""
    gate = asyncio.Semaphore(20)

    async def call(http: httpx.AsyncClient, form: dict[str, str]) -> None:
        signature = office.twilio.sign(office.public(channel), form)
        headers = {"content-type": FORM, "x-twilio-signature": signature}
        async with gate:
            while True:
                answer = await http.post(office.local(channel), content=urlencode(form).encode(), headers=headers)
                if answer.status_code == 200:
                    return
                assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.05)

    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
        await asyncio.gather(*(call(http, form) for form in forms))
