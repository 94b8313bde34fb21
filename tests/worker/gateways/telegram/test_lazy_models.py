"""aiogram's models are built when they are needed, and each can be."""

from __future__ import annotations

import subprocess
import sys

from tests.patience import PATIENCE

PROGRAM = """
import worker.gateways.telegram.gateway
from aiogram import methods, types
from pydantic import ValidationError
from worker.gateways.telegram.lazy_models import ANSWERS, METHODS

models = {name: getattr(module, name) for module in (types, methods) for name in module.__all__}
del models["TelegramMethod"]  # which is abstract
models = {name: model for name, model in models.items() if hasattr(model, "model_validate")}
built = {name for name, model in models.items() if model.__pydantic_complete__}
print({*ANSWERS, *METHODS} <= built, len(built) < len(models) / 2)
for model in models.values():
    try:
        model.model_validate({})
    except ValidationError:
        pass
print([name for name, model in models.items() if not model.__pydantic_complete__])
"""


def test_models_are_built_at_their_first_use() -> None:
    """After the import only the gateway's own are built, and any other can be used."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout.splitlines() == ["True True", "[]"], done.stderr
