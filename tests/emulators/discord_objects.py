"""Accounts, bots, channels, messages and files, and their objects in Discord's API v10."""

from __future__ import annotations

import base64
import hashlib
import struct
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

EPOCH: Final = 1_420_070_400_000
"""Discord's first millisecond, from which snowflakes count."""

MESSAGE_CONTENT: Final = 1 << 15
GUILD_MEMBERS: Final = 1 << 1
GUILD_PRESENCES: Final = 1 << 8
PRIVILEGED: Final = {GUILD_PRESENCES: 1 << 13, GUILD_MEMBERS: 1 << 15, MESSAGE_CONTENT: 1 << 19}
"""A privileged intent, and the application flag that shows it as switched on (for an app under review size)."""

VOICE_MESSAGE: Final = 1 << 13
Json = dict[str, Any]
"""Any: one of Discord's JSON objects, only some of whose keys the emulator sets."""


class Account(msgspec.Struct):
    """A person or a bot."""

    id: int
    username: str
    bot: bool = False
    accepts_dms: bool = True
    """False: sending to this user is 403 50007."""


class Bot(msgspec.Struct):
    """An application with its bot user and token."""

    token: str
    account: Account
    privileged: int = 0
    """The privileged intents that its owner switched on in the portal."""
    revoked: bool = False


class Upload(msgspec.Struct):
    """A file as it is handed in."""

    filename: str
    data: bytes
    content_type: str = ""
    """Guessed from the name when empty, as Discord does."""
    duration: float | None = None
    """Seconds, of a voice message."""
    description: str | None = None
    size: int | None = None
    """Its declared size in bytes; None for the real one."""


class Attachment(msgspec.Struct):
    """A stored file."""

    id: int
    channel_id: int
    upload: Upload
    url: str


class Message(msgspec.Struct):
    """A stored message."""

    id: int
    channel_id: int
    author: Account
    content: str
    attachments: list[Attachment]
    embeds: list[Json]
    flags: int = 0
    nonce: str | int | None = None
    edited: datetime | None = None
    webhook_id: int | None = None
    mentions: list[Account] = []
    reply_to: int | None = None
    tts: bool = False


class Channel(msgspec.Struct):
    """A DM of one bot with one person, or a text channel of a guild."""

    id: int
    bot: Bot
    person: Account | None
    guild_id: int | None = None
    messages: list[Message] = []


def make_token(account_id: int) -> str:
    """A token in the real form: the bot's id, a time, and a signature, each in base 64."""
    first = base64.urlsafe_b64encode(str(account_id).encode()).decode().rstrip("=")
    return f"{first}.GaBcDe.{signature(account_id)[:38]}"


def signature(number: int) -> str:
    """A stable string that only the emulator makes."""
    return hashlib.sha256(f"discord-emulator-{number}".encode()).hexdigest()


def moment(snowflake: int) -> str:
    """The time inside an id, as Discord writes times."""
    return datetime.fromtimestamp(((snowflake >> 22) + EPOCH) / 1000, UTC).isoformat(timespec="microseconds")


def show_account(account: Account) -> Json:
    shown: Json = {
        "id": str(account.id),
        "username": account.username,
        "discriminator": "0001" if account.bot else "0",
        "global_name": None if account.bot else account.username.title(),
        "avatar": None,
        "avatar_decoration_data": None,
        "collectibles": None,
        "primary_guild": None,
        "clan": None,
        "public_flags": 0,
    }
    # Only bots carry the key.
    return {**shown, "bot": True} if account.bot else shown


def show_me(bot: Bot) -> Json:
    """The bot's own user, with the fields that only it sees."""
    own = {"verified": True, "mfa_enabled": False, "locale": "en-US", "email": None, "flags": 0}
    return {**show_account(bot.account), "banner": None, "accent_color": None, "bio": "", **own}


def application_flags(bot: Bot) -> int:
    return sum(flag for intent, flag in PRIVILEGED.items() if bot.privileged & intent)


def show_application(bot: Bot, owner: Account) -> Json:
    return {
        "id": str(bot.account.id),
        "name": bot.account.username,
        "icon": None,
        "description": "",
        "summary": "",
        "type": None,
        "bot": show_account(bot.account),
        "owner": show_account(owner),
        "team": None,
        "bot_public": True,
        "bot_require_code_grant": False,
        "rpc_origins": [],
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "approximate_guild_count": 0,
        "verify_key": signature(bot.account.id),
        "flags": application_flags(bot),
    }


def show_attachment(attachment: Attachment) -> Json:
    upload = attachment.upload
    shown: Json = {
        "id": str(attachment.id),
        "filename": upload.filename,
        "size": len(upload.data) if upload.size is None else upload.size,
        "url": attachment.url,
        "proxy_url": attachment.url,
    }
    if upload.content_type:
        shown["content_type"] = upload.content_type
    if upload.description:
        shown["description"] = upload.description
    if upload.data.startswith(b"\x89PNG") and len(upload.data) >= 24:
        shown["width"], shown["height"] = struct.unpack(">II", upload.data[16:24])
    if upload.duration is not None:
        wave = base64.b64encode(bytes(range(0, 256, 4))).decode()
        shown |= {"duration_secs": upload.duration, "waveform": wave}
    return shown


def show_channel(channel: Channel) -> Json:
    last = str(channel.messages[-1].id) if channel.messages else None
    shown: Json = {"id": str(channel.id), "last_message_id": last, "flags": 0}
    if channel.person is not None:
        return {**shown, "type": 1, "recipients": [show_account(channel.person)]}
    return {
        **shown,
        "type": 0,
        "guild_id": str(channel.guild_id),
        "name": "general",
        "position": 0,
        "permission_overwrites": [],
        "parent_id": None,
        "topic": None,
        "nsfw": False,
        "rate_limit_per_user": 0,
    }


def show_member(channel: Channel) -> Json:
    """A guild member without its user, as it comes with a message."""
    return {
        "roles": [],
        "nick": None,
        "avatar": None,
        "banner": None,
        "premium_since": None,
        "joined_at": moment(channel.id),
        "pending": False,
        "flags": 0,
        "mute": False,
        "deaf": False,
        "communication_disabled_until": None,
    }


def show_guild(channel: Channel) -> Json:
    """The data of GUILD_CREATE for a guild with one text channel."""
    guild = str(channel.guild_id)
    everyone = {"id": guild, "name": "@everyone", "permissions": "2248473465835073", "position": 0, "color": 0}
    everyone |= {
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }
    member = {**show_member(channel), "user": show_account(channel.bot.account)}
    names = ("emojis", "stickers", "features", "voice_states", "threads", "presences")
    empty: Json = {key: [] for key in names}
    return {
        **empty,
        "id": guild,
        "name": "Emulated guild",
        "icon": None,
        "splash": None,
        "banner": None,
        "description": None,
        "owner_id": str(channel.guild_id),
        "region": "deprecated",
        "afk_timeout": 300,
        "afk_channel_id": None,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "mfa_level": 0,
        "nsfw_level": 0,
        "premium_tier": 0,
        "preferred_locale": "en-US",
        "roles": [everyone],
        "channels": [show_channel(channel)],
        "members": [member],
        "member_count": 1,
        "large": False,
        "unavailable": False,
        "joined_at": moment(channel.id),
        "stage_instances": [],
        "guild_scheduled_events": [],
    }
