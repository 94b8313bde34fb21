"""The errors of organs."""

from __future__ import annotations

from typing import Final

from proto.messages import Refusal

NOT_NOW: Final = "It does not work at the moment."


class OrganUnreachable(Exception):
    """The organ gave no answer. ``reason`` says why, ``hint`` what a person can do about it; both are whole sentences.

    ``permanent``: the same call will fail until somebody changes something. ``retry_after``: the wait in seconds that
    the provider asks for. ``again``: a retry makes sense. ``status``: the HTTP status, 0 for none. ``is_doubtful``:
    what was sent may have caused it, and another prompt may be answered. ``is_unconnected``: a connection
    could not be made or broke. ``is_broken``: it broke after the answer had begun.
    """

    def __init__(
        self,
        reason: str,
        hint: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        again: bool = False,
        status: int = 0,
        is_doubtful: bool = False,
        is_unconnected: bool = False,
        is_broken: bool = False,
    ) -> None:
        self.reason = _sentence(reason)
        super().__init__(self.reason)
        self.hint = hint
        self.permanent = permanent
        self.retry_after = retry_after
        self.again = again
        self.status = status
        self.is_doubtful = is_doubtful
        self.is_unconnected = is_unconnected
        self.is_broken = is_broken

    def shown(self, *, visitor: bool) -> str:
        """Return the reason in the form that may be shown in the conversation.

        A visitor learns what is wrong with a file, but nothing about servers and accounts that her owner has to fix.
        """
        return NOT_NOW if visitor and self.hint else self.reason


class PromptRefused(OrganUnreachable):
    """The organ works, but gives no answer to this prompt.

    ``context`` is the model's size as the refusal tells it, ``asked`` that of the prompt, both in tokens; 0: not told.
    """

    def __init__(
        self, kind: Refusal, reason: str, hint: str = "", *, status: int = 0, context: int = 0, asked: int = 0
    ) -> None:
        super().__init__(reason, hint, permanent=True, status=status)
        self.kind = kind
        self.context = context
        self.asked = asked


class OrganConfigError(Exception):
    """The organ's record names a model that does not exist. The error text says what to change."""


def _sentence(text: str) -> str:
    """Return a reason, which may be a provider's own words, so that another sentence can follow."""
    return f"{text}." if text and text[-1] not in ".!?\u2026)" else text
