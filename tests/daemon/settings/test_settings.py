"""Settings: the file, the environment, and the error texts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from daemon.settings.settings import SECTIONS, Settings, SettingsError, keys, load

TWILIO = '[accounts.a]\ntype = "twilio"\naccount_sid = "AC1"\nauth_token_file = "/t"\n'
META = (
    '[accounts.a]\ntype = "meta"\nphone_number_id = "1"\naccess_token_file = "/t"\n'
    'app_secret_file = "/s"\nverify_token_file = "/v"\n'
)

EXAMPLE = Path(__file__).parents[3] / "etc" / "personad.toml"


def load_with(tmp_path: Path, text: str | None = None, **environ: str) -> Settings:
    file = None
    if text is not None:
        file = tmp_path / "personad.toml"
        file.write_text(text)
    return load(file, {"HOME": str(tmp_path), **environ})


def test_the_example_lists_every_setting_with_its_default(tmp_path: Path) -> None:
    """etc/personad.toml, uncommented, has the code's keys in the same order with the same defaults."""
    text = re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    listed = tomllib.loads(text)

    expected: dict[str, object] = {"state_dir": "", "runtime_dir": ""}
    expected |= {section: msgspec.json.decode(msgspec.json.encode(kind())) for section, kind in SECTIONS.items()}
    assert listed == expected
    order = [f"{name}.{key}" for name in SECTIONS for key in listed[name]]
    assert order == [key.dotted for key in keys() if key.section]


def test_the_example_as_shipped_and_uncommented_both_load(tmp_path: Path) -> None:
    """An operator who copies the example, or uncomments all of it, gets the defaults."""
    shipped = load_with(tmp_path, EXAMPLE.read_text())
    uncommented = load_with(tmp_path, re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE))

    assert shipped == uncommented
    assert msgspec.structs.replace(shipped, file=None) == load_with(tmp_path)


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    """A variable overrides the file's value; the section's other keys stay."""
    settings = load_with(
        tmp_path,
        "[http]\nport = 6000\nmax_body = 2048\n[mind]\nfirst_token_timeout = 7\n",
        PERSONAD_HTTP_PORT="6001",
        PERSONAD_HTTP_ALLOWED_HOSTS="adam.example, eve.example",
        PERSONAD_MIND_BURST_WINDOW="0.5",
    )

    assert (settings.http.port, settings.http.max_body) == (6001, 2048)
    assert settings.http.allowed_hosts == ("adam.example", "eve.example")
    assert (settings.mind.first_token_timeout, settings.mind.burst_window) == (7.0, 0.5)


def test_every_setting_can_be_given_by_the_environment(tmp_path: Path) -> None:
    """Each key's variable is accepted with its default as the value."""
    defaults = {section: msgspec.json.decode(msgspec.json.encode(kind())) for section, kind in SECTIONS.items()}
    environ = {
        key.variable: ",".join(value) if isinstance(value := defaults[key.section][key.name], list) else str(value)
        for key in keys()
        if key.section
    }

    assert load_with(tmp_path, **environ) == load_with(tmp_path)


def test_the_token_of_the_command_line_is_not_a_setting(tmp_path: Path) -> None:
    """PERSONAD_TOKEN in the environment does not stop a daemon from starting."""
    assert load_with(tmp_path, PERSONAD_TOKEN="personad_0123456789abcdef").http.token_file == ""


def test_the_users_file_is_found_when_none_is_given(tmp_path: Path) -> None:
    """~/.config/personad/personad.toml is read without --config, and ~ in paths is this home directory."""
    file = tmp_path / ".config" / "personad" / "personad.toml"
    file.parent.mkdir(parents=True)
    file.write_text('state_dir = "~/adam"\n[http]\ntoken_file = "~/token"\n')

    settings = load_with(tmp_path)

    assert settings.file == file
    assert settings.state_dir == tmp_path / "adam"
    assert settings.http.token_file == str(tmp_path / "token")


