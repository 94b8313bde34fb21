"""OpenAI's own client, which only reads the streams of a mind.

Run as ``python -m tests.bench.baselines.listening PORT STREAMS``: prints how late the first token of each of so many
answers was read, one after another, in seconds after it was said; and the processor time for as many whole answers at
once.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
import openai


async def _first(client: openai.AsyncOpenAI) -> float:
    stream = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
    async with stream:
        chunk = await anext(aiter(stream))
        return time.monotonic() - float(chunk.choices[0].delta.content or 0)


async def _whole(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True)
    async for _ in stream:
        pass


async def _main(port: int, streams: int) -> None:
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="k") as client:
        late = [await _first(client) for _ in range(streams)]
        begun = time.process_time()
        await asyncio.gather(*(_whole(client) for _ in range(streams)))
        sys.stdout.buffer.write(msgspec.json.encode({"late": late, "seconds": time.process_time() - begun}))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
