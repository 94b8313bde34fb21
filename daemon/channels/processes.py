"""What channels need of the processes that personas run in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from proto.gateways import GatewayState, GatewayType, Identified
from proto.secrets import Secret


class Processes(Protocol):
    """The supervisor, as channels see it."""

    def running(self, persona_id: str) -> bool:
        """Whether she is being served."""

    async def follow(self, persona_id: str) -> None:
        """If she runs, replace her process by one that has her record as it is now.

        When it returns or raises StartFailed, the old process and its gateways are gone.
        """

    async def identify(
        self, kind: GatewayType, token: Secret, phone: str = "", credentials: Mapping[str, Secret] | None = None
    ) -> Identified:
        """Ask the provider whose token this is; for a phone number, whether it is the account's."""

    def send(self, persona_id: str, message: msgspec.Struct) -> None:
        """Send a message to her process, if there is one."""

    def gateways(self, persona_id: str) -> list[GatewayState]:
        """How her process last said that her gateways are."""
