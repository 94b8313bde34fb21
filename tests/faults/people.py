"""Who is in the scenario, and where they write."""

from __future__ import annotations

from typing import Final

from daemon.conversations.publisher import WEB
from proto.gateways import channel_id
from proto.messages import Conversation

ADA: Final = "a0000000-0000-4000-8000-000000000001"
BOB: Final = "b0000000-0000-4000-8000-000000000002"
EVE: Final = "e0000000-0000-4000-8000-000000000003"
ZOE: Final = "f0000000-0000-4000-8000-000000000004"
NOBODY: Final = "00000000-0000-4000-8000-000000000000"
PHONE: Final = channel_id("telegram", "phone")
"""Ada's channel that is paired with her owner."""
DESK: Final = channel_id("telegram", "desk")
"""Ada's channel that is open to everybody."""
OWNER: Final = "77"
WEB_CHAT: Final = Conversation(WEB, "web")
DEAD: Final = {"v-dead", "v-blocked", "v-out"}
"""Their answers never arrive, and those who watch are told so."""
