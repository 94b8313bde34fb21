"""The meaning of texts as vectors: all-MiniLM-L6-v2 (int8) on onnxruntime. It understands English best.

How the model wants to be used, mean over the tokens and length 1:
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from worker.embedded import weights
from worker.embedded.fault import HostFault
from worker.embedded.weights import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

MOST_TOKENS: Final = 256
"""Tokens of one text that the model was made for; the rest is left out."""

AT_ONCE: Final = 8
"""Texts in one run of the model: more take more memory and are hardly faster."""

SCALE: Final = 127
"""A vector's numbers lie between -1 and 1 and are kept as signed bytes."""


class Meaning:
    """Makes vectors. It blocks, so it runs on a thread."""

    def __init__(self) -> None:
        self._loaded: tuple[InferenceSession, Tokenizer] | None = None

    def embed(self, texts: Sequence[str]) -> bytes:
        """Return one vector of signed bytes for each text, one behind the other.

        Raises HostFault when a package or the model is missing.
        """
        require("meaning")
        if self._loaded is None:
            self._loaded = _load()
        session, tokenizer = self._loaded
        return b"".join(
            _vectors(session, tokenizer, list(texts[start : start + AT_ONCE]))
            for start in range(0, len(texts), AT_ONCE)
        )


def _load() -> tuple[InferenceSession, Tokenizer]:
    model, words = weights.MEANING.verified(), weights.MEANING_TOKENIZER.verified()
    from onnxruntime import InferenceSession, SessionOptions
    from tokenizers import Tokenizer

    options = SessionOptions()
    # One thread: it works in the background, or on one short question. An arena would keep the largest batch's memory.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    try:
        session = InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(words))
    except Exception as error:  # both libraries raise bare Exceptions
        raise HostFault(f"The model of meaning cannot be loaded: {error}") from error
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.enable_padding()
    return session, tokenizer


def _vectors(session: InferenceSession, tokenizer: Tokenizer, texts: list[str]) -> bytes:
    import numpy as np

    read = tokenizer.encode_batch(texts)
    mask = np.array([one.attention_mask for one in read], np.int64)
    given = {
        "input_ids": np.array([one.ids for one in read], np.int64),
        "attention_mask": mask,
        "token_type_ids": np.zeros_like(mask),
    }
    names = {one.name for one in session.get_inputs()}
    hidden = session.run(None, {name: value for name, value in given.items() if name in names})[0]
    mean = (hidden * mask[:, :, None]).sum(axis=1) / np.maximum(mask.sum(axis=1), 1)[:, None]
    unit = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    vectors: bytes = np.rint(unit * SCALE).astype(np.int8).tobytes()
    return vectors
