"""Her messages to Discord: in parts that it takes, in its pace, and an honest word about what became of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import aiohttp
import msgspec

from proto.gateways import Deliver, Delivered, PartSent, Say, Undelivered
from proto.secrets import Secret
from worker.base.log import WorkerLog
from worker.gateways.common.budget import Budget
from worker.gateways.common.splitting import split_markdown
from worker.gateways.discord.client import Client, Refusal
from worker.gateways.discord.errors import PROVIDER_ERRORS, ProviderError, Trouble, maybe_taken, trouble

MARK: Final = "(perhaps repeated)\n"
"""Stands before a part that may have been sent before, when Discord may have forgotten its nonce."""

MAX_MESSAGE: Final = 2000 - len(MARK)
"""Characters (Discord's documentation, create message: 2,000), with room for the mark."""

NONCE_CHARS: Final = 25
SUPPRESS_EMBEDS: Final = 1 << 2
"""A previewed link is fetched by Discord, which could carry something out that nobody clicked on."""

MAX_WAIT: Final = 20.0
"""Seconds that a message may wait here for its turn; one that must wait longer goes back to the outbox."""

SEND_TIMEOUT: Final = 30.0
UPLOAD_TIMEOUT: Final = 120.0
TYPING_TIMEOUT: Final = 10.0
LONG: Final = 4000
"""Characters from which a text is cut on a thread, so that the loop goes on."""

UNREACHABLE: Final = frozenset({50007, 50278})
"""Codes of 403: the person takes no messages from this bot, or shares no server with it any more."""

SHARED: Final = "Discord lets her write only to people who share a server with the bot and take its messages."

_MESSAGES: Final = "/channels/{channel_id}/messages"
_TYPING: Final = "/channels/{channel_id}/typing"

Report: TypeAlias = Callable[[PartSent | Delivered | Undelivered], None]


class Part(NamedTuple):
    """One message on Discord: a text, a file, or a file with a text."""

    text: str
    file: Path | None = None

    def marked(self) -> Part:
        """The same, saying that it may be a repetition."""
        return Part(MARK + self.text, self.file)


class Sender:
    """Sends for one bot. ``refused`` is called when Discord refuses its token, ``answered`` at each taken request."""

    def __init__(
        self,
        token: Secret,
        budget: Budget,
        folder: Path,
        report: Report,
        refused: Callable[[Trouble], None],
        answered: Callable[[], None],
        log: WorkerLog,
    ) -> None:
        self.typing_failures = 0
        self._token = token
        self._budget = budget
        self._folder = folder
        self._report = report
        self._refused = refused
        self._answered = answered
        self._log = log

    async def deliver(self, client: Client, message: Deliver) -> None:
        """Send the parts that are not yet sent, and report each, then all of it or why not."""
        all_parts = await parts(message, self._folder)
        for number in range(message.parts_sent, len(all_parts)):
            marked = message.ambiguous and number == message.parts_sent
            part = all_parts[number].marked() if marked else all_parts[number]
            if failure := await self._attempt(client, message, number, part):
                self._report(failure)
                return
            if number + 1 < len(all_parts):
                self._report(PartSent(message.seq, number + 1))
        self._report(Delivered(message.seq))

    async def say(self, client: Client, message: Say) -> None:
        """Send a text once; a failure is logged."""
        for text in split_markdown(message.content, MAX_MESSAGE):
            await asyncio.sleep(self._budget.reserve(message.chat))
            try:
                await self._send(client, message.chat, Part(text), {})
            except PROVIDER_ERRORS as error:
                self._note(error, message.chat)
                self._log.warning("discord.say_failed", reason=trouble(error, self._token).reason)
                return

    async def typing(self, client: Client, chat: str) -> None:
        """Show that she is thinking; Discord shows it for 10 s. A failure is only counted."""
        try:
            await client.ask("POST", _TYPING, channel_id=chat, timeout=TYPING_TIMEOUT)
        except PROVIDER_ERRORS as error:
            self.typing_failures += 1
            self._note(error, chat)
            self._log.debug("discord.typing_failed", failures=self.typing_failures)
        else:
            self._answered()

    async def _attempt(self, client: Client, message: Deliver, number: int, part: Part) -> Undelivered | None:
        """Send one part; returns why it was not taken, None when it was.

        The nonce is the same at each try, so Discord answers a repetition with the message that it has already.
        """
        if (ahead := self._budget.ahead(message.chat)) > MAX_WAIT:
            return Undelivered(message.seq, "Discord's pace leaves no room for it now.", retry_after=ahead)
        await asyncio.sleep(self._budget.reserve(message.chat))
        try:
            await self._send(client, message.chat, part, {"nonce": nonce(message.key, number), "enforce_nonce": True})
        except FileNotFoundError:
            return Undelivered(message.seq, "The file that she made is gone.", permanent=True)
        except (PermissionError, IsADirectoryError) as error:
            return Undelivered(message.seq, f"Her file cannot be read: {error.strerror}.", permanent=True)
        except PROVIDER_ERRORS as error:
            self._note(error, message.chat)
            return undelivered(message.seq, error, self._token)
        return None

    async def _send(self, client: Client, chat: str, part: Part, extra: dict[str, str | bool]) -> None:
        body: dict[str, Any] = {
            "content": part.text,
            "flags": SUPPRESS_EMBEDS,
            "allowed_mentions": {"parse": []},
            **extra,
        }
        if part.file is None:
            await client.ask("POST", _MESSAGES, channel_id=chat, json=body, timeout=SEND_TIMEOUT)
        else:
            await self._upload(client, chat, part.file, body)
        self._answered()

    async def _upload(self, client: Client, chat: str, file: Path, body: dict[str, Any]) -> None:
        """Send a file with its message (Any: the message's JSON)."""
        with await asyncio.to_thread(file.open, "rb") as content:
            form = aiohttp.FormData(quote_fields=False)
            form.add_field("payload_json", msgspec.json.encode(body).decode(), content_type="application/json")
            form.add_field("files[0]", content, filename=file.name, content_type="application/octet-stream")
            await client.ask("POST", _MESSAGES, channel_id=chat, data=form, timeout=UPLOAD_TIMEOUT)

    def _note(self, error: ProviderError, chat: str) -> None:
        """Let the rest of the gateway know what concerns more than this message."""
        found = trouble(error, self._token)
        if found.kind == "wait":
            self._budget.pause(chat, found.retry_after)
        elif found.kind == "stop":
            self._refused(found)


async def parts(message: Deliver, folder: Path) -> list[Part]:
    """Cut a message into what Discord takes; the same message always in the same way.

    A text that is too long to go with its file follows it.
    """
    text = message.content
    cut = (
        split_markdown(text, MAX_MESSAGE)
        if len(text) <= LONG
        else await asyncio.to_thread(split_markdown, text, MAX_MESSAGE)
    )
    if message.media is None:
        return [Part(piece) for piece in cut]
    file = folder / message.media
    if len(cut) <= 1:
        return [Part(cut[0] if cut else "", file)]
    return [Part("", file), *(Part(piece) for piece in cut)]


def nonce(key: str, number: int) -> str:
    """What makes a part the same one when it is sent again."""
    return sha256(f"{key}:{number}".encode()).hexdigest()[:NONCE_CHARS]


def undelivered(seq: int, error: ProviderError, token: Secret) -> Undelivered:
    """Say of what kind a failure is."""
    found = trouble(error, token)
    match error:
        case Refusal(status=403, code=code) if code in UNREACHABLE:
            return Undelivered(seq, f"{found.reason} {SHARED}", permanent=True, blocked=True)
        case Refusal(status=403 | 404, code=code) if code is not None:
            return Undelivered(seq, found.reason, permanent=True)
        case Refusal(status=400 | 413):
            return Undelivered(seq, found.reason, permanent=True)
        case _:
            return Undelivered(seq, found.reason, ambiguous=maybe_taken(error), retry_after=found.retry_after)
