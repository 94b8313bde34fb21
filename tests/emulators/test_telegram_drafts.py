"""Drafts in the Telegram emulator, as the Bot API documents them.

https://core.telegram.org/bots/api#sendmessagedraft
"""

from __future__ import annotations

import pytest
from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramRetryAfter
from aiogram.types import MessageEntity

from tests.emulators.telegram import DRAFT_LASTS, TelegramEmulator
from tests.emulators.telegram_faults import FloodRule
from tests.emulators.telegram_people import Person


async def test_a_draft_until_the_message(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A draft grows, is no message, and goes when the message comes or after a while; an empty one is allowed."""
    ann.start()
    assert await bot.send_message_draft(ann.id, 7)
    assert telegram.draft(ann.id) == ""
    bold = [MessageEntity(type="bold", offset=0, length=4)]
    await bot.send_message_draft(ann.id, 7, text="half", entities=bold)
    assert telegram.draft(ann.id) == "half"
    assert [entity["type"] for entity in telegram.world.drafts[-1].entities] == ["bold"]
    assert telegram.draft(ann.id, at=telegram.world.drafts[-1].at + DRAFT_LASTS + 1) is None
    assert telegram.sent(ann.id) == []
    await bot.send_message(ann.id, "half and half")
    assert telegram.draft(ann.id) is None
    await bot.send_message_draft(ann.id, 8, text="late")
    assert telegram.draft(ann.id) == "late"


async def test_drafts_that_are_refused(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """No draft in a group, without an id, too long, in a topic that is not there, for a stranger, or too many."""
    with pytest.raises(TelegramForbiddenError, match="can't initiate conversation"):
        await bot.send_message_draft(ann.id, 7, text="x")
    ann.start()
    group = telegram.group("friends")
    with pytest.raises(TelegramBadRequest, match="TEXTDRAFT_PEER_INVALID"):
        await bot.send_message_draft(group.id, 7, text="x")
    with pytest.raises(TelegramBadRequest, match="non-zero"):
        await bot.send_message_draft(ann.id, 0, text="x")
    with pytest.raises(TelegramBadRequest, match="message is too long"):
        await bot.send_message_draft(ann.id, 7, text="x" * 4097)
    with pytest.raises(TelegramBadRequest, match="message thread not found"):
        await bot.send_message_draft(ann.id, 7, message_thread_id=77, text="x")
    telegram.flood(FloodRule(burst=1))
    await bot.send_message_draft(ann.id, 7, text="x")
    with pytest.raises(TelegramRetryAfter):
        await bot.send_message_draft(ann.id, 7, text="x")


async def test_the_button_below_a_draft(bot: Bot, telegram: TelegramEmulator, ann: Person) -> None:
    """A person stops a draft that has the button; only such a draft can be stopped."""
    ann.start()
    await bot.send_message_draft(ann.id, 7, text="x")
    with pytest.raises(ValueError, match="no button"):
        ann.stop_draft()
    await bot.send_message_draft(ann.id, 7, text="x", can_stop=True)
    ann.stop_draft()
    stopped = (await bot.get_updates(offset=-1))[0].stopped_message_generation
    assert stopped
    assert (stopped.draft_id, stopped.chat.id) == (7, ann.id)
