"""The secrets of accounts and models: their files, permissions and error texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.settings.accounts import read_accounts, read_models
from daemon.settings.settings import Settings, SettingsError, load
from proto.records import Organ
from proto.secrets import Secret

TWILIO = '[accounts.shop]\ntype = "twilio"\nphones = ["+15005550006"]\naccount_sid = "AC1"\n'


def settings_with(tmp_path: Path, text: str, **environ: str) -> Settings:
    file = tmp_path / "personad.toml"
    file.write_text(text)
    return load(file, {"HOME": str(tmp_path), **environ})


def secret(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    file = tmp_path / "secret"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_an_accounts_files_are_read_and_kept_as_secrets(tmp_path: Path) -> None:
    """The credential has its setting's name without _file, and cannot be printed."""
    file = secret(tmp_path, "s3cret\n")
    account = read_accounts(settings_with(tmp_path, f'{TWILIO}auth_token_file = "~/{file.name}"\n'))["shop"]

    assert (account.name, account.type, account.phones) == ("shop", "twilio", ("+15005550006",))
    assert account.credentials == {"account_sid": Secret("AC1"), "auth_token": Secret("s3cret")}
    assert "s3cret" not in repr(account)


def test_a_models_key_comes_from_systemds_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name is looked up under $CREDENTIALS_DIRECTORY; a local model is an organ without a provider."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    file = secret(tmp_path, "k3y", 0o440)
    text = f'[models.fast]\nname = "m"\nprovider = "xai"\napi_key_file = "{file.name}"\n[models.slow]\nname = "l"\n'
    models = read_models(settings_with(tmp_path, text, CREDENTIALS_DIRECTORY=str(tmp_path)))

    assert models == {"fast": Organ("m", "xai", Secret("k3y")), "slow": Organ("l")}


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("s3cret", 0o644, "chmod 600"),
        ("", 0o600, "must hold one secret"),
        ("two words", 0o600, "without spaces"),
        ("s\u00e9cret", 0o600, "at byte 1"),
        ("x" * 9000, 0o600, "larger than 8192 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, mode: int, words: str) -> None:
    """The error names the setting and the file, says what to do, and quotes nothing of the secret."""
    file = secret(tmp_path, text, mode)
    settings = settings_with(tmp_path, f'{TWILIO}auth_token_file = "{file}"\n')

    with pytest.raises(SettingsError, match=words) as caught:
        read_accounts(settings)

    line = str(caught.value)
    assert line.startswith("accounts.shop.auth_token_file: ")
    assert not text or text not in line


def test_a_file_that_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    """Outside systemd the error explains a bare name; for an absolute path it shows the path."""
    with pytest.raises(SettingsError, match="put the secret there, or correct"):
        read_accounts(settings_with(tmp_path, f'{TWILIO}auth_token_file = "/nowhere/at/all"\n'))
    with pytest.raises(SettingsError, match="LoadCredential=twilio:PATH"):
        read_accounts(settings_with(tmp_path, f'{TWILIO}auth_token_file = "twilio"\n'))
