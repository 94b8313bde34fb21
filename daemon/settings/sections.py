"""The settings' sections, their keys with types, bounds and defaults; ``etc/personad.toml`` describes each."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from daemon.settings.checks import (
    check_credential,
    check_host,
    check_hosts,
    check_keys_url,
    check_optional_url,
    check_path,
    check_phones,
    check_text,
    check_url,
)

Url = Annotated[str, check_url]
OptionalUrl = Annotated[str, check_optional_url]
Words = Annotated[str, check_text]
Host = Annotated[str, check_host]
Hosts = Annotated[tuple[str, ...], check_hosts]
FilePath = Annotated[str, check_path]
CredentialFile = Annotated[str, check_credential]
Phones = Annotated[tuple[str, ...], check_phones]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Seconds = Annotated[float, msgspec.Meta(ge=0.01, le=86_400)]
Bytes = Annotated[int, msgspec.Meta(ge=1024, le=1_073_741_824)]
FileBytes = Annotated[int, msgspec.Meta(ge=1024, le=1_099_511_627_776)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Level = Literal["debug", "info", "warning", "error"]


class Http(msgspec.Struct, frozen=True):
    """The API's listener. ``port`` 0 takes a free one; ``max_body`` in bytes, ``shutdown_timeout`` in seconds."""

    host: Host = "127.0.0.1"
    port: Port = 5000
    token_file: FilePath = ""
    allowed_hosts: Hosts = ()
    max_body: Bytes = 1_048_576
    shutdown_timeout: Seconds = 5.0


class Providers(msgspec.Struct, frozen=True):
    """Where each provider answers: its base URL."""

    telegram_url: Url = "https://api.telegram.org"
    discord_url: Url = "https://discord.com/api/v10"
    slack_url: Url = "https://slack.com/api/"
    twilio_url: Url = "https://api.twilio.com"
    whatsapp_url: Url = "https://graph.facebook.com"
    openai_url: Url = "https://api.openai.com/v1"
    anthropic_url: Url = "https://api.anthropic.com"
    xai_url: Url = "https://api.x.ai/v1"
    gemini_url: Url = "https://generativelanguage.googleapis.com/v1beta/openai"
    local_url: Url = "http://localhost:11434/v1"


class Mind(msgspec.Struct, frozen=True):
    """How long a mind may take, how often one call is tried again, and how words are put together; seconds."""

    first_token_timeout: Seconds = 60.0
    total_timeout: Seconds = 180.0
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    burst_window: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0
    history_lines: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 40


class Supervision(msgspec.Struct, frozen=True):
    """The deadlines and the restarts of workers; times in seconds."""

    ready_timeout: Seconds = 20.0
    stop_timeout: Seconds = 3.0
    hang_after: Seconds = 15.0
    backoff_min: Seconds = 0.2
    backoff_max: Seconds = 60.0
    stable_after: Seconds = 60.0
    failures: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5
    failure_window: Seconds = 300.0
    poison_deaths: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3


class Limits(msgspec.Struct, frozen=True):
    """How much of anything there may be: perceptions waiting per persona, characters, sockets, frames, bytes, days."""

    inbox: Count = 1000
    message_chars: Count = 65_536
    sockets: Count = 256
    socket_queue: Count = 512
    personas: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    upload: Bytes = 52_428_800
    uploads_at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    feed: FileBytes = 4_294_967_296
    feeds_at_once: Annotated[int, msgspec.Meta(ge=1, le=16)] = 2
    archive: FileBytes = 17_179_869_184
    replay_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30


class Organs(msgspec.Struct, frozen=True):
    """The embedded models: seconds until an idle host leaves, an own GGUF file, threads (0: one less than cores)."""

    idle_timeout: Seconds = 600.0
    mind_model: FilePath = ""
    threads: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0


class Logs(msgspec.Struct, frozen=True):
    """What is logged, the events kept for ``personad logs``, and the bytes taken of one line of a worker's."""

    level: Level = "info"
    tail: Annotated[int, msgspec.Meta(ge=10, le=100_000)] = 2000
    worker_line: Annotated[int, msgspec.Meta(ge=1024, le=262_144)] = 16_384


