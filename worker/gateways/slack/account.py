"""A Slack app: the web API, its tokens, people's names, and what the error codes mean.

https://api.slack.com/web
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from proto.gateways import Gateway
from proto.secrets import Secret
from worker.gateways.common.account import REQUEST_TIMEOUT, Identity
from worker.gateways.common.reading import fitted, parsed
from worker.gateways.common.rest import ErrorBody, Rest, understood
from worker.gateways.common.trouble import (
    DEFAULT_WAIT,
    NETWORK,
    PROVIDER_ERRORS,
    WAIT,
    Fate,
    Refusal,
    Trouble,
    passing,
)

THREAD: Final = 200
"""Messages of a thread that are asked for."""

NAMES: Final = 1000
"""People whose names are cached."""

NEW_TOKEN: Final = (
    "Copy the app's tokens from api.slack.com/apps again (OAuth & Permissions: xoxb, Basic Information: xapp) into the "
    "files that the account names."
)
SCOPES: Final = (
    "Give the app the scopes chat:write, im:history, app_mentions:read, users:read, files:read and files:write "
    "(api.slack.com/apps, OAuth & Permissions), and install it again. With channels:history and groups:history she "
    "also reads the thread in which somebody mentions her."
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
"""Errors that persist until a person sets other tokens (https://api.slack.com/methods/auth.test#errors)."""

UNREACHABLE: Final = frozenset(
    {"channel_not_found", "is_archived", "not_in_channel", "restricted_action", "cannot_dm_bot", "user_disabled"}
)
"""Errors that concern one conversation only (https://api.slack.com/methods/chat.postMessage#errors)."""

UNSENDABLE: Final = frozenset(
    {
        "msg_too_long",
        "no_text",
        "msg_blocks_too_long",
        "markdown_text_conflict",
        "too_many_attachments",
        "cannot_reply_to_message",
        "invalid_arguments",
        "invalid_arg_name",
        "invalid_charset",
        "invalid_form_data",
        "file_not_found",
        "file_upload_size_restricted",
        "file_uploads_disabled",
        "file_uploads_except_images_disabled",
        "slack_connect_file_upload_sharing_blocked",
    }
)
"""Errors that concern this message and will always be the same
(https://api.slack.com/methods/chat.postMessage#errors,
https://api.slack.com/methods/files.completeUploadExternal#errors)."""

PASSING: Final = frozenset({"team_added_to_org", "message_limit_exceeded"})
"""Errors of the workspace that pass: it is being moved, or all of it sends too much. The message was not taken."""

FAULTS: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout"})
"""Slack's own faults, after which "some aspect of the operation" may have succeeded
(https://api.slack.com/methods/chat.postMessage#errors)."""


class _Answer(msgspec.Struct):
    """The fields that every answer has."""

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


class File(msgspec.Struct):
    """A file of a message (https://api.slack.com/types/file). ``subtype`` is ``slack_audio`` for a recorded clip."""

    id: str = ""
    subtype: str = ""
    name: str = ""
    title: str = ""
    mimetype: str = ""
    file_access: str = ""
    size: int = 0
    url_private_download: str = ""
    url_private: str = ""


class _FileInfo(msgspec.Struct):
    file: File


class Said(msgspec.Struct):
    """A message of a thread."""

    ts: str
    user: str = ""
    text: str = ""


class _Thread(msgspec.Struct):
    messages: list[Said] = []


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

        Slack answers most errors with status 200 (https://api.slack.com/web#evaluating_responses).
        """
        headers = {"Authorization": f"Bearer {token}"} if token else None
        answer = await self.ask("POST", f"/{method}", form=arguments, headers=headers)
        found = understood(answer, _Answer)
        if not found.ok:
            raise Refusal(200, found.error, found.needed or found.error)
        return answer

    async def whoami(self) -> Identity:
        """Ask whose token this is. An app-level token is tried too: Socket Mode cannot connect without it."""
        identity = await self.test()
        if self.app_token:
            await self.socket_url()
        return identity

    async def test(self) -> Identity:
        """Ask whose bot token this is (https://api.slack.com/methods/auth.test)."""
        found = understood(await self.call("auth.test", {}), _Test)
        return Identity(found.user_id, f"{found.user} in {found.team}" if found.team else found.user)

    async def socket_url(self) -> str:
        """Get a single-use URL for Socket Mode (https://api.slack.com/methods/apps.connections.open)."""
        return understood(await self.call("apps.connections.open", {}, self.app_token.reveal()), _Opened).url

    async def name(self, user: str) -> str:
        """Return a person's name, or their id if Slack does not return the name.

        https://api.slack.com/methods/users.info
        """
        if user not in self._names:
            try:
                found = understood(await self.call("users.info", {"user": user}), _UserInfo).user
            except PROVIDER_ERRORS:
                # The scope users:read is optional: the id already says who writes.
                return user
            name = found.profile.display_name or found.profile.real_name or found.name
            if len(self._names) >= NAMES:
                del self._names[next(iter(self._names))]
            self._names[user] = " ".join(name.split())[:128] or user
        return self._names[user]

    async def file(self, id_: str) -> File | None:
        """Look up a file; None if Slack does not return it (https://api.slack.com/methods/files.info)."""
        try:
            return understood(await self.call("files.info", {"file": id_}), _FileInfo).file
        except PROVIDER_ERRORS:
            return None

    async def thread(self, channel: str, ts: str, until: str) -> list[Said]:
        """Return a thread's messages before ``until``, oldest first; none if the app may not read the channel.

        https://api.slack.com/methods/conversations.replies
        """
        arguments = {"channel": channel, "ts": ts, "latest": until, "limit": str(THREAD)}
        try:
            return understood(await self.call("conversations.replies", arguments), _Thread).messages
        except PROVIDER_ERRORS:
            # The scopes channels:history and groups:history are optional: the mention itself can be answered.
            return []

    def classify(self, error: Exception) -> Trouble:
        match error:
            case Refusal(status=status, code=code) if status == 429 or code in ("ratelimited", "rate_limited"):
                seconds = error.retry_after or DEFAULT_WAIT
                return Trouble("throttle", f"Slack asks us to wait {seconds:g} s.", WAIT, seconds)
            case Refusal(status=status, code=code) if status == 401 or code in CREDENTIALS:
                return Trouble("credential", f"Slack refuses the app's token ({code or status}).", NEW_TOKEN)
            case Refusal(code="missing_scope", message=needed):
                reason = f"The Slack app lacks a permission (missing_scope: {needed.rstrip('.')})."
                return Trouble("config", reason, SCOPES)
            case Refusal(code=code) if code in UNREACHABLE or str(code).startswith("restricted_action_"):
                reason = f"Slack does not let her write there ({code})."
                return Trouble("recipient", reason, "Invite the app to that channel.", fate="blocked")
            case Refusal(code=code) if code in FAULTS:
                return Trouble("transient", f"Slack has an internal fault ({code}).", NETWORK, fate="perhaps")
            case Refusal(code=code) if code in PASSING:
                return Trouble("transient", f"Slack does not take messages at the moment ({code}).", NETWORK)
            case Refusal(status=200, code=code):
                # Slack's lists of errors are not complete, so an unknown one may also pass.
                fate: Fate = "never" if code in UNSENDABLE else "unclear"
                return Trouble("transient", f"Slack refused the request ({code}).", NETWORK, fate=fate)
            case _:
                return passing(self.provider, error)

    def read_error(self, body: bytes) -> ErrorBody:
        found = fitted(parsed(body), _Answer)
        return ErrorBody(found.error or None, found.needed or found.error)
