"""How an organ fails."""

from __future__ import annotations

from typing import Final

NOT_NOW: Final = "It does not work at the moment."


class OrganUnreachable(Exception):
    """The organ gave no answer: ``reason`` says why and ``hint`` what a person can do about it.

    ``permanent`` means that the same call will fail until somebody changes something; ``retry_after`` is the
    provider's own word in seconds; ``again`` that a retry is sensible; ``status`` the HTTP status, 0 for none.
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

    def told(self, *, visitor: bool) -> str:
        """The reason as it may be told to whom she talks with.

        A visitor hears what is wrong with a file, and nothing of what her person has to mend: servers and accounts.
        """
        return NOT_NOW if visitor and self.hint else self.reason


class OrganConfigError(Exception):
    """The organ's record names no model there is; its text says what to change."""
