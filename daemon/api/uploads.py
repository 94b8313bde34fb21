"""What she hears, and files that are attached (the perception seed). Accepted means whole, synced and committed.

A body is always read to its end before it is refused, so that the order of refusals is the documented system's, which
reads a form before it looks at anything: 422, then 409, then 400, then, for ``attach``, 415.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.api.forms import Form
from daemon.api.lookup import require_web_channel
from daemon.api.perception import WEB, idempotency_key
from daemon.api.streams import RETRY_AFTER, FormReader
from daemon.conversations.hubs import Hubs
from daemon.conversations.inbox import Inbox
from daemon.http.answers import json_response, problem
from daemon.logging.log import Log
from daemon.personas.media import FOLDER, Incoming, TooLarge, Uploads
from daemon.personas.personas import Personas
from daemon.settings.sections import Limits
from daemon.supervision.supervisor import Supervisor
from proto.messages import Conversation
from proto.perception import EXTENSIONS, PerceptionKind

TIMEOUT: Final = 900.0
"""Seconds that an upload may take to arrive."""
LONGEST_EXTENSION: Final = 16
LONGEST_TITLE: Final = 255
MICROPHONE: Final = ".webm"
"""What the recorders of browsers make."""


class Claim(NamedTuple):
    """Which perception takes a file, the extension that it is stored with, and what the sender's device calls it.

    A clip has no title: what a recorder calls it says nothing, and she takes it for spoken words, not for a file.
    """

    kind: PerceptionKind
    extension: str
    title: str = ""


class _Arrival:
    """The file of one request; it is stored only where ``folder`` is given."""

    def __init__(self, folder: Path | None, claim: Callable[[str], Claim], limit: int) -> None:
        self._folder = folder
        self._claim = claim
        self._limit = limit
        self._claimed: Claim | HTTPException | None = None
        self._incoming: Incoming | None = None
        self._is_committed = False

    def begin(self, filename: str) -> Incoming | None:
        """Open the file under the name that its sender gave it; of two files the last counts."""
        self.clean()
        try:
            claimed = self._claimed = self._claim(filename)
        except HTTPException as refusal:
            self._claimed = refusal
            return None
        if self._folder is not None:
            self._incoming = Incoming(self._folder, claimed.kind, claimed.extension, self._limit)
        return self._incoming

    def whole(self) -> tuple[Claim, Incoming]:
        """Return what came. Raises HTTPException when no perception claims it."""
        if isinstance(self._claimed, HTTPException):
            raise self._claimed
        assert self._claimed is not None
        assert self._incoming is not None
        return self._claimed, self._incoming

    def leave(self) -> None:
        """Whether the ledger speaks of it is not known: the next start finds out."""
        self._incoming = None

    def committed(self) -> None:
        """The ledger speaks of it."""
        self._is_committed = True

    def clean(self) -> None:
        """Leave nothing but a file that the ledger speaks of."""
        incoming, self._incoming = self._incoming, None
        if incoming and self._is_committed:
            incoming.unmark()
        elif incoming:
            incoming.drop()


class UploadRoutes:
    """What she hears, and files that are attached."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        hubs: Hubs,
        inbox: Inbox,
        personas: Personas,
        uploads: Uploads,
        forms: FormReader,
        limits: Limits,
        log: Log,
    ) -> None:
        self._supervisor = supervisor
        self._hubs = hubs
        self._inbox = inbox
        self._personas = personas
        self._uploads = uploads
        self._forms = forms
        self._limits = limits
        self._log = log

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/persona/{persona_id}/hear", self.hear, methods=["POST"]),
            Route("/api/persona/{persona_id}/attach", self.attach, methods=["POST"]),
        ]

    async def hear(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/hear``: a clip, as if she heard the person speak."""
        return await self._perceive(request, "audio", _heard)

    async def attach(self, request: Request) -> Response:
        """``POST /api/persona/{persona_id}/attach``: a file, for the perception that its extension names."""
        return await self._perceive(request, "file", _attached)

    async def _perceive(self, request: Request, field: str, claim: Callable[[str], Claim]) -> Response:
        persona_id: str = request.path_params["persona_id"]
        limits, uploads = self._limits, self._uploads
        refusal = self._refusal(persona_id)
        arrival = _Arrival(None if refusal else self._personas.folder(persona_id) / FOLDER, claim, limits.upload)
        form = Form(request.headers.get("content-type", ""), field, arrival.begin, {"caption": limits.message_chars})
        with uploads.slot() as granted:
            if not granted:
                return problem(503, f"{uploads.at_once} uploads are under way: try again in a moment.", RETRY_AFTER)
            try:
                await self._forms.read(request, form, TIMEOUT, "upload")
                key = idempotency_key(request.scope)
                if refusal:
                    raise refusal
                self._require_web_channel(persona_id)
                await self._accept(persona_id, arrival, form.values.get("caption", ""), key)
            except TooLarge:
                words = (
                    f"The file is over the limit of {limits.upload} bytes: send a smaller one, or raise limits.upload."
                )
                raise HTTPException(413, words) from None
            except OSError as error:
                # Her folder is gone if she was deleted meanwhile.
                self._require_web_channel(persona_id)
                raise HTTPException(507, f"Nothing was kept: the file cannot be stored ({error.strerror}).") from error
            finally:
                await self._clean(persona_id, arrival)
        return json_response({"status": "received"})

    def _require_web_channel(self, persona_id: str) -> None:
        require_web_channel(self._supervisor, self._hubs, persona_id)

    def _refusal(self, persona_id: str) -> HTTPException | None:
        try:
            self._require_web_channel(persona_id)
        except HTTPException as refusal:
            return refusal
        return None

    async def _accept(self, persona_id: str, arrival: _Arrival, caption: str, key: str | None) -> None:
        claim, incoming = arrival.whole()
        await self._uploads.run(incoming.keep)
        conversation = Conversation(WEB, persona_id)
        try:
            is_new = await self._inbox.accept(
                persona_id, conversation, claim.kind, caption, incoming.name, key, claim.title
            )
        except asyncio.CancelledError:
            # The daemon leaves; the row may still be committed.
            arrival.leave()
            raise
        if is_new:
            arrival.committed()

    async def _clean(self, persona_id: str, arrival: _Arrival) -> None:
        try:
            await self._uploads.run(arrival.clean)
        except OSError as error:
            self._log.warning("media.upload_stays", persona=persona_id, reason=str(error))


def _heard(filename: str) -> Claim:
    """Any extension will do; one that is no plain word is stored without what is odd in it."""
    suffix = _suffix(filename)
    plain = re.sub(r"[^A-Za-z0-9]", "", suffix)[:LONGEST_EXTENSION]
    return Claim("audio", f".{plain or 'bin'}" if suffix else MICROPHONE)


def _attached(filename: str) -> Claim:
    """Raise HTTPException for an extension that no perception claims."""
    suffix = _suffix(filename).lower()
    if suffix not in EXTENSIONS:
        shown = "".join(one if one.isprintable() else "?" for one in suffix[: LONGEST_EXTENSION + 1]) or "unknown"
        accepted = ", ".join(sorted(EXTENSIONS))
        raise HTTPException(415, f"No perception capability for {shown}. Accepted: {accepted}.")
    return Claim(EXTENSIONS[suffix], suffix, _title(filename))


def _title(filename: str) -> str:
    """The last name in what may be a path of any system, fit to be shown."""
    name = re.split(r"[/\\]", filename)[-1]
    return "".join(one if one.isprintable() else " " for one in name).strip()[:LONGEST_TITLE]


def _suffix(filename: str) -> str:
    """The extension with its dot, of the last name in what may be a path of any system; "" without one."""
    name = re.split(r"[/\\]", filename)[-1]
    stem, dot, extension = name.rpartition(".")
    return f".{extension}" if dot and stem.strip(".") and extension else ""
