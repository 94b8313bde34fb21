"""What goes wrong with Slack, in words that a person can act on."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, TypeAlias

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from proto.secrets import MASK, Secret, redact

REASON_CHARS: Final = 500
DEFAULT_WAIT: Final = 5.0
"""Seconds to wait after a 429 that does not say how long."""

ProviderError: TypeAlias = SlackClientError | aiohttp.ClientError | OSError | ValueError
PROVIDER_ERRORS: Final = (SlackClientError, aiohttp.ClientError, OSError, ValueError)
"""What a request or the socket may raise for trouble with Slack; ValueError is JSON that is none."""

NEW_TOKEN: Final = (
    "Copy the app's tokens from api.slack.com/apps anew (OAuth & Permissions: xoxb, Basic Information: xapp) into the "
    "files that the account names, and restart personad."
)
SCOPES: Final = (
    "Give the app the scopes chat:write, im:history, app_mentions:read, users:read, files:read and files:write "
    "(api.slack.com/apps, OAuth & Permissions), and install it again."
)
SOCKET: Final = "Switch Socket Mode on for the app (api.slack.com/apps, Socket Mode), and resume the channel."
WAY_IN: Final = (
    "Give the account an app_token_file (Socket Mode), or set hooks.public_url (PERSONAD_HOOKS_PUBLIC_URL) for Slack "
    "to call, and restart personad."
)
NETWORK: Final = "Check this machine's network and whether Slack is up. Trying again by itself."
WAIT: Final = "Nothing to do: it goes on by itself."

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
"""Errors that stay until a person gives other tokens (Slack's documentation, auth.test)."""

UNREACHABLE: Final = frozenset(
    {"channel_not_found", "is_archived", "not_in_channel", "restricted_action", "cannot_dm_bot", "user_disabled"}
)
"""Errors of chat.postMessage that concern one conversation only."""


class Trouble(NamedTuple):
    """What an error means: after ``credential`` and ``config`` only a person can help, the others pass."""

    kind: Literal["credential", "config", "recipient", "wait", "refused", "network"]
    reason: str
    hint: str
    retry_after: float = 0.0


def trouble(error: Exception, *secrets: Secret) -> Trouble:
    """Put an error into words, without the tokens."""
    match error:
        case SlackApiError():
            return _refusal(error)
        case TimeoutError():
            return Trouble("network", "Slack did not answer in time.", NETWORK)
        case OSError() | aiohttp.ClientError() | SlackClientError():
            told = f"Slack cannot be reached: {str(error) or type(error).__name__}"
            return Trouble("network", clean(told, *secrets), NETWORK)
        case _:
            told = f"Slack's address answers something that is not its protocol ({type(error).__name__})."
            return Trouble("network", told, NETWORK)


def maybe_taken(error: Exception) -> bool:
    """Whether Slack may have done what was asked: the request was written, and no word of refusal came."""
    match error:
        case SlackApiError():
            return _status(error) >= 500
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return False
        case _:
            return True


def clean(text: str, *secrets: Secret) -> str:
    """One short line without the tokens and without anything that looks like one."""
    for secret in secrets:
        if secret.reveal():
            text = text.replace(secret.reveal(), MASK)
    line = " ".join(redact(text).split())
    return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"


def _refusal(error: SlackApiError) -> Trouble:
    code, status = _told(error, "error"), _status(error)
    if status == 429 or code in ("ratelimited", "rate_limited"):
        seconds = _retry_after(error)
        return Trouble("wait", f"Slack asks to wait {seconds:g} s.", WAIT, seconds)
    if code in CREDENTIALS:
        return Trouble("credential", f"Slack refuses the app's token ({code}).", NEW_TOKEN)
    if code == "missing_scope":
        return Trouble("config", f"The Slack app lacks a permission (missing_scope: {_told(error, 'needed')}).", SCOPES)
    if code in UNREACHABLE:
        return Trouble("recipient", f"Slack does not let her write there ({code}).", "Invite the app to that channel.")
    if status >= 500 or not code:
        return Trouble("network", f"Slack answers {status}.", NETWORK)
    return Trouble("refused", f"Slack refuses it ({code}).", NETWORK)


def _answer(error: SlackApiError) -> Any:
    # Any: slack_sdk's response, a plain dict, or whatever text a proxy answered.
    return error.response


def _told(error: SlackApiError, field: str) -> str:
    """A field of the answer; a proxy may have answered something that is no JSON at all."""
    data = getattr(_answer(error), "data", _answer(error))
    return str(data.get(field) or "") if isinstance(data, dict) else ""


def _status(error: SlackApiError) -> int:
    return int(getattr(_answer(error), "status_code", 0) or 0)


def _retry_after(error: SlackApiError) -> float:
    headers = getattr(_answer(error), "headers", {}) or {}
    told = next((str(value) for name, value in headers.items() if name.lower() == "retry-after"), "")
    return float(told) if told.isdigit() else DEFAULT_WAIT
