"""The sections of the settings, with each key's type, bounds and default. ``etc/personad.toml`` describes them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from daemon.settings.amounts import check_currency, check_limit
from daemon.settings.checks import (
    check_credential,
    check_host,
    check_hosts,
    check_keys_url,
    check_networks,
    check_optional_url,
    check_path,
    check_phones,
    check_text,
    check_url,
)

Url = Annotated[str, check_url]
OptionalUrl = Annotated[str, check_optional_url]
OneLine = Annotated[str, check_text]
Host = Annotated[str, check_host]
Hosts = Annotated[tuple[str, ...], check_hosts]
Networks = Annotated[tuple[str, ...], check_networks]
FilePath = Annotated[str, check_path]
CredentialFile = Annotated[str, check_credential]
Phones = Annotated[tuple[str, ...], check_phones]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Seconds = Annotated[float, msgspec.Meta(ge=0.01, le=86_400)]
Bytes = Annotated[int, msgspec.Meta(ge=1024, le=1_073_741_824)]
FileBytes = Annotated[int, msgspec.Meta(ge=1024, le=1_099_511_627_776)]
Memory = Annotated[int, msgspec.Meta(ge=67_108_864, le=1_099_511_627_776)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Limit = Annotated[str, check_limit]
Cost = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
Level = Literal["debug", "info", "warning", "error"]


class Http(msgspec.Struct, frozen=True):
    """The API's listener. ``port`` 0 picks a free one; ``max_body`` is in bytes, ``shutdown_timeout`` in seconds."""

    host: Host = "127.0.0.1"
    port: Port = 5000
    token_file: FilePath = ""
    allowed_hosts: Hosts = ()
    trusted_proxies: Networks = ()
    max_body: Bytes = 1_048_576
    shutdown_timeout: Seconds = 5.0


class Providers(msgspec.Struct, frozen=True):
    """Each provider's base URL."""

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
    """A mind's deadlines in seconds, its retries, which messages go into one turn, and how many tokens it takes."""

    first_token_timeout: Seconds = 60.0
    total_timeout: Seconds = 180.0
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    burst_window: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.0
    history_lines: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 40
    context: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0


class Supervision(msgspec.Struct, frozen=True):
    """Deadlines and restarts of workers; times are in seconds."""

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
    """Upper limits: waiting perceptions per persona, characters, sockets, frames, personas, bytes, days."""

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
    process_memory: Memory = 1_073_741_824
    completion: Bytes = 33_554_432
    completions_at_once: Annotated[int, msgspec.Meta(ge=1, le=256)] = 16
    replay_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30


class Organs(msgspec.Struct, frozen=True):
    """The embedded models.

    Seconds until an idle host ends, another GGUF file, threads (0: one less than cores), bytes of memory for the host,
    and whether recall compares meanings beside words.
    """

    idle_timeout: Seconds = 600.0
    mind_model: FilePath = ""
    threads: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    memory: Memory = 4_294_967_296
    meaning: bool = True


class Logs(msgspec.Struct, frozen=True):
    """The log level, the events kept for ``personad logs``, and the bytes kept of one line from a worker."""

    level: Level = "info"
    tail: Annotated[int, msgspec.Meta(ge=10, le=100_000)] = 2000
    worker_line: Annotated[int, msgspec.Meta(ge=1024, le=262_144)] = 16_384


class Hooks(msgspec.Struct, frozen=True):
    """The listener for providers' webhooks; ``public_url`` is its public address. With ``port`` 0 there is none."""

    host: Host = "127.0.0.1"
    port: Port = 5001
    public_url: OptionalUrl = ""


