"""The Bot API's methods, except getUpdates, which waits and so belongs to the server."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

from tests.emulators.telegram_entities import EntityError, detect, mode_of, trim, units
from tests.emulators.telegram_faults import FloodRule
from tests.emulators.telegram_media import read_media
from tests.emulators.telegram_params import Params
from tests.emulators.telegram_world import ApiError, Bot, Chat, Draft, Json, StoredFile, World

LARGEST_DOWNLOAD: Final = 20 * 1024 * 1024
WEBHOOK_SET: Final = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)
NOT_MODIFIED: Final = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a "
    "current content and reply markup of the message"
)
ACTIONS: Final = frozenset(
    f"{verb}_{what}"
    for verb, things in (("upload", "photo video voice document video_note"), ("record", "video voice video_note"))
    for what in things.split()
) | {"typing", "choose_sticker", "find_location"}


class Methods:
    """Answers calls from the world's state; every method returns the result or raises ApiError."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.flood: FloodRule | None = None
        self.end_poll: Callable[[Bot, ApiError], None] = lambda _bot, _error: None
        named: dict[str, Callable[[Bot, Params], Any]] = {
            "getMe": self._get_me,
            "deleteWebhook": self._delete_webhook,
            "setWebhook": self._set_webhook,
            "getWebhookInfo": self._get_webhook_info,
            "setMyCommands": self._set_my_commands,
            "getMyCommands": lambda bot, _params: bot.commands,
            "sendMessage": self._send_message,
            "sendMessageDraft": self._send_message_draft,
            "editMessageText": self._edit_message_text,
            "deleteMessage": self._delete_message,
            "sendChatAction": self._send_chat_action,
            "sendPhoto": lambda bot, params: self._send_media("photo", bot, params),
            "sendVoice": lambda bot, params: self._send_media("voice", bot, params),
            "sendAudio": lambda bot, params: self._send_media("audio", bot, params),
            "sendDocument": lambda bot, params: self._send_media("document", bot, params),
            "getFile": self._get_file,
            "getChat": self._get_chat,
            "answerCallbackQuery": self._answer_callback_query,
            "close": lambda _bot, _params: True,
            "logOut": self._log_out,
        }
        self.by_name = {name.lower(): (name, method) for name, method in named.items()}

    def _get_me(self, bot: Bot, _params: Params) -> Json:
        reads = {"can_join_groups": True, "can_read_all_group_messages": bot.reads_groups}
        return {**bot.as_user(), **reads, "supports_inline_queries": False, "has_main_web_app": False}

    def _delete_webhook(self, bot: Bot, params: Params) -> bool:
        bot.webhook = {}
        self._drop_pending(bot, params)
        return True

    def _set_webhook(self, bot: Bot, params: Params) -> bool:
        """Store a webhook; the emulator never calls it, so updates only pile up."""
        url, secret = params.text("url"), params.text("secret_token")
        if url and not url.startswith("https://"):
            raise ApiError(400, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook")
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,256}", secret):
            raise ApiError(400, "Bad Request: secret token contains unallowed characters")
        if (allowed := params.parsed("allowed_updates")) is not None:
            bot.updates.allow(allowed)
        bot.webhook = {"url": url, "max_connections": params.number("max_connections", 40)} if url else {}
        self._drop_pending(bot, params)
        if url:
            self.end_poll(bot, ApiError(409, "Conflict: terminated by setWebhook request"))
        return True

    def _drop_pending(self, bot: Bot, params: Params) -> None:
        if params.flag("drop_pending_updates"):
            bot.updates.pending.clear()

    def _get_webhook_info(self, bot: Bot, _params: Params) -> Json:
        waiting = {"has_custom_certificate": False, "pending_update_count": len(bot.updates.pending)}
        return {"url": "", **bot.webhook, **waiting}

    def _set_my_commands(self, bot: Bot, params: Params) -> bool:
        commands = params.parsed("commands") or []
        for command in commands:
            if not re.fullmatch(r"[a-z0-9_]{1,32}", command.get("command", "").removeprefix("/")):
                raise ApiError(400, "Bad Request: BOT_COMMAND_INVALID")
        bot.commands = commands
        return True

    def _send_message(self, bot: Bot, params: Params) -> Json:
        chat = self._chat_to_write(bot, params)
        content = self._text(params, "text", 4096, "message is too long")
        if not content:
            raise ApiError(400, "Bad Request: message text is empty")
        return self._send(bot, chat, "sendMessage", params, content)

    def _send_message_draft(self, bot: Bot, params: Params) -> bool:
        """Show a draft. It may be empty, and belongs into a private chat."""
        chat = self._chat_to_write(bot, params)
        if chat.type != "private":
            raise ApiError(400, "Bad Request: TEXTDRAFT_PEER_INVALID")
        if not (number := params.number("draft_id")):
            raise ApiError(400, "Bad Request: draft identifier must be non-zero")
        content = self._text(params, "text", 4096, "message is too long")
        topic = self._topic(chat, params).get("message_thread_id", 0)
        if self.flood:
            self.flood.check(bot.token, chat.id)
        words, entities = content.get("text", ""), content.get("entities", [])
        can_stop = params.flag("can_stop")
        self.world.put_draft(Draft(chat.id, topic, number, words, entities, bot, time.time(), can_stop))
        return True

    def _send_media(self, kind: str, bot: Bot, params: Params) -> Json:
        chat = self._chat_to_write(bot, params)
        content = read_media(self.world, kind, params)
        content |= self._text(params, "caption", 1024, "message caption is too long")
        return self._send(bot, chat, f"send{kind.capitalize()}", params, content)

    def _send(self, bot: Bot, chat: Chat, method: str, params: Params, content: Json) -> Json:
        extra: Json = self._topic(chat, params)
        reply = params.parsed("reply_parameters") or {}
        if number := reply.get("message_id") or params.number("reply_to_message_id"):
            replied = self.world.message(bot, chat, int(number))
            if replied:
                extra["reply_to_message"] = {k: v for k, v in replied.items() if k != "reply_to_message"}
            elif not (reply.get("allow_sending_without_reply") or params.flag("allow_sending_without_reply")):
                raise ApiError(400, "Bad Request: message to be replied not found")
        for name in ("link_preview_options", "reply_markup"):
            if (value := params.parsed(name)) and (name != "reply_markup" or "inline_keyboard" in value):
                extra[name] = value
        if self.flood:
            self.flood.check(bot.token, chat.id)
        return self.world.put_sent(bot, chat, method, {**content, **extra})

    def _topic(self, chat: Chat, params: Params) -> Json:
        topic = params.number("message_thread_id")
        if topic and topic not in chat.topics:
            raise ApiError(400, "Bad Request: message thread not found")
        return {"message_thread_id": topic, "is_topic_message": True} if topic else {}

    def _text(self, params: Params, name: str, limit: int, too_long: str) -> Json:
        """The text (or caption) with its entities, or nothing when it is empty."""
        prefix = "caption_" if name == "caption" else ""
        text, entities = params.text(name), params.parsed(f"{prefix}entities") or []
        if mode := params.text("parse_mode"):
            parse = mode_of(mode)
            if not parse:
                raise ApiError(400, "Bad Request: unsupported parse_mode")
            try:
                text, entities = parse(text)
            except EntityError as error:
                raise ApiError(400, f"Bad Request: can't parse entities: {error}") from error
        text, entities = trim(text, entities)
        if units(text) > limit:
            raise ApiError(400, f"Bad Request: {too_long}")
        entities = detect(text, entities)
        return {name: text, **({f"{prefix}entities": entities} if entities else {})} if text else {}

    def _edit_message_text(self, bot: Bot, params: Params) -> Json:
        chat = self._chat_to_write(bot, params)
        content = self._text(params, "text", 4096, "message is too long")
        if not content:
            raise ApiError(400, "Bad Request: message text is empty")
        with self.world.changed:
            message = self.world.message(bot, chat, params.number("message_id"))
            if not message:
                raise ApiError(400, "Bad Request: message to edit not found")
            if message["from"]["id"] != bot.id or "text" not in message:
                raise ApiError(400, "Bad Request: message can't be edited")
            markup = params.parsed("reply_markup")
            kept = {k: v for k, v in message.items() if k not in ("text", "entities", "reply_markup", "edit_date")}
            edited = {**kept, **content, **({"reply_markup": markup} if markup else {})}
            if edited == {key: value for key, value in message.items() if key != "edit_date"}:
                raise ApiError(400, NOT_MODIFIED)
            edited["edit_date"] = int(time.time())
            self.world.change_message(bot, chat, edited)
        return edited

    def _delete_message(self, bot: Bot, params: Params) -> bool:
        chat = self._chat_to_write(bot, params)
        with self.world.changed:
            if not self.world.message(bot, chat, params.number("message_id")):
                raise ApiError(400, "Bad Request: message to delete not found")
            self.world.delete_message(bot, chat, params.number("message_id"))
        return True

    def _send_chat_action(self, bot: Bot, params: Params) -> bool:
        chat = self._chat_to_write(bot, params)
        if (action := params.text("action")) not in ACTIONS:
            raise ApiError(400, "Bad Request: wrong parameter action in request")
        self._topic(chat, params)
        with self.world.changed:
            self.world.actions.append((chat.id, action, time.time()))
            self.world.changed.notify_all()
        return True

    def _get_file(self, bot: Bot, params: Params) -> Json:
        if not params.text("file_id"):
            raise ApiError(400, "Bad Request: file_id not specified")
        stored: StoredFile | None = self.world.files.get(params.text("file_id"))
        if not stored:
            raise ApiError(400, "Bad Request: invalid file_id")
        if stored.size > LARGEST_DOWNLOAD:
            raise ApiError(400, "Bad Request: file is too big")
        self.world.links[f"{bot.token}/{stored.path}"] = stored
        return {**stored.as_json(), "file_path": stored.path}

    def _get_chat(self, bot: Bot, params: Params) -> Json:
        chat = self._chat(bot, params)
        if chat.type == "private" and chat.id not in bot.met:
            raise ApiError(400, "Bad Request: chat not found")
        gifts = dict.fromkeys(
            ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), True
        )
        return {**chat.as_json(), "accent_color_id": 1, "max_reaction_count": 11, "accepted_gift_types": gifts}

    def _answer_callback_query(self, bot: Bot, params: Params) -> bool:
        number = params.text("callback_query_id")
        with self.world.changed:
            if number not in bot.queries:
                text = "query is too old and response timeout expired or query ID is invalid"
                raise ApiError(400, f"Bad Request: {text}")
            bot.queries.discard(number)
            self.world.changed.notify_all()
        return True

    def _log_out(self, bot: Bot, _params: Params) -> bool:
        bot.logged_out = True
        return True

    def _chat(self, bot: Bot, params: Params) -> Chat:
        given = params.text("chat_id")
        if not given:
            raise ApiError(400, "Bad Request: chat_id is empty")
        chat = self.world.chats.get(params.number("chat_id"))
        if not chat:
            raise ApiError(400, "Bad Request: chat not found")
        if chat.type != "private" and bot not in chat.bots:
            raise ApiError(403, f"Forbidden: bot is not a member of the {chat.type} chat")
        return chat

    def _chat_to_write(self, bot: Bot, params: Params) -> Chat:
        chat = self._chat(bot, params)
        if chat.id in bot.blocked_by:
            raise ApiError(403, "Forbidden: bot was blocked by the user")
        if chat.type == "private" and chat.id not in bot.met:
            raise ApiError(403, "Forbidden: bot can't initiate conversation with a user")
        return chat
