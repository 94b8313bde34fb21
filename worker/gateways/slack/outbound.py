"""Sends her messages to Slack: texts in Slack's own markup, and files, each of which takes three requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from proto.gateways import Gateway
from worker.base.log import WorkerLog
from worker.gateways.common.account import CONNECT_TIMEOUT
from worker.gateways.common.budget import Pace
from worker.gateways.common.link import Report
from worker.gateways.common.markdown import render
from worker.gateways.common.rest import UPLOAD_TIMEOUT, understood
from worker.gateways.common.sending import Part, Sender
from worker.gateways.common.splitting import Rich, characters, split_rich
from worker.gateways.common.trouble import Refusal, Trouble
from worker.gateways.slack.account import Slack
from worker.gateways.slack.mrkdwn import mrkdwn
from worker.gateways.slack.status import Status

MAX_MESSAGE: Final = 3500
"""Characters of text, which with markup and the mark stay below the 4,000 that Slack recommends
(https://api.slack.com/methods/chat.postMessage#truncating)."""

MAX_UPLOAD: Final = 50 * 1024 * 1024
"""Bytes. This is our own limit, since a file is held in memory while it is sent; Slack's limit is 1 GB."""


class _Upload(msgspec.Struct):
    file_id: str
    upload_url: str


class SlackSender(Sender[Slack]):
    """Sends for one app."""

    # Slack allows one message per second in a channel, with short bursts
    # (https://api.slack.com/apis/rate-limits).
    chat_pace = Pace(rate=0.9, burst=3.0)
    bot_pace = Pace(rate=20.0, burst=20.0)
    max_message = max_caption = MAX_MESSAGE
    shows_typing = True

    def __init__(
        self,
        gateway: Gateway,
        account: Slack,
        folder: Path,
        report: Callable[[Report], None],
        refused: Callable[[Trouble], None],
        log: WorkerLog,
    ) -> None:
        super().__init__(gateway, account, folder, report, refused, log)
        self._status = Status(account, log)

    def cut(self, markdown: str) -> list[Rich]:
        return split_rich(render(markdown), MAX_MESSAGE, characters)

    def may_type(self, chat: str) -> bool:
        return self._status.is_due(chat) and super().may_type(chat)

    async def show_typing(self, chat: str) -> None:
        await self._status.show(chat)

    async def send(self, chat: str, part: Part) -> str:
        """Send one part. Returns no id: Slack sends no receipts that would refer to it."""
        await self._status.settled(chat)
        text = mrkdwn(Rich(part.text, part.entities))
        if part.file is None:
            await self._post(chat, text)
            return ""
        try:
            await self._upload(chat, text, part.file.name, await self.content(part.file, MAX_UPLOAD))
        except Refusal as error:
            found = self.account.trouble(error)
            if not text or not (found.error_class == "config" or found.fate in ("never", "unclear")):
                raise
            # The app may not upload files, or Slack does not accept this one, so the text is sent alone.
            self.log.info("slack.file_as_text", reason=found.reason)
            await asyncio.sleep(self.budget.reserve(chat))
            await self._post(chat, text)
        return ""

    async def _post(self, chat: str, text: str) -> None:
        """Send a text (https://api.slack.com/methods/chat.postMessage)."""
        # Slack would fetch a link to preview it, so a link that a mind was tricked into writing could leak data.
        arguments = {"text": text, "unfurl_links": "false", "unfurl_media": "false"}
        await self.account.call("chat.postMessage", {"channel": chat.partition(":")[0], **arguments, **_thread(chat)})

    async def _upload(self, chat: str, text: str, name: str, data: bytes) -> None:
        """Send a file with its text (https://api.slack.com/messaging/files#uploading_files)."""
        arguments = {"filename": name, "length": str(len(data))}
        place = understood(await self.account.call("files.getUploadURLExternal", arguments), _Upload)
        limits = aiohttp.ClientTimeout(total=UPLOAD_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        # The URL itself grants access, so no token is sent.
        async with self.account.client.post(
            place.upload_url, data=data, timeout=limits, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise Refusal(response.status, None, response.reason or "")
        files = msgspec.json.encode([{"id": place.file_id, "title": name}]).decode()
        complete = {"files": files, "channel_id": chat.partition(":")[0], **_thread(chat)}
        await self.account.call("files.completeUploadExternal", complete | ({"initial_comment": text} if text else {}))


def _thread(chat: str) -> dict[str, str]:
    """Return the arguments that name the thread, if the conversation is one."""
    thread = chat.partition(":")[2]
    return {"thread_ts": thread} if thread else {}
