"""``POST /v1/chat/completions``: a request becomes a turn of hers, and the answer goes back whole or as it comes.

What is new in a request is committed before she thinks about it, unless ``store`` is false. Whatever happens to the
client, she answers once: a client that sends the same request again gets that answer.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from daemon.api.openai.answers import (
    DONE,
    KEEP_ALIVE,
    AnswerMessage,
    ChatCompletion,
    Choice,
    Chunks,
    broken_off,
    text_of,
    usage_of,
)
from daemon.api.openai.completion import Completion, read_completion
from daemon.api.openai.files import Files, Stored
from daemon.api.openai.models import Models
from daemon.api.openai.refusals import AGAIN, Refused, failure
from daemon.api.openai.watching import Watch, watched
from daemon.conversations.asking import Asking
from daemon.conversations.requests import Answering, Failed, Requests
from daemon.conversations.unkept import Unkept
from daemon.http.answers import NO_STORE
from daemon.http.openai_errors import COMPLETIONS
from daemon.http.security import is_owners
from daemon.ledger import Ledger, LedgerError
from daemon.logging.log import Log
from daemon.runtime.clock import Clock
from daemon.runtime.tasks import Tasks
from daemon.settings.sections import Limits
from daemon.supervision.supervisor import Supervisor
from proto.messages import Outgoing
from proto.records import Persona

KEEP_ALIVE_EVERY: Final = 5.0
"""Seconds of silence after which a stream gets a comment. A stream begins at the first word or the first comment: what
is refused before has a status of its own."""

SEND_TIMEOUT: Final = 30.0
"""Seconds after which a client that takes nothing counts as gone."""

OFF_LOOP: Final = 65_536
"""Bytes of a body from which on it is read on a thread."""

_VISITOR: Final = (
    "A JSON web token speaks for a visitor, and this door is her owner's: send a token of this daemon. `personad token`"
    " makes one."
)
_AGAIN: Final = "She began again in the middle of the answer: send the request again to get the whole of it."
_STOPPED: Final = "She was stopped. Your message is kept, and she answers it when she runs again."


class CompletionRoutes:
    """The route of chat completions."""

    def __init__(self, completions: Completions) -> None:
        self._completions = completions

    def routes(self) -> list[BaseRoute]:
        return [Route(COMPLETIONS, self._completions, methods=["POST"])]


class Completions:
    """The endpoint. ``timeout`` is how long a client may wait for an answer, in seconds."""

    def __init__(
        self,
        *,
        models: Models,
        supervisor: Supervisor,
        asking: Asking,
        unkept: Unkept,
        requests: Requests,
        ledger: Ledger,
        files: Files,
        limits: Limits,
        timeout: float,
        tasks: Tasks,
        stopping: asyncio.Event,
        clock: Clock,
        log: Log,
    ) -> None:
        self._models = models
        self._supervisor = supervisor
        self._asking = asking
        self._unkept = unkept
        self._requests = requests
        self._ledger = ledger
        self._files = files
        self._limits = limits
        self._timeout = timeout
        self._tasks = tasks
        self._stopping = stopping
        self._clock = clock
        self._log = log
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_owners(scope):
            raise Refused(403, _VISITOR)
        if self._under_way >= self._limits.completions_at_once:
            words = f"Rate limit reached: {self._under_way} requests are being answered. Please try again in 5 s."
            raise Refused(429, words, code="rate_limit_exceeded", headers=AGAIN)
        self._under_way += 1
        try:
            await self._complete(receive, send)
        finally:
            self._under_way -= 1

    async def _complete(self, receive: Receive, send: Send) -> None:
        raw, now = await _body(receive), self._clock.time_ns()
        reading = (raw, now, self._limits.message_chars)
        asked = await asyncio.to_thread(read_completion, *reading) if len(raw) > OFF_LOOP else read_completion(*reading)
        del raw
        persona = self._models.find(asked.model)
        key = asked.talk.key if asked.store else f"unkept-{secrets.token_hex(12)}"
        async with self._asked(persona.id, key, asked) as answering:
            async with watched(answering, receive, self._stopping, self._timeout, self._tasks) as watch:
                answer = Answer(self._supervisor, persona, self._models.shown(persona).id, asked, now, answering, watch)
                try:
                    await (answer.stream(send) if asked.stream else answer.whole(send))
                except (ClientDisconnect, TimeoutError):
                    # What was kept is answered all the same.
                    return
                has_it = answer.is_complete and not watch.is_gone
            if has_it and asked.store:
                await self._taken(persona.id, key)

    @asynccontextmanager
    async def _asked(self, persona_id: str, key: str, asked: Completion) -> AsyncIterator[Answering]:
        """Let her answer; the block is for waiting."""
        talk = asked.talk
        with ExitStack() as later, self._requests.waiting(persona_id, key) as answering:
            async with AsyncExitStack() as files:
                stored = await files.enter_async_context(self._files.stored(persona_id, talk.new))
                if asked.store:
                    await self._keep(persona_id, asked, stored, answering)
                else:
                    told = (stored.pieces, talk.history, talk.instructions)
                    turn = self._unkept.ask(persona_id, key, *told, answering)
                    later.callback(self._unkept.leave, persona_id, answering)
                    # They stay as long as her process may look at them.
                    self._tasks.start(_close_after(turn, files.pop_all()))
            yield answering

    async def _keep(self, persona_id: str, asked: Completion, stored: Stored, answering: Answering) -> None:
        talk = asked.talk
        try:
            standing = await self._asking.take(persona_id, stored.messages, talk.history, talk.instructions, answering)
        except asyncio.CancelledError:
            # The daemon leaves; the rows may still be committed.
            stored.leave()
            raise
        if standing.is_new:
            stored.keep([item.perception.media for item in standing.waiting])

    async def _taken(self, persona_id: str, key: str) -> None:
        try:
            await self._ledger.request_taken(persona_id, key)
        except LedgerError as error:
            self._log.warning("completion.not_noted", persona=persona_id, reason=str(error))


class Answer:
    """One client's answer."""

    def __init__(
        self,
        supervisor: Supervisor,
        persona: Persona,
        model: str,
        asked: Completion,
        at: int,
        answering: Answering,
        watch: Watch,
    ) -> None:
        self.is_complete = False
        """Whether all of it was sent."""
        self._supervisor = supervisor
        self._persona = persona
        self._model = model
        self._asked = asked
        self._id = f"chatcmpl-{secrets.token_hex(16)}"
        self._created = at // 1_000_000_000
        self._answering = answering
        self._watch = watch

    async def whole(self, send: Send) -> None:
        """Send the whole answer. Raises Refused, ClientDisconnect, TimeoutError."""
        while self._answering.end is None:
            await self._wait()
        words = self._words(self._answering.end)
        usage = usage_of(self._answering.used, self._asked.talk.size, words)
        body = ChatCompletion(self._id, self._created, self._model, [Choice(AnswerMessage(words))], usage)
        await _send(send, b"application/json", msgspec.json.encode(body))
        self.is_complete = True

    async def stream(self, send: Send) -> None:
        """Send the answer as it comes. Raises Refused before the first byte, ClientDisconnect, TimeoutError."""
        while self._answering.end is None and not self._answering.text and await self._wait():
            continue
        if isinstance(self._answering.end, Failed):
            raise failure(self._answering.end)
        chunks = Chunks(self._id, self._created, self._model, with_usage=self._asked.include_usage)
        await _begin(send, b"text/event-stream")
        await _more(send, chunks.begin())
        try:
            said = await self._as_it_comes(send, chunks)
        except Refused as refused:
            await _last(send, broken_off(refused.shown()))
            return
        if self._asked.include_usage:
            usage = usage_of(self._answering.used, self._asked.talk.size, said)
            await _more(send, chunks.usage(usage))
        await _last(send, DONE)
        self.is_complete = True

    async def _as_it_comes(self, send: Send, chunks: Chunks) -> str:
        """Send the words and return them. Raises Refused when there is no end to them."""
        stream = Shown(self._answering)
        while self._answering.end is None:
            if words := stream.more(self._answering.text):
                await _more(send, chunks.text(words))
            elif not await self._wait():
                await _more(send, KEEP_ALIVE)
        said = self._words(self._answering.end)
        if words := stream.more(said):
            await _more(send, chunks.text(words))
        await _more(send, chunks.end())
        return said

    async def _wait(self) -> bool:
        """Wait for a change, for a while. Raises Refused, ClientDisconnect."""
        changed = await self._watch.change(KEEP_ALIVE_EVERY)
        if not changed and not self._supervisor.running(self._persona.id):
            raise failure(Failed("stopped", _STOPPED))
        return changed

    def _words(self, end: list[Outgoing] | Failed) -> str:
        if isinstance(end, Failed):
            raise failure(end)
        return text_of(self._persona.id, end)


