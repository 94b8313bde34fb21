"""Asks a local server how many tokens its model takes: Ollama in its own API, any other in its list of models.

Ollama silently cuts what is longer, the oldest and the system turn first (https://docs.ollama.com/context-length).
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from proto.messages import MindLimits
from worker.organs.remote import http_client

MAX_ASKED: Final = 3
"""How often a server that does not tell is asked."""

TIMEOUT: Final = 5.0
MAX_BODY: Final = 4 * 1024 * 1024

OLLAMA_DEFAULT: Final = 4096
"""What Ollama gives a model unless it is configured otherwise (https://docs.ollama.com/faq)."""

_NAMES: Final = ("loaded_context_length", "max_model_len", "context_length", "context_window", "max_context_length")
"""A model's size in the lists of LM Studio, vLLM, OpenRouter, Groq and Mistral."""


@dataclass(frozen=True)
class Told:
    """The size in tokens, 0 if it is not told. ``is_sure``: asking again would not tell more."""

    tokens: int = 0
    is_sure: bool = False


async def context_of(
    url: str, model: str, limits: MindLimits, transport: httpx2.AsyncBaseTransport | None = None
) -> Told:
    """Return how many tokens this model takes on the server. A server that does not answer tells nothing."""
    bare = url.removesuffix("/v1")
    try:
        async with asyncio.timeout(TIMEOUT), http_client(url, limits, transport) as client:
            shown = await _json(client, "POST", f"{bare}/api/show", {"model": model})
            if shown is not None:
                return _ollama(shown, await _json(client, "GET", f"{bare}/api/ps") or {}, model)
            return _listed(await _json(client, "GET", f"{url}/models") or {}, model)
    except (TimeoutError, OSError, httpx2.HTTPError, ValueError):
        return Told()


def _ollama(shown: dict[str, Any], loaded: dict[str, Any], model: str) -> Told:
    """What runs counts most, then what the model file sets, then the default."""
    for one in _list(loaded, "models"):
        names = (one.get("name"), one.get("model"), str(one.get("name")).removesuffix(":latest"))
        if model in names and (tokens := _number(one.get("context_length"))):
            return Told(tokens, is_sure=True)
    if found := re.search(r"(?m)^num_ctx\s+(\d{1,9})", str(shown.get("parameters", ""))):
        return Told(int(found[1]), is_sure=True)
    info = shown.get("model_info")
    sizes = info.items() if isinstance(info, dict) else ()
    trained = [_number(size) for name, size in sizes if name.endswith(".context_length")]
    return Told(min([OLLAMA_DEFAULT, *filter(None, trained)]))


def _listed(models: dict[str, Any], model: str) -> Told:
    for one in _list(models, "data"):
        if one.get("id") == model:
            meta = one.get("meta")
            sizes = [one.get(name) for name in _NAMES]
            # llama.cpp's server: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
            sizes += [meta.get("n_ctx")] if isinstance(meta, dict) else []
            return Told(next(filter(None, map(_number, sizes)), 0), is_sure=True)
    return Told(is_sure=True)


async def _json(client: httpx2.AsyncClient, method: str, url: str, body: object = None) -> dict[str, Any] | None:
    """Return the JSON object of an answer, None for a refusal. Any: JSON."""
    async with client.stream(method, url, json=body) as response:
        if response.status_code != 200:
            return None
        raw = bytearray()
        async for chunk in response.aiter_bytes():
            raw += chunk
            if len(raw) > MAX_BODY:
                return None
    value = json.loads(raw)
    return value if isinstance(value, dict) else None


def _list(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = holder.get(name)
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []


def _number(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < 10_000_000 else 0
