"""Discord's state: accounts, messages, and who may read them."""

from __future__ import annotations

import mimetypes
import time
from typing import Final

from tests.emulators.discord_objects import (
    EPOCH,
    Account,
    Attachment,
    Bot,
    Channel,
    Json,
    Message,
    Upload,
    make_token,
    moment,
    show_account,
    show_attachment,
    show_member,
    signature,
)

NONCE_WINDOW: Final = 300.0
"""Seconds in which ``enforce_nonce`` finds the earlier message; the documentation says "a few minutes"."""


class World:
    """All state that survives a connection; touched only on the emulator's loop."""

    def __init__(self) -> None:
        self.base = ""
        self.files = ""
        """The base URL of attachments, "" for this server."""
        self.accounts: dict[int, Account] = {}
        self.bots: dict[str, Bot] = {}
        self.channels: dict[int, Channel] = {}
        self.attachments: dict[int, Attachment] = {}
        self._nonces: dict[tuple[int, int, str], tuple[float, Message]] = {}
        self._last = 0

    def snowflake(self) -> int:
        """The next id: milliseconds, and a counter so that ids always rise."""
        self._last = max(self._last + 1, (int(time.time() * 1000) - EPOCH) << 22)
        return self._last

    def add_account(self, username: str, *, bot: bool = False) -> Account:
        account = Account(self.snowflake(), username, bot)
        self.accounts[account.id] = account
        return account

    def add_bot(self, token: str, name: str, privileged: int) -> Bot:
        account = self.add_account(name, bot=True)
        token = token or make_token(account.id)
        self.bots[token] = Bot(token, account, privileged)
        return self.bots[token]

    def bot(self, token: str) -> Bot | None:
        """The bot of a valid token, with or without its ``Bot`` scheme."""
        bot = self.bots.get(token.removeprefix("Bot "))
        return None if bot is None or bot.revoked else bot

    def dm(self, bot: Bot, person: Account) -> tuple[Channel, bool]:
        """The one DM of these two, and whether it is new."""
        for channel in self.channels.values():
            if channel.person is person and channel.bot is bot:
                return channel, False
        channel = Channel(self.snowflake(), bot, person)
        self.channels[channel.id] = channel
        return channel, True

    def add_guild(self, bot: Bot) -> Channel:
        """A guild with this bot in it; returns its one text channel."""
        channel = Channel(self.snowflake(), bot, None, guild_id=self.snowflake())
        self.channels[channel.id] = channel
        return channel

    def guilds(self, bot: Bot) -> list[Channel]:
        return [channel for channel in self.channels.values() if channel.guild_id and channel.bot is bot]

    def store(self, channel: Channel, author: Account, content: str, uploads: list[Upload]) -> Message:
        """Append a message; its other fields are the caller's to fill."""
        message = Message(self.snowflake(), channel.id, author, content, [], [])
        message.attachments = [self._attach(channel.id, upload) for upload in uploads]
        named = (self.accounts[number] for number in sorted(self.accounts))
        message.mentions = [account for account in named if f"<@{account.id}>" in content]
        channel.messages.append(message)
        return message

    def repeated(self, channel: Channel, author: Account, nonce: str | int) -> Message | None:
        """The message that already has this enforced nonce, within the window."""
        at, message = self._nonces.get((channel.id, author.id, str(nonce)), (0.0, None))
        return message if time.monotonic() - at < NONCE_WINDOW else None

    def remember(self, message: Message) -> None:
        """Keep a message's nonce for repeats."""
        self._nonces[message.channel_id, message.author.id, str(message.nonce)] = time.monotonic(), message

    def find(self, channel: Channel, message_id: int) -> Message | None:
        return next((message for message in channel.messages if message.id == message_id), None)

    def reads(self, bot: Bot, channel: Channel, message: Message, *, content: bool) -> bool:
        """Whether a bot sees a message's content: by intent, in DMs, its own, or where it is mentioned."""
        return content or channel.guild_id is None or message.author is bot.account or bot.account in message.mentions

    def show(self, message: Message, bot: Bot, *, content: bool) -> Json:
        """A message object as this bot gets it."""
        channel = self.channels[message.channel_id]
        seen = self.reads(bot, channel, message, content=content)
        shown: Json = {
            "type": 19 if message.reply_to else 0,
            "content": message.content if seen else "",
            "mentions": [show_account(account) for account in message.mentions],
            "mention_roles": [],
            "attachments": [show_attachment(attachment) for attachment in message.attachments] if seen else [],
            "embeds": message.embeds if seen else [],
            "timestamp": moment(message.id),
            "edited_timestamp": message.edited.isoformat() if message.edited else None,
            "flags": message.flags,
            "components": [],
            "id": str(message.id),
            "channel_id": str(message.channel_id),
            "author": show_account(message.author),
            "pinned": False,
            "mention_everyone": False,
            "tts": message.tts,
        }
        if message.nonce is not None:
            shown["nonce"] = message.nonce
        if message.webhook_id is not None:
            shown["webhook_id"] = str(message.webhook_id)
            shown["author"] = {**shown["author"], "id": str(message.webhook_id), "bot": True}
        if message.reply_to:
            shown["message_reference"] = {
                "type": 0,
                "channel_id": str(message.channel_id),
                "message_id": str(message.reply_to),
            }
            original = self.find(channel, message.reply_to)
            shown["referenced_message"] = self.show(original, bot, content=content) if original else None
        return shown

    def show_event(self, message: Message, bot: Bot, *, content: bool) -> Json:
        """A message as the gateway sends it: with its channel's type, and guild fields only in a guild."""
        channel = self.channels[message.channel_id]
        shown = self.show(message, bot, content=content)
        shown["channel_type"] = 0 if channel.guild_id else 1
        if channel.guild_id:
            shown["guild_id"] = str(channel.guild_id)
            if message.webhook_id is None:
                shown["member"] = show_member(channel)
        return shown

    def _attach(self, channel_id: int, upload: Upload) -> Attachment:
        upload.content_type = upload.content_type or mimetypes.guess_type(upload.filename)[0] or ""
        number = self.snowflake()
        # The real links are signed and run out; without their query they are 404.
        query = f"ex={int(time.time()) + 86_400:x}&is={int(time.time()):x}&hm={signature(number)}&"
        url = f"{self.files or self.base}/attachments/{channel_id}/{number}/{upload.filename}?{query}"
        attachment = Attachment(number, channel_id, upload, url)
        self.attachments[number] = attachment
        return attachment
