"""Her messages to Slack: in parts that it takes, in its pace, and an honest word about what became of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from slack_sdk.errors import SlackApiError

from proto.gateways import Deliver, Delivered, PartSent, Say, Undelivered
from proto.secrets import Secret
from worker.base.log import WorkerLog
from worker.gateways import Report
from worker.gateways.common.budget import Budget
from worker.gateways.common.markdown import render
from worker.gateways.common.splitting import Rich, characters, split_rich
from worker.gateways.slack.client import Client
from worker.gateways.slack.errors import PROVIDER_ERRORS, ProviderError, Trouble, maybe_taken, trouble
from worker.gateways.slack.mrkdwn import mrkdwn

MARK: Final = "(perhaps repeated)\n"
"""Heads what may have been sent before without our learning of it: Slack has no key for repetitions."""

MAX_MESSAGE: Final = 3500
"""Characters of text; with its markup it stays below the 4,000 that Slack recommends (chat.postMessage)."""

MAX_WAIT: Final = 20.0
"""Seconds that a message may wait here for its turn; one that must wait longer goes back to the outbox."""

UPLOAD_TIMEOUT: Final = 120.0
MAX_UPLOAD: Final = 50 * 1024 * 1024
LONG: Final = 4000
"""Characters from which Markdown is read on a thread, so that the loop goes on."""


class Part(NamedTuple):
    """One message on Slack: a text, or a file with its words."""

    text: str
    file: Path | None = None


class Sender:
    """Sends for one app. ``refused`` is called with trouble that only a person can end."""

    def __init__(
        self,
        client: Client,
        token: Secret,
        budget: Budget,
        folder: Path,
        report: Callable[[Report], None],
        refused: Callable[[Trouble], None],
        log: WorkerLog,
    ) -> None:
        self._client = client
        self._token = token
        self._budget = budget
        self._folder = folder
        self._report = report
        self._refused = refused
        self._log = log

    async def deliver(self, message: Deliver) -> None:
        """Send the parts that are not yet sent, and report each, then all of it or why not."""
        all_parts = await parts(message, self._folder)
        for number in range(message.parts_sent, len(all_parts)):
            part = all_parts[number]
            if message.ambiguous and number == message.parts_sent:
                part = part._replace(text=MARK + part.text)
            if failure := await self._attempt(message, part):
                self._report(failure)
                return
            if number + 1 < len(all_parts):
                self._report(PartSent(message.seq, number + 1))
        self._report(Delivered(message.seq))

    async def say(self, message: Say) -> None:
        """Send a text once; a failure is logged."""
        await asyncio.sleep(self._budget.reserve(message.chat))
        try:
            await self._post(message.chat, mrkdwn(Rich(message.content)))
        except PROVIDER_ERRORS as error:
            self._log.warning("slack.say_failed", reason=trouble(error, self._token).reason)

    async def _attempt(self, message: Deliver, part: Part) -> Undelivered | None:
        """Send one part; returns why it was not taken, None when it was."""
        if (ahead := self._budget.ahead(message.chat)) > MAX_WAIT:
            return Undelivered(message.seq, "Slack's pace leaves no room for it now.", retry_after=ahead)
        await asyncio.sleep(self._budget.reserve(message.chat))
        try:
            if part.file is None:
                await self._post(message.chat, part.text)
            else:
                await self._upload(message.chat, part.text, part.file)
        except PROVIDER_ERRORS as error:
            return self._failed(message, error)
        return None

    async def _post(self, chat: str, text: str) -> None:
        channel, _, thread = chat.partition(":")
        # A previewed link is fetched by Slack, which could carry something out that nobody clicked on.
        await self._client.web.chat_postMessage(
            channel=channel, text=text, thread_ts=thread or None, unfurl_links=False, unfurl_media=False
        )

    async def _upload(self, chat: str, text: str, file: Path) -> None:
        """Send a file; an app without that permission says the words alone."""
        channel, _, thread = chat.partition(":")
        try:
            data = await asyncio.to_thread(_read, file)
            async with asyncio.timeout(UPLOAD_TIMEOUT):
                await self._client.web.files_upload_v2(
                    channel=channel, thread_ts=thread or None, file=data, filename=file.name, initial_comment=text
                )
        except SlackApiError as error:
            found = trouble(error, self._token)
            if found.kind not in ("config", "refused"):
                raise
            self._log.info("slack.file_as_words", reason=found.reason)
            await asyncio.sleep(self._budget.reserve(chat))
            await self._post(chat, text)

    def _failed(self, message: Deliver, error: ProviderError) -> Undelivered:
        found = trouble(error, self._token)
        match found.kind:
            case "credential" | "config":
                self._refused(found)
                return Undelivered(message.seq, found.reason)
            case "recipient":
                return Undelivered(message.seq, found.reason, permanent=True, blocked=True)
            case "refused":
                return Undelivered(message.seq, found.reason, permanent=True)
            case "wait":
                self._budget.pause(message.chat, found.retry_after)
                return Undelivered(message.seq, found.reason, retry_after=found.retry_after)
            case "network":
                return Undelivered(message.seq, found.reason, ambiguous=maybe_taken(error))


async def parts(message: Deliver, folder: Path) -> list[Part]:
    """Cut a message into what Slack takes; the same message always in the same way."""
    rich = await asyncio.to_thread(render, message.content) if len(message.content) > LONG else render(message.content)
    texts = [mrkdwn(piece) for piece in split_rich(rich, MAX_MESSAGE, characters)]
    if message.media is None:
        return [Part(text) for text in texts]
    first, *rest = texts or [""]
    return [Part(first, folder / message.media), *map(Part, rest)]


def _read(path: Path) -> bytes:
    """Raises OSError, also for a file that is too large."""
    if path.stat().st_size > MAX_UPLOAD:
        raise OSError(f"{path.name} is over 50 MB")
    return path.read_bytes()
