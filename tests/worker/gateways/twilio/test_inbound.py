"""Messages that arrive through Twilio, by polls and by webhooks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators.twilio import FORM, TwilioEmulator
from tests.worker.gateways.twilio.channel import ANN, OURS, TIMING, opened, webhook
from worker.gateways.twilio.gateway import TwilioGateway

WEBHOOK = "https://hooks.example.org/hooks/0123456789abcdef"


@pytest.fixture
def twilio() -> Iterator[TwilioEmulator]:
    """An account with one number."""
    with TwilioEmulator(OURS) as emulator:
        yield emulator


async def test_polls_bring_messages_once_and_in_order(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """Without a public address the list is polled: all pages, oldest first, each of our messages once."""
    twilio.page = 2
    begun = time.time() - 10
    for number in range(5):
        twilio.text(ANN, OURS, f"word {number}", at=begun + number)
    twilio.text(ANN, "+15005550009", "to another number")
    async with opened(twilio, tmp_path) as channel:
        await channel.first(5)
        twilio.text(ANN, OURS, "one more")
        await channel.first(6)
        twilio.text(ANN, OURS, "and one")
        items = await channel.first(7)
        state = channel.gateway.state()
    assert [item.content for item in items] == [*(f"word {number}" for number in range(5)), "one more", "and one"]
    first, written = items[0], twilio.messages[0]
    assert (first.key, first.account, first.chat, first.private) == (written["sid"], "15557654321", "15557654321", True)
    # Twilio's times are in whole seconds.
    assert abs(first.at / 1e9 - begun) <= 1
    assert (state.state, state.bot_id) == ("connected", OURS[1:])


async def test_messages_from_before_the_channel_are_not_hers(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """A new channel begins at its creation; an older one continues where it was, at most a week back."""
    twilio.text(ANN, OURS, "too old", at=time.time() - 8 * 86_400)
    twilio.text(ANN, OURS, "from yesterday", at=time.time() - 86_400)
    twilio.text(ANN, OURS, "a little too old", at=time.time() - 120)
    twilio.text(ANN, OURS, "just now")
    async with opened(twilio, tmp_path, since=time.time() - 60) as channel:
        await channel.first()
        assert channel.texts == ["just now"]
    async with opened(twilio, tmp_path, since=time.time() - 30 * 86_400) as channel:
        await channel.first(3)
        assert channel.texts == ["from yesterday", "a little too old", "just now"]


async def test_she_does_not_answer_herself(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """A message from the number to itself is ignored; one from another of the account's numbers is listed twice."""
    twilio._message("outbound-api", OURS, OURS, "echo", "delivered", None)
    twilio.text(OURS, OURS, "echo")
    twilio._message("outbound-api", "+15005550009", OURS, "from the office", "delivered", None)
    twilio.text("+15005550009", OURS, "from the office")
    twilio.text(ANN, OURS, "hello")
    async with opened(twilio, tmp_path) as channel:
        await channel.first(2)
    assert channel.texts == ["from the office", "hello"]