@pytest.mark.parametrize(
    ("environ", "state_dir", "runtime_dir"),
    [
        ({"HOME": "/h"}, "/h/.local/state/personad", r"/tmp/personad-\d+-[0-9a-f]{8}"),
        (
            {"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/7"},
            "/h/.local/state/personad",
            r"/run/user/7/personad-[0-9a-f]{8}",
        ),
        (
            {"STATE_DIRECTORY": "/var/lib/personad:/x", "RUNTIME_DIRECTORY": "/run/personad"},
            "/var/lib/personad",
            "/run/personad",
        ),
        (
            {"STATE_DIRECTORY": "/var/lib/personad", "PERSONAD_STATE_DIR": "/s", "PERSONAD_RUNTIME_DIR": "/r"},
            "/s",
            "/r",
        ),
    ],
)
def test_directories_come_from_the_setting_systemd_or_the_home(
    environ: dict[str, str], state_dir: str, runtime_dir: str
) -> None:
    """The setting wins over systemd's variable, which wins over the home directory."""
    settings = load(None, environ)

    assert str(settings.state_dir) == state_dir
    assert re.fullmatch(runtime_dir, str(settings.runtime_dir))


def test_two_state_directories_have_two_runtime_directories(tmp_path: Path) -> None:
    """Two daemons of one user never share a socket directory."""
    one, other = load_with(tmp_path, PERSONAD_STATE_DIR="/a"), load_with(tmp_path, PERSONAD_STATE_DIR="/b")

    assert one.runtime_dir != other.runtime_dir


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[http]\nprot = 1\n", ["http.prot", "did you mean http.port"]),
        ("[htttp]\nport = 1\n", ["htttp", "unknown"]),
        ("colour = 1\n", ["colour", "unknown", "etc/personad.toml"]),
        ("http = 1\n", ["[http]", "section"]),
        ("[http]\nport = 70000\n", ["http.port", "from 0 to 65535", "70000"]),
        ('[http]\nport = "5000"\n', ["http.port", "whole number"]),
        ("[http]\nport = true\n", ["http.port", "whole number"]),
        ('[http]\nhost = "http://127.0.0.1"\n', ["http.host", "host name"]),
        ('[http]\nhost = "[::1]"\n', ["http.host", "brackets"]),
        ('[http]\nallowed_hosts = ["*"]\n', ["http.allowed_hosts", "host name"]),
        ('[http]\nallowed_hosts = "a.example"\n', ["http.allowed_hosts", "list"]),
        ('[http]\ntrusted_proxies = ["*"]\n', ["http.trusted_proxies", "IP addresses"]),
        ('[http]\ntrusted_proxies = ["10.0.0.1/8"]\n', ["http.trusted_proxies", "10.1.0.0/16"]),
        ('[http]\ntrusted_proxies = ["proxy.example"]\n', ["http.trusted_proxies", "IP addresses"]),
        ('[http]\nhost = "0.0.0.0"\n', ["http.host", "personad token", "http.token_file", "127.0.0.1"]),
        ('[http]\ntoken_file = "token"\n', ["http.token_file", "absolute path"]),
        ("[mind]\ntotal_timeout = nan\n", ["mind.total_timeout", "number"]),
        ("[mind]\ntotal_timeout = inf\n", ["mind.total_timeout", "number"]),
        ("[mind]\ntotal_timeout = 1\n", ["mind.first_token_timeout", "mind.total_timeout"]),
        ("[supervisor]\nbackoff_max = 0.1\n", ["supervisor.backoff_min", "supervisor.backoff_max"]),
        ('[providers]\nopenai_url = "ftp://a.example"\n', ["providers.openai_url", "https://"]),
        ('[providers]\nopenai_url = "https://u:p@a.example"\n', ["providers.openai_url", "password"]),
        ('[providers]\nopenai_url = "https://a.example/?key=1"\n', ["providers.openai_url", "query"]),
        ('[logs]\nlevel = "loud"\n', ["logs.level", "debug, info, warning, error"]),
        ('state_dir = "state"\n', ["state_dir", "absolute path"]),
        ("[http\n", ["not TOML", "line 1"]),
        ("[http]\nport = 5001\n", ["hooks.port", "http.port", "their own port"]),
        ('[hooks]\npublic_url = "hooks.example.org"\n', ["hooks.public_url", "https://"]),
        ('[v1]\norganization_id = ""\n', ["v1.organization_id", "1 to 100 characters"]),
        ('[oidc]\naudience = "personad"\n', ["oidc.audience needs oidc.issuer"]),
        ('[oidc]\nissuer = "i"\naudience = "a"\n', ["one of oidc.jwks_url and oidc.jwks_file"]),
        (
            '[oidc]\nissuer = "i"\naudience = "a"\njwks_url = "https://a.example/keys"\n',
            ["everybody whom the issuer knows", "oidc.organization_claim"],
        ),
        (
            '[oidc]\nissuer = "i"\naudience = "a"\njwks_file = "/k"\nrequired_role = "r"\nread_scope = "read"\n',
            ["oidc.read_scope", "set oidc.required_scope"],
        ),
        ('[oidc]\njwks_url = "http://a.example/keys"\n', ["oidc.jwks_url", "https://"]),
        ("models = 1\n", ["section of tables", "[models.NAME]"]),
        ("[models]\nfast = 1\n", ["models.fast is a table", "[models.fast]"]),
        ('[models.fast]\nurl = "http://a.example"\n', ["models.fast has no name"]),
        (
            '[models.fast]\nname = "m"\napi_key = "k"\n',
            ["models.fast.api_key", "did you mean models.fast.api_key_file"],
        ),
        ('[models.fast]\nname = "m"\nprovider = "open"\n', ["models.fast.provider", "local, openai"]),
        ('[models."two words"]\nname = "m"\n', ["[models.'two words']", "letters, digits"]),
        ('[accounts.a]\nphones = ["+15005550006"]\n', ["accounts.a has no type"]),
        ('[accounts.a]\ntype = "sms"\n', ["accounts.a.type", "twilio, meta, slack, telegram"]),
        ('[accounts.a]\ntype = "twilio"\n', ["accounts.a (type twilio)", "phones, account_sid, auth_token_file"]),
        (f'{TWILIO}phones = ["015005550006"]\n', ["accounts.a.phones", "E.164"]),
        (f'{TWILIO}phones = ["+1500"]\nbot_token_file = "/b"\n', ["does not take bot_token_file"]),
        (f'{TWILIO}phones = ["+1500"]\napi_key_sid = "SK1"\n', ["api_key_sid and api_key_secret_file together"]),
        ('[accounts.a]\ntype = "slack"\nbot_token_file = "/b"\n', ["app_token_file or signing_secret_file"]),
        ('[accounts.a]\ntype = "telegram"\nbot_token_file = "etc/b"\n', ["accounts.a.bot_token_file", "absolute"]),
        (f'{META}phones = ["+1500", "+1501"]\n', ["one phone number", "a table for each"]),
        ('[budgets]\nday = "-1 tokens"\n', ["budgets.day", "200000 tokens"]),
        ('[budgets]\nday = "nan USD"\n', ["budgets.day", "2.50 USD"]),
        ("[budgets]\nday = 5\n", ["budgets.day", "text"]),
        ('[budgets]\nday = "5 XXX"\n', ["budgets.day", "currency"]),
        ('[budgets]\nday = "5 USD"\n', ["budgets.day is in USD", "no model has a price", "[prices]"]),
        ('[budgets]\nday = "5 EUR"\n[prices."openai/m"]\n', ["budgets.day is in EUR", "the prices are in USD"]),
        ('[prices."openai/m"]\ninput = nan\n', ["prices.openai/m.input", "from 0 to 1000000"]),
        ('[prices."openai/m"]\ninput = -1\n', ["prices.openai/m.input", "from 0 to 1000000"]),
        ('[prices."openai/m"]\ncurrency = "USX"\n', ["prices.openai/m.currency", "USD or EUR"]),
        ('[prices."open/m"]\n', ['[prices."open/m"]', "openai, anthropic, xai, gemini, local"]),
        ("[prices.gpt]\n", ['[prices."gpt"]', "PROVIDER/MODEL"]),
        (
            '[prices."openai/a"]\n[prices."openai/b"]\ncurrency = "EUR"\n',
            ["prices are in EUR and USD", "one currency"],
        ),
    ],
)
def test_a_fault_in_the_file_names_the_file_the_key_and_what_to_do(tmp_path: Path, text: str, words: list[str]) -> None:
    """Every error can be corrected from its one line."""
    with pytest.raises(SettingsError) as caught:
        load_with(tmp_path, text)

    line = str(caught.value)
    assert line.startswith(str(tmp_path / "personad.toml"))
    assert "\n" not in line
    for word in words:
        assert word in line


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PERSONAD_HTTP_PROT", "5000", ["PERSONAD_HTTP_PROT", "did you mean PERSONAD_HTTP_PORT"]),
        ("PERSONAD_HTTP_PORT", "five", ["PERSONAD_HTTP_PORT", "http.port", "whole number"]),
        ("PERSONAD_HTTP_PORT", "", ["PERSONAD_HTTP_PORT", "http.port", "whole number"]),
        ("PERSONAD_HTTP_HOST", "::", ["PERSONAD_HTTP_HOST", "token"]),
        ("PERSONAD_MODELS_FAST_NAME", "m", ["PERSONAD_MODELS_FAST_NAME", "[models.NAME]", "only the settings file"]),
        ("PERSONAD_RUNTIME_DIR", "/" + "x" * 90, ["PERSONAD_RUNTIME_DIR", "shorter"]),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(
    tmp_path: Path, variable: str, value: str, words: list[str]
) -> None:
    """The error names the variable."""
    with pytest.raises(SettingsError) as caught:
        load_with(tmp_path, **{variable: value})

    for word in words:
        assert word in str(caught.value)