class Hooks(msgspec.Struct, frozen=True):
    """The listener for providers' webhooks; ``public_url`` is its address as providers see it. ``port`` 0: none."""

    host: Host = "127.0.0.1"
    port: Port = 5001
    public_url: OptionalUrl = ""


class Channels(msgspec.Struct, frozen=True):
    """Open channels: turns of visitors in hand at once per persona, seconds until the fallback, messages per sender.

    ``default_persona`` is the id of who answers on a channel that names nobody.
    """

    beats_at_once: Annotated[int, msgspec.Meta(ge=1, le=7)] = 4
    fallback_after: Seconds = 30.0
    sender_per_minute: Count = 10
    sender_per_day: Count = 200
    default_persona: Words = ""


class V1(msgspec.Struct, frozen=True):
    """The ``/v1`` door; ``organization_id`` is what its objects show as their organization."""

    organization_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100), check_text] = "personad"


class Oidc(msgspec.Struct, frozen=True):
    """Whose JSON web tokens open ``/v1``, beside the daemon's own tokens; no ``issuer``: nobody's."""

    issuer: Words = ""
    audience: Words = ""
    jwks_url: Annotated[str, check_keys_url] = ""
    jwks_file: FilePath = ""
    organization_claim: Words = ""


class Model(msgspec.Struct, frozen=True):
    """A ``[models.<id>]`` table: the mind that a channel's ``modelId`` names."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200), check_text]
    provider: Literal["local", "openai", "anthropic", "xai", "gemini", "embedded"] = "local"
    url: OptionalUrl = ""
    api_key_file: CredentialFile = ""


AccountType = Literal["twilio", "meta", "slack", "telegram"]


class Account(msgspec.Struct, frozen=True):
    """An ``[accounts.<name>]`` table: an account with a provider. Secrets stand in files, here are their paths."""

    type: AccountType
    phones: Phones = ()
    account_sid: Words = ""
    auth_token_file: CredentialFile = ""
    messaging_service_sid: Words = ""
    api_key_sid: Words = ""
    api_key_secret_file: CredentialFile = ""
    phone_number_id: Words = ""
    access_token_file: CredentialFile = ""
    app_secret_file: CredentialFile = ""
    verify_token_file: CredentialFile = ""
    bot_token_file: CredentialFile = ""
    app_token_file: CredentialFile = ""
    signing_secret_file: CredentialFile = ""
    signing_key_file: CredentialFile = ""
    webhook_secret_file: CredentialFile = ""


class AccountKeys(msgspec.Struct, frozen=True):
    """What an account of one type needs and may have besides; of ``one_of``, where there are any, one at least."""

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    together: tuple[str, ...] = ()


ACCOUNT_KEYS: Final[dict[AccountType, AccountKeys]] = {
    "twilio": AccountKeys(
        needs=("phones", "account_sid", "auth_token_file"),
        may=("messaging_service_sid", "signing_key_file"),
        together=("api_key_sid", "api_key_secret_file"),
    ),
    "meta": AccountKeys(
        needs=("phones", "phone_number_id", "access_token_file", "app_secret_file", "verify_token_file")
    ),
    "slack": AccountKeys(needs=("bot_token_file",), one_of=("app_token_file", "signing_secret_file")),
    "telegram": AccountKeys(needs=("bot_token_file",), may=("webhook_secret_file",)),
}

SECTIONS: Final[dict[str, type[msgspec.Struct]]] = {
    "http": Http,
    "v1": V1,
    "oidc": Oidc,
    "hooks": Hooks,
    "channels": Channels,
    "providers": Providers,
    "mind": Mind,
    "supervisor": Supervision,
    "limits": Limits,
    "organs": Organs,
    "logs": Logs,
}
"""In the order of the settings file."""

TABLES: Final[dict[str, type[msgspec.Struct]]] = {"models": Model, "accounts": Account}
"""Sections of tables that the operator names; they are set in the file only."""
