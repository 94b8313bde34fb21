"""The embedded mind's model: llama.cpp through xllamacpp, in this process."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proto.messages import ChatTurn
from worker.embedded import weights
from worker.embedded.fault import HostFault

if TYPE_CHECKING:
    import xllamacpp

HINT: Final = "Install the packages of requirements.lock, or give her a mind of another provider."

CONTEXT_TOKENS: Final = 2048

MOST_SOCKET_PATH: Final = 100
"""Bytes. A Unix socket's path must not be longer (https://man7.org/linux/man-pages/man7/unix.7.html).

With a longer path the listener is on a loopback port, protected by a random key.
"""


class LanguageModel:
    """One model in this process. It blocks, so it runs on a thread."""

    def __init__(self, model: str, threads: int) -> None:
        """``model`` is the path of the operator's own GGUF file, "" for the packaged one."""
        self._path = model
        self._threads = threads
        self._server: xllamacpp.Server | None = None

    def generate(self, turns: list[ChatTurn], max_tokens: int) -> str:
        """Answer greedily, loading the model first if necessary. Raises HostFault when that or the answer fails."""
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
        path = Path(self._path) if self._path else weights.MIND.verified()
        # Imported here so that only a host whose mind is called pays for llama.cpp.
        import xllamacpp

        # llama.cpp's server always opens a listener. Here it is a socket in a folder that is deleted right away.
        try:
            with tempfile.TemporaryDirectory(prefix="personad-") as folder:
                return xllamacpp.Server(self._parameters(xllamacpp.CommonParams(), path, f"{folder}/unused.sock"))
        except (RuntimeError, ValueError, OSError) as error:
            raise HostFault(f"{path.name} could not be loaded: {error}") from error

    def _parameters(self, parameters: xllamacpp.CommonParams, path: Path, listener: str) -> xllamacpp.CommonParams:
        parameters.model.path = str(path)
        parameters.n_ctx = CONTEXT_TOKENS
        parameters.n_parallel = 1
        # On two busy cores, two spinning threads drop from 100 to 4 tokens per second. So one core is left free.
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
    """Return "" if the embedded mind can be loaded, otherwise why not; ``model`` is as for ``LanguageModel``."""
    if not model:
        return weights.check("thinking")
    if reason := weights.absence("mind", {"xllamacpp": "xllamacpp"}):
        return reason
    return "" if Path(model).is_file() else f"There is no model file {model}."
