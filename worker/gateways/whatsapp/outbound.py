"""Her messages to WhatsApp: few and long, since one person may be sent one in six seconds."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from proto.gateways import Deliver
from worker.base.log import WorkerLog
from worker.gateways import Report
from worker.gateways.common.budget import Budget
from worker.gateways.common.rest import PROVIDER_ERRORS, Refusal, Trouble, understood
from worker.gateways.common.sending import MARK, Fate, Part, Sender, UnsendableError
from worker.gateways.common.splitting import Rich, split_rich
from worker.gateways.twilio.sms_text import plain
from worker.gateways.whatsapp.api import PAIR, PROVIDER, VERSION, Meta, fate
from worker.gateways.whatsapp.inbound import key_of

MAX_MESSAGE: Final = 4096 - len(MARK)
"""Characters (Meta, text messages), with room for the mark."""

MAX_CAPTION: Final = 1024 - len(MARK)
LONG: Final = 8000
"""Characters from which a text is cut on a thread, so that the loop goes on."""

MAX_AUDIO: Final = 16 * 1024 * 1024
MAX_IMAGE: Final = 5 * 1024 * 1024
"""Bytes (Meta, media)."""

UPLOAD_TIMEOUT: Final = 120.0
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
"""Seconds before typing is shown again; WhatsApp shows it for 25."""

MAX_CHATS: Final = 1000
MAX_PAIR_WAIT: Final = 256.0


class _Sent(msgspec.Struct):
    id: str


class _Answer(msgspec.Struct):
    messages: list[_Sent] = []


class _Uploaded(msgspec.Struct):
    id: str


class MetaSender(Sender):
    """Sends for one number."""

    def __init__(
        self,
        meta: Meta,
        budget: Budget,
        folder: Path,
        report: Callable[[Report], None],
        refused: Callable[[Trouble], None],
        log: WorkerLog,
    ) -> None:
        super().__init__(PROVIDER, budget, report, refused, log)
        self._meta = meta
        self._folder = folder
        self._path = f"{VERSION}/{meta.number_id}/messages"
        self._last: OrderedDict[str, str] = OrderedDict()
        self._typed: dict[str, float] = {}
        self._crowded: dict[str, int] = {}

    async def parts(self, message: Deliver) -> list[Part]:
        """A message as texts and its file; a picture's short text goes with it."""
        text = message.content
        cut = _cut(text) if len(text) <= LONG else await asyncio.to_thread(_cut, text)
        if message.media is None:
            return [Part(piece) for piece in cut]
        file = self._folder / message.media
        if message.kind == "image" and sum(map(len, cut)) <= MAX_CAPTION:
            return [Part("\n".join(cut), file)]
        return [Part("", file)] if message.kind == "audio" else [Part("", file), *(Part(piece) for piece in cut)]

    async def send(self, chat: str, part: Part) -> str:
        """Send one message and return its id, as short as ``key_of`` makes it."""
        content = await self._file(part) if part.file else _text(part.text)
        body = {"messaging_product": "whatsapp", "recipient_type": "individual", **_to(chat), **content}
        answer = understood(await self._meta.ask("POST", self._path, json=body), _Answer)
        self._crowded.pop(chat, None)
        return key_of(answer.messages[0].id) if answer.messages else ""

    def fate(self, error: Exception, chat: str) -> Fate:
        """Say of what kind a failure is; the pause for one person grows fourfold (Meta, pair rate limits)."""
        if isinstance(error, Refusal) and error.code == PAIR:
            self._crowded[chat] = self._crowded.get(chat, 0) + 1
            wait = min(4.0 ** self._crowded[chat], MAX_PAIR_WAIT)
            told = f"WhatsApp asks to wait before this person is sent more ({PAIR})."
            return Fate(Trouble("throttle", told, "", wait))
        return fate(error)

    def heard(self, chat: str, message_id: str) -> None:
        """The last message of a chat, to be marked as read."""
        self._last[chat] = message_id
        self._last.move_to_end(chat)
        self._typed.pop(chat, None)
        if len(self._last) > MAX_CHATS:
            gone, _ = self._last.popitem(last=False)
            self._typed.pop(gone, None)

    def may_type(self, chat: str) -> bool:
        """Whether typing is worth showing: somebody wrote, and it is not shown already."""
        now = asyncio.get_running_loop().time()
        if chat not in self._last or now - self._typed.get(chat, -TYPING_FOR) < TYPING_FOR:
            return False
        self._typed[chat] = now
        return True

    async def mark_read(self, chat: str, *, typing: bool) -> None:
        """Show that the last message is read, and that she is thinking. A failure is only logged."""
        body: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "status": "read",
            "message_id": self._last.get(chat, ""),
        }
        if typing:
            body["typing_indicator"] = {"type": "text"}
        try:
            await self._meta.ask("POST", self._path, json=body)
        except PROVIDER_ERRORS as error:
            self.log.debug("meta.not_marked", reason=fate(error).trouble.reason)

    async def _file(self, part: Part) -> dict[str, Any]:
        """Upload a file; returns the message that shows it (Any: its JSON)."""
        assert part.file
        kind = TYPES.get(part.file.suffix.lower(), "")
        family = kind.partition("/")[0]
        if family not in ("image", "audio"):
            raise UnsendableError(f"WhatsApp does not take files of the kind {part.file.suffix}.")
        data = await asyncio.to_thread(_read, part.file, MAX_AUDIO if family == "audio" else MAX_IMAGE)
        form = aiohttp.FormData()
        form.add_field("messaging_product", "whatsapp")
        form.add_field("type", kind)
        form.add_field("file", data, filename=part.file.name, content_type=kind)
        path = f"{VERSION}/{self._meta.number_id}/media"
        media = understood(await self._meta.ask("POST", path, form=form, timeout=UPLOAD_TIMEOUT), _Uploaded)
        shown: dict[str, Any] = {"id": media.id}
        if part.text and family == "image":
            shown["caption"] = part.text
        return {"type": family, family: shown}


def _text(text: str) -> dict[str, Any]:
    """A text message (Any: its JSON). A previewed link is fetched, which could carry out what nobody clicked on."""
    return {"type": "text", "text": {"preview_url": False, "body": text}}


def _to(chat: str) -> dict[str, str]:
    """Whom a message goes to: a number, or the id of somebody who shows none."""
    return {"to": chat} if chat.isdigit() else {"recipient": chat}


def _cut(markdown: str) -> list[str]:
    return [piece.text for piece in split_rich(Rich(plain(markdown)), MAX_MESSAGE)]


def _read(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise UnsendableError(
                f"The file that she made is over {limit // 1_048_576} MB, which WhatsApp does not take."
            )
        return path.read_bytes()
    except OSError as error:
        raise UnsendableError(f"The file that she made cannot be read: {error.strerror}.") from error
