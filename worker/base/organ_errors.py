"""The errors of organs."""

from __future__ import annotations

from typing import Final

NOT_NOW: Final = "It does not work at the moment."


class OrganUnreachable(Exception):
    """The organ gave no answer. ``reason`` says why, ``hint`` what a person can do about it.

    ``permanent``: the same call will fail until somebody changes something. ``retry_after``: the wait in seconds that
    the provider asks for. ``again``: a retry makes sense. ``status``: the HTTP status, 0 for none.
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
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.permanent = permanent
        self.retry_after = retry_after
        self.again = again
        self.status = status

    def shown(self, *, visitor: bool) -> str:
        """Return the reason in the form that may be shown in the conversation.

        A visitor learns what is wrong with a file, but nothing about servers and accounts that her owner has to fix.
        """
        return NOT_NOW if visitor and self.hint else self.reason


class OrganConfigError(Exception):
    """The organ's record names a model that does not exist. The error text says what to change."""
