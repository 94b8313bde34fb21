"""Starlette under uvicorn with personad's server settings, and behind the routes nothing or a group commit.

Run as ``python -m tests.bench.baselines.front PORT [LEDGER]``: ``GET /livez``, and ``read``, which decodes its body
and, with a ledger, commits it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import time_ns
from typing import Final

import msgspec
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proto.messages import Conversation


class ReadRequest(msgspec.Struct):
    """The body of ``read``."""

    message: str


_decoder: Final = msgspec.json.Decoder(ReadRequest)


async def livez(_request: Request) -> Response:
    """Answer at once."""
    return Response(b'{"status":"alive"}', media_type="application/json")


async def bare_read(request: Request) -> Response:
    """Decode and answer."""
    _decoder.decode(await request.body())
    return Response(b'{"status":"received"}', media_type="application/json")


async def serve(port: int, ledger_file: str | None) -> None:
    """Serve until killed."""
    read = bare_read
    if ledger_file:
        # Imported here, because the bare server has no ledger.
        from daemon.ledger import Ledger

        ledger = await Ledger.open(Path(ledger_file))

        async def committed_read(request: Request) -> Response:
            """Decode, commit and answer."""
            message = _decoder.decode(await request.body()).message
            persona_id: str = request.path_params["persona_id"]
            await ledger.accept(persona_id, Conversation("web", persona_id), "text", message, None, time_ns(), None)
            return Response(b'{"status":"received"}', media_type="application/json")

        read = committed_read
    app = Starlette(routes=[Route("/api/persona/{persona_id}/read", read, methods=["POST"]), Route("/livez", livez)])
    config = uvicorn.Config(
        app,
        port=port,
        lifespan="off",
        http="httptools",
        ws="websockets-sansio",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None))
