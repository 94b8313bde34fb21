"""Where something is said."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from proto.texts import Label

Address: TypeAlias = tuple[str, str]
"""A channel's id and the provider's id of a chat on it; two empty strings for the web."""

OPENAI: Final = "openai"
"""The type of the conversations that requests for a chat completion make: the chat is the request's key."""


class Conversation(msgspec.Struct, frozen=True):
    """Where a message came from and where the reply goes.

    ``type`` and ``name`` are what people see of the channel; ``channel`` is its id and ``chat`` the provider's id of
    the chat. The web has neither.
    """

    type: Label
    name: Label
    channel: Label = ""
    chat: Label = ""

    @property
    def address(self) -> Address:
        """Identifies the conversation among all conversations of its persona on gateways."""
        return (self.channel, self.chat)
