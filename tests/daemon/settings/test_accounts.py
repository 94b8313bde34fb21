"""The secrets of accounts and models: their files, permissions and error texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.settings.accounts import Accounts, read_accounts, read_models
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


async def settled(accounts: Accounts) -> set[str]:
    """What a change of the files brought: the first look sees it, and the second one reads it."""
    assert await accounts.refresh() == set()
    return await accounts.refresh()


async def test_accounts_follow_their_files(tmp_path: Path) -> None:
    """A new secret, number, account or a removed one is there after the file is settled; what is equal is no change."""
    file = secret(tmp_path, "s3cret\n")
    text = f'{TWILIO}auth_token_file = "{file}"\n'
    accounts = Accounts(settings_with(tmp_path, text), {"HOME": str(tmp_path)})
    assert accounts.files() == [str(file)]
    assert await settled(accounts) == set()

    file.write_text("an0ther\n")
    assert await settled(accounts) == {"shop"}
    assert accounts["shop"].credentials["auth_token"] == Secret("an0ther")
    settings_with(tmp_path, f"{text}[models.slow]\nname = 'l'\n")
    assert await settled(accounts) == set()
    folder = tmp_path / "more"
    folder.mkdir()
    more = secret(folder, "b0t")
    settings_with(tmp_path, f'[accounts.robot]\ntype = "telegram"\nbot_token_file = "{more}"\n')
    assert await settled(accounts) == {"shop", "robot"}
    assert (list(accounts), len(accounts), accounts.files()) == (["robot"], 1, [str(more)])


async def test_a_faulty_change_leaves_the_accounts_as_they_were(tmp_path: Path) -> None:
    """The fault says why, quotes no secret, and is gone when the files are in order again."""
    file = secret(tmp_path, "s3cret\n")
    good = f'{TWILIO}auth_token_file = "{file}"\n'
    settings = settings_with(tmp_path, good)
    accounts = Accounts(settings, {"HOME": str(tmp_path)})
    await settled(accounts)
    before = dict(accounts)
    assert settings.file is not None

    for text, words in ((good + "[", "not TOML"), (good + "[http]\nport = 'x'\n", "http.port"), (None, "no such")):
        if text is None:
            settings.file.unlink()
        else:
            settings.file.write_text(text)
        assert await settled(accounts) == set()
        assert words in accounts.fault
        assert dict(accounts) == before
    settings.file.write_text(good)
    file.write_text("tw0 secrets\n")
    assert await settled(accounts) == set()
    assert "without spaces" in accounts.fault
    assert "tw0" not in accounts.fault
    assert dict(accounts) == before
    file.write_text("s3cret\n")
    assert await settled(accounts) == set()
    assert (accounts.fault, dict(accounts)) == ("", before)


async def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    """Half a file may be valid, too: it is read once two looks find it the same."""
    file = secret(tmp_path, "s3cret\n")
    accounts = Accounts(settings_with(tmp_path, f'{TWILIO}auth_token_file = "{file}"\n'), {"HOME": str(tmp_path)})
    await settled(accounts)
    for half in ("a", "an0", "an0ther"):
        file.write_text(half)
        assert await accounts.refresh() == set()
    assert accounts["shop"].credentials["auth_token"] == Secret("s3cret")
    assert await accounts.refresh() == {"shop"}
    assert accounts["shop"].credentials["auth_token"] == Secret("an0ther")
