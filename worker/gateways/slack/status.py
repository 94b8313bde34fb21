"""Shows in a thread that she is thinking, by Slack's status for apps (assistant.threads.setStatus).

Why her words are not shown while she writes: Slack's streaming calls (chat.startStream, chat.appendStream,
chat.stopStream) write a real message. It stays when nobody goes on with it, it has no key by which Slack would
recognize it (https://docs.slack.dev/reference/methods/chat.startStream), and after some minutes it takes no more words
(https://github.com/slackapi/python-slack-sdk/issues/1859). A worker that is killed between two of these calls, or
before it knows the message's time stamp, would leave half an answer for ever, and the next one would answer beside it.
A stream also has to be a reply in a thread, so an answer in a direct message would move to another place.

A status is no message. Slack removes it when she answers in the thread, and after two minutes in any case
(https://docs.slack.dev/reference/methods/assistant.threads.setStatus). It needs a thread: an answer in the direct
message itself would not remove it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from worker.base.log import WorkerLog
from worker.gateways.common.trouble import PROVIDER_ERRORS, Refusal
from worker.gateways.slack.account import Slack

STATUS: Final = "is typing..."
"""Slack writes the app's name before it."""

LASTS: Final = 60.0
"""Seconds after which a status is set again. Slack shows it for two minutes."""

LATEST: Final = 1.0
"""Seconds that a message waits for the status on its way to its thread, which would otherwise stay after it."""

MAX_THREADS: Final = 512
"""Threads whose status is remembered. The one that was set first is forgotten first."""


class Status:
    """The status of one app in all its threads."""

    def __init__(self, account: Slack, log: WorkerLog) -> None:
        self._account = account
        self._log = log
        self._off = False
        self._set_at: dict[str, float] = {}
        """When a thread's status was last set or refused, in loop time."""
        self._under_way: dict[str, asyncio.Event] = {}

    def is_due(self, chat: str) -> bool:
        """Whether this conversation is a thread that shows no status yet."""
        if self._off or ":" not in chat or chat in self._under_way:
            return False
        set_at = self._set_at.get(chat)
        return set_at is None or asyncio.get_running_loop().time() - set_at >= LASTS

    async def show(self, chat: str) -> None:
        """Set the status, if it is due. A failure is only logged; if the app may not set it, it is not tried again."""
        if not self.is_due(chat):
            # Another turn of the loop has begun to set it since it was asked for.
            return
        channel, _, thread = chat.partition(":")
        done = self._under_way[chat] = asyncio.Event()
        self._note(chat)
        try:
            arguments = {"channel_id": channel, "thread_ts": thread, "status": STATUS}
            await self._account.call("assistant.threads.setStatus", arguments)
        except PROVIDER_ERRORS as error:
            found = self._account.trouble(error)
            self._off = found.stops or (isinstance(error, Refusal) and error.code == "unknown_method")
            self._log.debug("slack.status_failed", reason=found.reason, everywhere=self._off)
        finally:
            del self._under_way[chat]
            done.set()

    async def settled(self, chat: str) -> None:
        """Call it before a message: wait until no status is on its way, and expect that the message removes it."""
        if done := self._under_way.get(chat):
            with suppress(TimeoutError):
                async with asyncio.timeout(LATEST):
                    await done.wait()
        self._set_at.pop(chat, None)

    def _note(self, chat: str) -> None:
        self._set_at.pop(chat, None)
        self._set_at[chat] = asyncio.get_running_loop().time()
        if len(self._set_at) > MAX_THREADS:
            del self._set_at[next(iter(self._set_at))]
