"""Imports aiogram in such a way that its models are built at their first use.

While it is imported, aiogram builds the validator of each of its types, and each contains those of the types that it
refers to: 3.5 s of processor time and 100 MB, of which a bot uses a few percent. Its types are declared with
``defer_build`` (https://docs.pydantic.dev/latest/api/config/#pydantic.config.ConfigDict.defer_build), so pydantic
builds one at its first use, provided that it can find what the names in the annotations mean.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pydantic import BaseModel

Names = dict[str, Any]
"""What the names in aiogram's annotations mean (Any: models, unions of models, and other types)."""

ANSWERS: Final = ("Update", "User", "Message", "File", "WebhookInfo")
"""The types of the answers that the gateway reads: they must be complete before a ``Response`` of one can be built."""

METHODS: Final = (
    *("GetMe", "GetUpdates", "GetFile", "GetWebhookInfo", "SetWebhook", "DeleteWebhook", "SetMyCommands"),
    *("SendMessage", "SendMessageDraft", "SendChatAction", "SendPhoto", "SendVoice", "SendDocument"),
)
"""The methods that the gateway calls. Built before the fork, they are shared by all workers."""


def load() -> None:
    """Import aiogram, and build only the models that the gateway uses itself.

    Has no effect in a process that has imported aiogram before.
    """
    with _postponed() as names:
        methods = importlib.import_module("aiogram.methods")
    for name in methods.__all__:
        method = getattr(methods, name)
        if isinstance(method, type) and issubclass(method, BaseModel):
            method.__pydantic_parent_namespace__ = names
    for name in ANSWERS if names else ():
        names[name].model_rebuild()
    for name in METHODS:
        getattr(methods, name).model_rebuild()


@contextmanager
def _postponed() -> Iterator[Names]:
    """While this lasts, models that are to be built with explicit names only remember the names, which are yielded.

    ``__pydantic_parent_namespace__`` is where pydantic looks them up when it builds a model by itself
    (https://docs.pydantic.dev/latest/api/base_model/).
    """
    found: Names = {}
    original = BaseModel.__dict__["model_rebuild"]

    def postpone(model: type[BaseModel], /, *, _types_namespace: Names | None = None, **options: Any) -> bool | None:
        # Any: the options are pydantic's.
        if _types_namespace is None:
            built: bool | None = original.__func__(model, **options)
            return built
        found.update(_types_namespace)
        model.__pydantic_parent_namespace__ = found
        return None

    BaseModel.model_rebuild = classmethod(postpone)  # type: ignore[assignment,method-assign]  # only meanwhile
    try:
        yield found
    finally:
        BaseModel.model_rebuild = original  # type: ignore[method-assign]  # as it was
