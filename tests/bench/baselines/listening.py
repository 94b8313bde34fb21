"""OpenAI's own client, which only reads the streams of a mind.

Run as ``python -m tests.bench.baselines.listening PORT STREAMS``: prints how late each first token was read, in seconds
after it was said, and the processor time of all of it.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import openai


async def _listen(client: openai.AsyncOpenAI) -> float:
    """Read one answer; return how late its first token came."""
    late = -1.0
    stream = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
    async for chunk in stream:
        if late < 0:
            late = time.monotonic() - float(chunk.choices[0].delta.content or 0)
    return late


async def _main(port: int, streams: int) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="k") as client:
        begun = time.process_time()
        late = await asyncio.gather(*(_listen(client) for _ in range(streams)))
        sys.stdout.buffer.write(msgspec.json.encode({"late": late, "seconds": time.process_time() - begun}))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
