"""Sends her messages to Discord: Markdown unchanged, with a nonce by which Discord detects a repetition."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import aiohttp
import msgspec

from worker.gateways.common.budget import Pace
from worker.gateways.common.rest import UPLOAD_TIMEOUT
from worker.gateways.common.sending import MARK, Part, Sender
from worker.gateways.common.splitting import Rich, split_markdown
from worker.gateways.discord.account import Discord

MAX_MESSAGE: Final = 2000 - len(MARK)
"""Characters (https://discord.com/developers/docs/resources/message#create-message)."""

MAX_UPLOAD: Final = 10 * 1024 * 1024
"""Bytes (https://discord.com/developers/docs/reference#uploading-files)."""

NONCE_CHARS: Final = 25
SUPPRESS_EMBEDS: Final = 1 << 2
"""Discord would fetch a link to preview it, so a link that a mind was tricked into writing could leak data
(https://discord.com/developers/docs/resources/message#message-object-message-flags)."""


class DiscordSender(Sender[Discord]):
    """Sends for one bot."""

    # Discord's headers show five messages per five seconds in a chat; it allows 50 requests per second in all
    # (https://discord.com/developers/docs/topics/rate-limits).
    chat_pace = Pace(rate=1.0, burst=5.0)
    bot_pace = Pace(rate=40.0, burst=40.0)
    max_message = max_caption = MAX_MESSAGE
    shows_typing = True

    def cut(self, markdown: str) -> list[Rich]:
        return [Rich(piece) for piece in split_markdown(markdown, MAX_MESSAGE)]

    async def show_typing(self, chat: str) -> None:
        """Show typing for 10 s (https://discord.com/developers/docs/resources/channel#trigger-typing-indicator)."""
        await self.account.ask("POST", f"/channels/{chat}/typing")

    async def send(self, chat: str, part: Part) -> str:
        """Send one part. Returns no id: Discord sends no receipts that would refer to it.

        The nonce is the same at each try, so Discord answers a repetition with the message that it already has
        (https://discord.com/developers/docs/resources/message#create-message).
        """
        # Any: the message's JSON.
        body: dict[str, Any] = {
            "content": part.text,
            "flags": SUPPRESS_EMBEDS,
            "allowed_mentions": {"parse": []},
        }
        if part.key:
            body |= {"nonce": nonce(part.key), "enforce_nonce": True}
        path = f"/channels/{chat}/messages"
        if part.file is None:
            await self.account.ask("POST", path, json=body)
            return ""
        data = await self.content(part.file, MAX_UPLOAD)
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("payload_json", msgspec.json.encode(body).decode(), content_type="application/json")
        form.add_field("files[0]", data, filename=part.file.name, content_type="application/octet-stream")
        await self.account.ask("POST", path, form=form, timeout=UPLOAD_TIMEOUT)
        return ""


def nonce(key: str) -> str:
    """Return the nonce of a part; it is the same whenever the part is sent again."""
    return sha256(key.encode()).hexdigest()[:NONCE_CHARS]
