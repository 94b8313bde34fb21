"""What channels need from personas' processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from proto.gateways import GatewayState, GatewayType, Identified
from proto.secrets import Secret


class Processes(Protocol):
    """The supervisor as channels see it."""

    def running(self, persona_id: str) -> bool:
        """Whether she is wanted running; True also while her process is being replaced."""

    async def follow(self, persona_id: str) -> None:
        """If she runs, replace her process with one that reads her current record.

        When this returns or raises StartFailed, the old process and its gateways are gone.
        """

    async def match_record(self, persona_id: str) -> None:
        """After an edit by hand: as ``follow``, and start or stop her as her record says. Raises StartFailed."""

    async def identify(
        self, kind: GatewayType, token: Secret, phone: str = "", credentials: Mapping[str, Secret] | None = None
    ) -> Identified:
        """Ask the provider whose token this is, or whether a phone number belongs to the account."""

    def send(self, persona_id: str, message: msgspec.Struct) -> None:
        """Send a message to her process, if there is one."""

    def gateways(self, persona_id: str) -> list[GatewayState]:
        """The states of her gateways that her process reported last."""
