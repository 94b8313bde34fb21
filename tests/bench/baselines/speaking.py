"""A mind that says a token every 10 ms; each token is the moment at which it was said.

Run as ``python -m tests.bench.baselines.speaking PORT TOKENS``. The moments are of the system's monotonic clock, which
all processes share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import Final

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

PACE: Final = 0.01
CHECKED: Final = b'"Say ok."'


async def complete(request: Request) -> Response:
    """Answer a chat completion in a stream; the check whether it answers at all gets one token."""
    tokens = 1 if CHECKED in await request.body() else int(sys.argv[2])
    return StreamingResponse(_spoken(tokens), media_type="text/event-stream")


async def _spoken(tokens: int) -> AsyncIterator[str]:
    begun = time.monotonic()
    for number in range(tokens):
        await asyncio.sleep(begun + number * PACE - time.monotonic())
        yield f'data: {{"choices":[{{"index":0,"delta":{{"content":"{time.monotonic():.6f} "}}}}]}}\n\n'
    yield 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


if __name__ == "__main__":
    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    config = uvicorn.Config(app, port=int(sys.argv[1]), lifespan="off", log_config=None, access_log=False)
    uvloop.run(uvicorn.Server(config).serve())