async def test_what_is_not_committed_comes_again(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """Messages that the daemon cannot commit are offered until it does."""
    twilio.text(ANN, OURS, "keep me")
    async with opened(twilio, tmp_path) as channel:
        channel.refusals = 2
        await channel.first()
    assert len(channel.offers) == 3
    assert channel.texts == ["keep me"]


async def test_webhooks_and_the_polls_beside_them(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """With a public address the number's webhook is set; messages found only in the list come by the first poll."""
    twilio.text(ANN, OURS, "while nobody listened", at=time.time() - 5)
    async with opened(twilio, tmp_path, webhook=WEBHOOK) as channel:
        await channel.first()
        number = webhook(channel, twilio.form(twilio.text(ANN, OURS, "by webhook")))
        await channel.until(lambda: number in channel.webhooks_done or None)
        assert isinstance(channel.gateway, TwilioGateway)
        assert await channel.gateway.exchange() == TIMING.check
    assert sorted(set(channel.texts)) == ["by webhook", "while nobody listened"]
    assert twilio.numbers[OURS]["sms_url"] == WEBHOOK


async def test_a_webhook_of_somebody_elses_stays(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """A number that calls another service keeps its webhook; the gateway polls, whatever callbacks come."""
    twilio.numbers[OURS]["sms_url"] = "https://other.example.org/sms"
    async with opened(twilio, tmp_path, webhook=WEBHOOK) as channel:
        await channel.in_state("connected")
        channel.deliver("hi", int(ANN))
        await channel.outcome()
        webhook(channel, twilio.settle(twilio.sent[0]["sid"], "delivered"))
        await channel.until(lambda: channel.webhooks_done or None)
        for number in range(3):
            twilio.text(ANN, OURS, "hello")
            await channel.first(number + 1)
    assert twilio.numbers[OURS]["sms_url"] == "https://other.example.org/sms"
    assert "twilio.webhook_elsewhere" in channel.log()


async def test_whatsapp(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """WhatsApp's addresses become numbers, the profile's name is the account's, and STOP is an ordinary message."""
    async with opened(twilio, tmp_path, kind="whatsapp", webhook=WEBHOOK) as channel:
        message = twilio.text(f"whatsapp:{ANN}", f"whatsapp:{OURS}", "stop")
        webhook(channel, twilio.form(message, ProfileName="Ann  B", WaId=ANN[1:]))
        place = twilio.form(twilio.text(f"whatsapp:{ANN}", f"whatsapp:{OURS}", ""), Latitude="52.5", Longitude="13.4")
        webhook(channel, {**place, "Label": "Berlin"})
        await channel.until(lambda: len(channel.webhooks_done) == 2 or None)
        items = {item.key: item for batch in channel.batches for item in reversed(batch)}
    item = items[message["sid"]]
    assert (item.account, item.account_name, item.content) == (ANN[1:], "Ann B", "stop")
    assert items[place["MessageSid"]].content == "(The person sent a location: Berlin, latitude 52.5, longitude 13.4.)"


async def test_files(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """Pictures and documents are fetched, one message each; a file that no perception takes is described."""
    message = twilio.text(
        ANN, OURS, "look", ("image/jpeg", b"jpeg!"), ("application/pdf", b"%PDF"), ("video/3gpp", b"...")
    )
    async with opened(twilio, tmp_path, webhook=WEBHOOK) as channel:
        webhook(channel, twilio.form(message))
        await channel.until(lambda: channel.webhooks_done or None)
        image, document, video = channel.batches[-1][-3:]
    assert (image.kind, image.content, document.kind) == ("image", "look", "document")
    assert [item.key for item in (image, document, video)] == [message["sid"] + end for end in ("", ".01", ".02")]
    assert image.media
    assert document.media
    assert (channel.media / image.media).read_bytes() == b"jpeg!"
    assert (channel.media / document.media).read_bytes() == b"%PDF"
    assert "a video" in video.content
    assert "cannot be perceived" in video.content


async def test_files_of_polled_messages(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """The list does not include files, so they are requested."""
    twilio.text(ANN, OURS, "", ("image/png", b"png!"))
    async with opened(twilio, tmp_path) as channel:
        [item] = await channel.first()
    assert item.media
    assert (channel.media / item.media).read_bytes() == b"png!"


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data", "https://evil.example.org/x"])
async def test_files_elsewhere_are_not_fetched(twilio: TwilioEmulator, tmp_path: Path, target: str) -> None:
    """A redirect to a foreign host is not followed, and a note says that the file did not arrive."""
    twilio.redirect_to = target
    message = twilio.text(ANN, OURS, "look", ("image/jpeg", b"jpeg!"))
    async with opened(twilio, tmp_path, webhook=WEBHOOK) as channel:
        webhook(channel, twilio.form(message))
        [item] = await channel.first()
    assert (item.kind, item.media) == ("text", None)
    assert "could not be fetched: its address is not one of Twilio's" in item.content
    assert item.content.endswith("look")


async def test_files_get_credentials_from_twilio_only(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """The target of a redirect does not get the account's credentials."""
    twilio.redirect_to = twilio.url.replace("127.0.0.1", "localhost") + "/cdn/" + f"ME{2:032x}"
    message = twilio.text(ANN, OURS, "look", ("image/jpeg", b"jpeg!"))
    async with opened(twilio, tmp_path, webhook=WEBHOOK) as channel:
        webhook(channel, twilio.form(message))
        [item] = await channel.first()
    assert item.media, item.content
    # A slow machine may give the first download up and try again.
    fetched = [call for call in twilio.calls if call.path.startswith("/cdn/")]
    assert fetched
    assert not any("authorization" in call.headers for call in fetched)


async def test_stop_and_start(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """STOP, START and HELP belong to Twilio; between STOP and START she sends that person nothing."""
    async with opened(twilio, tmp_path, webhook=WEBHOOK) as channel:
        await channel.in_state("connected")
        webhook(channel, twilio.form(twilio.text(ANN, OURS, "HELP")))
        webhook(channel, twilio.form(twilio.text(ANN, OURS, " Stop ")))
        await channel.until(lambda: len(channel.webhooks_done) == 2 or None)
        channel.deliver("a belated answer", int(ANN))
        refused = await channel.outcome(1)
        assert not twilio.called("POST", "Messages.json")
        webhook(channel, twilio.form(twilio.text(ANN, OURS, "start")))
        await channel.until(lambda: len(channel.webhooks_done) == 3 or None)
        channel.deliver("hello again", int(ANN), seq=2)
        await channel.outcome(2)
    # The daemon keeps both; HELP is Twilio's alone.
    assert [(item.opt_out, item.account) for item in channel.items] == [(True, ANN[1:]), (False, ANN[1:])]
    assert getattr(refused, "blocked", False)
    assert [message["body"] for message in twilio.sent] == ["hello again"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"From=x",
        b"From=Shop&MessageSid=SM1&To=%2B15005550006",
        b"MessageSid=SM1&MessageStatus=failed&ErrorCode=%C2%B2",
    ],
)
async def test_requests_without_a_message_are_completed(twilio: TwilioEmulator, tmp_path: Path, body: bytes) -> None:
    """What nobody wrote, or nobody who can be answered, is logged and completed: it must not come back for ever."""
    async with opened(twilio, tmp_path, webhook=WEBHOOK) as channel:
        number = channel.webhook(body, "application/x-www-form-urlencoded")
        await channel.until(lambda: number in channel.webhooks_done or None)
    assert not channel.items


@pytest.mark.parametrize("count", ["", "abc", "1e3", "10.0", "0", "99", "-1"])
async def test_a_surprise_in_the_number_of_files(twilio: TwilioEmulator, tmp_path: Path, count: str) -> None:
    """The words and the files arrive, whatever number is given."""
    message = twilio.text(ANN, OURS, "look", ("image/jpeg", b"jpeg!"))
    async with opened(twilio, tmp_path, webhook=WEBHOOK, since=time.time() + 60) as channel:
        await channel.handled(webhook(channel, {**twilio.form(message), "NumMedia": count}))
    assert [(item.kind, item.content) for item in channel.items] == [("image", "look")]


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b"From=%2B15557654321&Body=\xff",
        b"&".join([b"a=1"] * 600),
        b"MessageSid=S%20M&From=%2B15557654321&To=%2B15005550006&Body=hello",
    ],
)
async def test_a_form_that_cannot_be_read(twilio: TwilioEmulator, tmp_path: Path, body: bytes) -> None:
    """It is not done: it is kept with the reason."""
    async with opened(twilio, tmp_path, webhook=WEBHOOK) as channel:
        number = channel.webhook(body, FORM)
        assert await channel.handled(number) == []
    assert ([one.number for one in channel.unread], channel.webhooks_done) == ([number], [])


async def test_a_row_with_surprises(twilio: TwilioEmulator, tmp_path: Path) -> None:
    """One odd row in the list holds up nobody's message."""
    odd = twilio.text(ANN, OURS, "odd")
    odd.update(num_media=None, status=None, error_code="x", price=None)
    twilio.text(ANN, OURS, "plain")
    twilio.text(ANN, OURS, "without an id")["sid"] = None
    async with opened(twilio, tmp_path) as channel:
        await channel.first(2)
    assert channel.texts == ["odd", "plain"]
