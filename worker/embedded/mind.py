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
"""A longer path is no Unix socket (unix(7)); the listener is then on a loopback port, with a key that nobody knows."""


class LanguageModel:
    """One model in this process; blocking, so it lives on a thread."""

    def __init__(self, model: str, threads: int) -> None:
        """``model`` is the path of the operator's own GGUF, "" for the packaged one."""
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
        path = Path(self._path) if self._path else weights.MIND.verified()
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
    if not model:
        return weights.check("thinking")
    if reason := weights.absence("mind", {"xllamacpp": "xllamacpp"}):
        return reason
    return "" if Path(model).is_file() else f"There is no model file {model}."