class Channels(msgspec.Struct, frozen=True):
    """Open channels: concurrent visitors' turns per persona, seconds until the fallback, messages per sender.

    ``retention_days`` is how long visitors' words are kept, 0 for as long as their channel is there.
    ``default_persona`` is the id of the persona who answers on a channel that names none.
    """

    beats_at_once: Annotated[int, msgspec.Meta(ge=1, le=7)] = 4
    fallback_after: Seconds = 30.0
    sender_per_minute: Count = 10
    sender_per_day: Count = 200
    retention_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0
    default_persona: OneLine = ""


class V1(msgspec.Struct, frozen=True):
    """The ``/v1`` API; ``organization_id`` is the organization that its objects show.

    ``completion_timeout`` is how long a client of ``/v1/chat/completions`` may wait for her answer, in seconds.
    """

    organization_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100), check_text] = "personad"
    completion_timeout: Seconds = 600.0


class Oidc(msgspec.Struct, frozen=True):
    """The issuer whose JSON web tokens open ``/v1`` beside the daemon's own tokens. Without ``issuer`` none do.

    At least one of ``organization_claim``, ``required_scope`` and ``required_role`` says who of the issuer's users may.
    With ``read_scope`` in place of ``required_scope`` a token may only read.
    """

    issuer: OneLine = ""
    audience: OneLine = ""
    jwks_url: Annotated[str, check_keys_url] = ""
    jwks_file: FilePath = ""
    organization_claim: OneLine = ""
    required_scope: OneLine = ""
    read_scope: OneLine = ""
    required_role: OneLine = ""
    roles_claim: OneLine = "roles"


class Model(msgspec.Struct, frozen=True):
    """A ``[models.<id>]`` table: a mind that a channel's ``modelId`` can name."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200), check_text]
    provider: Literal["local", "openai", "anthropic", "xai", "gemini", "embedded"] = "local"
    url: OptionalUrl = ""
    api_key_file: CredentialFile = ""


class Budgets(msgspec.Struct, frozen=True):
    """What each persona may use of remote minds and organs in a day and a month, and apart from it her visitors."""

    day: Limit = "unlimited"
    month: Limit = "unlimited"
    visitors_day: Limit = "unlimited"
    visitors_month: Limit = "unlimited"


class Price(msgspec.Struct, frozen=True):
    """A ``[prices."PROVIDER/MODEL"]`` table: per million tokens, per million characters, per picture and per minute.

    ``cached_input`` is for what the provider had read before; -1: as ``input``.
    """

    input: Cost = 0.0
    output: Cost = 0.0
    cached_input: Cost = -1.0
    characters: Cost = 0.0
    image: Cost = 0.0
    minute: Cost = 0.0
    currency: Annotated[str, check_currency] = "USD"


AccountType = Literal["twilio", "meta", "slack", "telegram"]


class Account(msgspec.Struct, frozen=True):
    """An ``[accounts.<name>]`` table: an account with a provider, with the paths of its secrets' files."""

    type: AccountType
    phones: Phones = ()
    account_sid: OneLine = ""
    auth_token_file: CredentialFile = ""
    messaging_service_sid: OneLine = ""
    api_key_sid: OneLine = ""
    api_key_secret_file: CredentialFile = ""
    phone_number_id: OneLine = ""
    access_token_file: CredentialFile = ""
    app_secret_file: CredentialFile = ""
    verify_token_file: CredentialFile = ""
    bot_token_file: CredentialFile = ""
    app_token_file: CredentialFile = ""
    signing_secret_file: CredentialFile = ""
    signing_key_file: CredentialFile = ""
    webhook_secret_file: CredentialFile = ""


class AccountKeys(msgspec.Struct, frozen=True):
    """The keys of one type of account.

    ``needs`` are required, ``may`` optional. At least one of ``one_of`` is required, and ``together`` come all or not
    at all.
    """

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
    "budgets": Budgets,
    "logs": Logs,
}
"""In the order of the settings file."""

TABLES: Final[dict[str, type[msgspec.Struct]]] = {"models": Model, "accounts": Account, "prices": Price}
"""Sections whose tables the operator names. Only the file can set them."""
