"""Sends her messages to WhatsApp: few and long ones, since a person may be sent only one every six seconds."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from proto.gateways import Deliver, Gateway
from worker.base.log import WorkerLog
from worker.gateways.common.budget import Pace
from worker.gateways.common.link import Report
from worker.gateways.common.markdown import plain
from worker.gateways.common.rest import UPLOAD_TIMEOUT, understood
from worker.gateways.common.sending import MARK, Part, Sender, UnsendableError
from worker.gateways.common.splitting import Rich, split_rich
from worker.gateways.common.trouble import PROVIDER_ERRORS, Refusal, Trouble
from worker.gateways.whatsapp.account import PAIR, VERSION, Meta
from worker.gateways.whatsapp.batch import key_of

MAX_MESSAGE: Final = 4096 - len(MARK)
"""Characters (https://developers.facebook.com/docs/whatsapp/cloud-api/messages/text-messages)."""

MAX_CAPTION: Final = 1024 - len(MARK)
MAX_AUDIO: Final = 16 * 1024 * 1024
MAX_IMAGE: Final = 5 * 1024 * 1024
"""Bytes (https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types)."""

TYPES: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
}
TYPING_FOR: Final = 20.0
"""Seconds before typing is shown again; WhatsApp shows it for 25 s
(https://developers.facebook.com/docs/whatsapp/cloud-api/typing-indicators)."""

MAX_CHATS: Final = 1000
MAX_PAIR_WAIT: Final = 256.0


class _Sent(msgspec.Struct):
    id: str


class _Answer(msgspec.Struct):
    messages: list[_Sent] = []


class _Uploaded(msgspec.Struct):
    id: str


class MetaSender(Sender[Meta]):
    """Sends for one number."""

    # One message to a person every six seconds, with a burst borrowed from the next ones
    # (https://developers.facebook.com/docs/whatsapp/cloud-api/overview#pair-rate-limits); 80 per second from a number
    # (https://developers.facebook.com/docs/whatsapp/cloud-api/overview#throughput).
    chat_pace = Pace(rate=1 / 6, burst=10.0)
    bot_pace = Pace(rate=70.0, burst=70.0)
    max_message = MAX_MESSAGE
    max_caption = MAX_CAPTION

    def __init__(
        self,
        gateway: Gateway,
        account: Meta,
        folder: Path,
        report: Callable[[Report], None],
        refused: Callable[[Trouble], None],
        log: WorkerLog,
    ) -> None:
        super().__init__(gateway, account, folder, report, refused, log)
        self._path = f"{VERSION}/{account.number_id}/messages"
        self._last: OrderedDict[str, str] = OrderedDict()
        self._typed: dict[str, float] = {}
        self._crowded: dict[str, int] = {}

    def cut(self, markdown: str) -> list[Rich]:
        return split_rich(Rich(plain(markdown)), MAX_MESSAGE)

    def arrange(self, message: Deliver, cut: list[Rich]) -> list[Part]:
        """Send a picture with its text if that is short. A voice message goes alone, since it speaks the text."""
        parts = super().arrange(message, cut)
        return [part._replace(text="") for part in parts if part.file] if message.kind == "audio" else parts

    async def send(self, chat: str, part: Part) -> str:
        """Send one message and return its id as a key (``key_of``)."""
        content = await self._file(part) if part.file else _text(part.text)
        body = {"messaging_product": "whatsapp", "recipient_type": "individual", **_to(chat), **content}
        answer = understood(await self.account.ask("POST", self._path, json=body), _Answer)
        self._crowded.pop(chat, None)
        return key_of(answer.messages[0].id) if answer.messages else ""

    def trouble(self, error: Exception, chat: str) -> Trouble:
        """Say what a failed send means. The pause for one person grows fourfold each time.

        https://developers.facebook.com/docs/whatsapp/cloud-api/overview#pair-rate-limits
        """
        if isinstance(error, Refusal) and error.code == PAIR:
            self._crowded[chat] = self._crowded.get(chat, 0) + 1
            wait = min(4.0 ** self._crowded[chat], MAX_PAIR_WAIT)
            reason = f"WhatsApp asks us to wait before this person is sent more ({PAIR})."
            return Trouble("throttle", reason, retry_after=wait)
        return super().trouble(error, chat)

    def heard(self, chat: str, message_id: str) -> None:
        """Remember the last message of a chat, for ``mark_read`` and ``show_typing``."""
        self._last[chat] = message_id
        self._last.move_to_end(chat)
        self._typed.pop(chat, None)
        if len(self._last) > MAX_CHATS:
            gone, _ = self._last.popitem(last=False)
            self._typed.pop(gone, None)

    def may_type(self, chat: str) -> bool:
        """Whether typing can be shown, which needs a message to refer to, and is not being shown already."""
        now = asyncio.get_running_loop().time()
        if chat not in self._last or now - self._typed.get(chat, -TYPING_FOR) < TYPING_FOR:
            return False
        self._typed[chat] = now
        return True

    async def show_typing(self, chat: str) -> None:
        await self._mark(chat, typing_indicator={"type": "text"})

    async def mark_read(self, chat: str) -> None:
        """Mark the last message as read. A failure is only logged."""
        try:
            await self._mark(chat)
        except PROVIDER_ERRORS as error:
            self.log.debug("meta.not_marked", reason=self.account.trouble(error).reason)

    async def _mark(self, chat: str, **more: dict[str, str]) -> None:
        """Mark the last message as read (https://developers.facebook.com/docs/whatsapp/cloud-api/typing-indicators)."""
        message = {"messaging_product": "whatsapp", "status": "read", "message_id": self._last.get(chat, "")}
        await self.account.ask("POST", self._path, json=message | more)

    async def _file(self, part: Part) -> dict[str, Any]:
        """Upload a file and return the body of the message that shows it (Any: its JSON).

        https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#upload-media
        """
        assert part.file
        kind = TYPES.get(part.file.suffix.lower(), "")
        family = kind.partition("/")[0]
        if family not in ("image", "audio"):
            raise UnsendableError(f"WhatsApp does not accept {part.file.suffix} files.")
        data = await self.content(part.file, MAX_AUDIO if family == "audio" else MAX_IMAGE)
        form = aiohttp.FormData()
        form.add_field("messaging_product", "whatsapp")
        form.add_field("type", kind)
        form.add_field("file", data, filename=part.file.name, content_type=kind)
        path = f"{VERSION}/{self.account.number_id}/media"
        media = understood(await self.account.ask("POST", path, form=form, timeout=UPLOAD_TIMEOUT), _Uploaded)
        shown: dict[str, Any] = {"id": media.id}
        if part.text and family == "image":
            shown["caption"] = part.text
        return {"type": family, family: shown}


def _text(text: str) -> dict[str, Any]:
    """Return the body of a text message (Any: its JSON). Without a link preview, since fetching a link could leak data.

    https://developers.facebook.com/docs/whatsapp/cloud-api/messages/text-messages
    """
    return {"type": "text", "text": {"preview_url": False, "body": text}}


def _to(chat: str) -> dict[str, str]:
    """Return the recipient's field: their number, or the user id of a person who does not show one."""
    return {"to": chat} if chat.isdigit() else {"recipient": chat}