class Shown:
    """What a client has of an answer: nothing of it can be taken back."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._turn = 0
        self._text = ""
        """What was sent of the present words."""

    def more(self, words: str) -> str:
        """Return what follows what the client has.

        Her mind may begin anew, as after it used a tool: then its words follow after an empty line. Another process of
        hers begins the same answer again, though. Raises Refused then: the client asks again and gets all of it.
        """
        turn, self._turn = self._turn, self._answering.turn
        if words.startswith(self._text):
            new, self._text = words[len(self._text) :], words
            return new
        if turn != self._turn:
            raise Refused(503, _AGAIN, code="interrupted")
        self._text = words
        return f"\n\n{words}"


async def _close_after(turn: asyncio.Task[None], files: AsyncExitStack) -> None:
    await asyncio.wait([turn])
    await files.aclose()


async def _body(receive: Receive) -> bytes:
    """Read a whole body; the outermost layer bounds its size, and the server how long it may take."""
    pieces, more = list[bytes](), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)


async def _send(send: Send, content_type: bytes, body: bytes) -> None:
    await _begin(send, content_type, len(body))
    await _last(send, body)


async def _begin(send: Send, content_type: bytes, length: int | None = None) -> None:
    headers = [(b"content-type", content_type), *((name.encode(), value.encode()) for name, value in NO_STORE.items())]
    headers += [(b"x-accel-buffering", b"no")] if length is None else [(b"content-length", str(length).encode())]
    await _within(send, {"type": "http.response.start", "status": 200, "headers": headers})


async def _more(send: Send, data: bytes) -> None:
    await _within(send, {"type": "http.response.body", "body": data, "more_body": True})


async def _last(send: Send, data: bytes) -> None:
    await _within(send, {"type": "http.response.body", "body": data})


async def _within(send: Send, message: dict[str, object]) -> None:
    async with asyncio.timeout(SEND_TIMEOUT):
        await send(message)