def test_a_token_that_was_written_into_a_setting_is_not_repeated(tmp_path: Path) -> None:
    """A secret in the wrong setting is not quoted in the error."""
    with pytest.raises(SettingsError) as caught:
        load_with(tmp_path, '[http]\ntoken_file = "personad_0123456789abcdefghij"\n')

    assert "0123456789abcdefghij" not in str(caught.value)


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    """A wrong path after --config is an error; the defaults are not used."""
    with pytest.raises(SettingsError, match="there is no such settings file"):
        load(tmp_path / "absent.toml", {})


def test_an_address_of_other_machines_is_taken_with_a_token_file(tmp_path: Path) -> None:
    """With a token the daemon may listen on any address."""
    settings = load_with(tmp_path, '[http]\nhost = "0.0.0.0"\ntoken_file = "/etc/personad/token"\n')

    assert settings.http.host == "0.0.0.0"


def test_the_examples_tables_can_be_taken_as_they_are(tmp_path: Path) -> None:
    """The example's accounts and models are valid once they are uncommented."""
    text = re.sub(r"^# {1,3}(?=\[\w+\.|[a-z_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)

    settings = load_with(tmp_path, text)

    assert [account.type for account in settings.accounts.values()] == ["twilio", "meta", "slack", "telegram"]
    assert settings.accounts["my-twilio"].phones == ("+15005550006",)
    assert settings.models["fast"].provider == "openai"
    assert settings.prices["openai/MODEL"].cached_input == 0.25


def test_prices_and_budgets_are_read(tmp_path: Path) -> None:
    """A model's name may hold a slash; a budget in money goes with prices in its currency."""
    text = (
        '[prices."openai/gpt-x"]\ninput = 2.5\noutput = 10\n[prices."local/hf.co/a/b:Q4"]\n'
        '[budgets]\nday = "2.50 USD"\nvisitors_month = "0 tokens"\n'
    )
    settings = load_with(tmp_path, text)

    assert (settings.prices["openai/gpt-x"].input, settings.prices["openai/gpt-x"].output) == (2.5, 10)
    assert "local/hf.co/a/b:Q4" in settings.prices
    assert (settings.budgets.day, settings.budgets.month) == ("2.50 USD", "unlimited")
