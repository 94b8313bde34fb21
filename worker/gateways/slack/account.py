"""Slack's web API: one app, its tokens, the names of people, and what the error codes mean.

https://api.slack.com/web
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from proto.gateways import Gateway
from proto.secrets import Secret
from worker.gateways.common.account import REQUEST_TIMEOUT, Identity
from worker.gateways.common.rest import Rest, Told, understood
from worker.gateways.common.trouble import (
    DEFAULT_WAIT,
    NETWORK,
    PROVIDER_ERRORS,
    WAIT,
    Refusal,
    Trouble,
    passing,
)

NAMES: Final = 1000
"""People whose names are remembered."""

NEW_TOKEN: Final = (
    "Copy the app's tokens from api.slack.com/apps again (OAuth & Permissions: xoxb, Basic Information: xapp) into the "
    "files that the account names, and restart personad."
)
SCOPES: Final = (
    "Give the app the scopes chat:write, im:history, app_mentions:read, users:read, files:read and files:write "
    "(api.slack.com/apps, OAuth & Permissions), and install it again."
)

CREDENTIALS: Final = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "not_allowed_token_type",
        "no_permission",
        "org_login_required",
        "ekm_access_denied",
        "access_denied",
        "team_access_not_granted",
    }
)
"""Errors that stay until a person gives other tokens (https://api.slack.com/methods/auth.test#errors)."""

UNREACHABLE: Final = frozenset(
    {"channel_not_found", "is_archived", "not_in_channel", "restricted_action", "cannot_dm_bot", "user_disabled"}
)
"""Errors that concern one conversation only (https://api.slack.com/methods/chat.postMessage#errors)."""

FAULTS: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
"""Faults of Slack's own, in which "some aspect of the operation" may have been done (the same page)."""


class _Answer(msgspec.Struct):
    """What every answer begins with."""

    ok: bool = False
    error: str = ""
    needed: str = ""


class _Profile(msgspec.Struct):
    display_name: str = ""
    real_name: str = ""


class _User(msgspec.Struct):
    name: str = ""
    profile: _Profile = msgspec.field(default_factory=_Profile)


class _UserInfo(msgspec.Struct):
    user: _User


class _Test(msgspec.Struct):
    user_id: str
    user: str = ""
    team: str = ""


class _Opened(msgspec.Struct):
    url: str


class Slack(Rest):
    """One app in one workspace."""

    provider = "Slack"
    page_hint = "; the app may lack the scope files:read"
    file_suffixes = trusted_suffixes = ("slack.com",)

    def __init__(self, gateway: Gateway, url: str, request_timeout: float = REQUEST_TIMEOUT) -> None:
        headers = {"Authorization": f"Bearer {gateway.token.reveal()}"}
        super().__init__(gateway, url, headers, request_timeout)
        self.app_token = gateway.credentials.get("app_token", Secret(""))
        self._names: dict[str, str] = {}

    async def call(self, method: str, arguments: dict[str, str], token: str = "") -> Any:
        """Call a method of the web API and return its answer (Any: its JSON). Raises what PROVIDER_ERRORS lists.

        Slack answers most errors with 200 (https://api.slack.com/web#evaluating_responses).
        """
        headers = {"Authorization": f"Bearer {token}"} if token else None
        answer = await self.ask("POST", f"/{method}", form=arguments, headers=headers)
        told = understood(answer, _Answer)
        if not told.ok:
            raise Refusal(200, told.error, told.needed or told.error)
        return answer

    async def whoami(self) -> Identity:
        """Ask whose token it is. An app-level token is tried, too: without it Socket Mode cannot connect."""
        identity = await self.test()
        if self.app_token:
            await self.socket_url()
        return identity

    async def test(self) -> Identity:
        """https://api.slack.com/methods/auth.test"""
        found = understood(await self.call("auth.test", {}), _Test)
        return Identity(found.user_id, f"{found.user} in {found.team}" if found.team else found.user)

    async def socket_url(self) -> str:
        """A single-use address for Socket Mode (https://api.slack.com/methods/apps.connections.open)."""
        return understood(await self.call("apps.connections.open", {}, self.app_token.reveal()), _Opened).url

    async def name(self, user: str) -> str:
        """What a person is called; their id when Slack does not tell."""
        if user not in self._names:
            try:
                found = understood(await self.call("users.info", {"user": user}), _UserInfo).user
            except PROVIDER_ERRORS:
                # The scope users:read is a convenience: who writes is known by the id.
                return user
            name = found.profile.display_name or found.profile.real_name or found.name
            if len(self._names) >= NAMES:
                del self._names[next(iter(self._names))]
            self._names[user] = " ".join(name.split())[:128] or user
        return self._names[user]

    def classify(self, error: Exception) -> Trouble:
        match error:
            case Refusal(status=status, code=code) if status == 429 or code in ("ratelimited", "rate_limited"):
                seconds = error.retry_after or DEFAULT_WAIT
                return Trouble("throttle", f"Slack asks to wait {seconds:g} s.", WAIT, seconds)
            case Refusal(status=status, code=code) if status == 401 or code in CREDENTIALS:
                return Trouble("credential", f"Slack refuses the app's token ({code or status}).", NEW_TOKEN)
            case Refusal(code="missing_scope", message=needed):
                told = f"The Slack app lacks a permission (missing_scope: {needed.rstrip('.')})."
                return Trouble("config", told, SCOPES)
            case Refusal(code=code) if code in UNREACHABLE:
                told = f"Slack does not let her write there ({code})."
                return Trouble("recipient", told, "Invite the app to that channel.", fate="blocked")
            case Refusal(code=code) if code in FAULTS:
                return Trouble("transient", f"Slack has a fault of its own ({code}).", NETWORK, fate="perhaps")
            case Refusal(status=200, code=code):
                return Trouble("transient", f"Slack refuses it ({code}).", NETWORK, fate="never")
            case _:
                return passing(self.provider, error)

    def read_error(self, body: bytes) -> Told:
        found = msgspec.json.decode(body, type=_Answer)
        return Told(found.error or None, found.needed or found.error)
