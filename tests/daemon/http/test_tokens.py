"""Tokens: what the file may hold, who may read it, and what happens when it changes."""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from daemon.http import tokens
from daemon.http.tokens import Access, TokenError, Tokens, TokenSet, add_token, make_token, read_tokens
from tests.fsyncs import assert_durable, recorded

ONE = "personad_" + "a" * 43
TWO = "personad_" + "b" * 43


def write(file: Path, text: str, mode: int = 0o600) -> Path:
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_new_token_is_on_the_disk(tmp_path: Path) -> None:
    """A token that was shown to its owner is in the file after a power cut, beside those of before."""
    file = tmp_path / "tokens"
    for token, size, replaced in ((ONE, 53, False), (TWO, 106, True)):
        with recorded() as syncs:
            add_token(file, token)
        assert_durable(syncs, file, size, replaced=replaced)


def test_without_a_file_no_token_is_required() -> None:
    """A daemon on the loopback answers without a token, and takes none for one."""
    tokens = Tokens("")

    assert not tokens.required
    assert not tokens.valid("")


def test_each_token_of_the_file_is_valid_and_nothing_else(tmp_path: Path) -> None:
    """One token a line; comments and blank lines are none, and neither is the empty text."""
    tokens = Tokens(str(write(tmp_path / "token", f"# for the panel\n{ONE}\n\n  {TWO}  \n")))

    assert tokens.required
    assert tokens.valid(ONE)
    assert tokens.valid(TWO)
    for wrong in (
        "",
        ONE[:-1],
        ONE[:-1] + "b",
        ONE + "a",
        "# for the panel",
        f"{ONE}\n{TWO}",
        "ä",
        "\ud800",
        ONE.upper(),
    ):
        assert not tokens.valid(wrong)


def test_a_read_only_token_opens_less(tmp_path: Path) -> None:
    """The word stands before the token; a token that is there with and without it may only read."""
    file = write(tmp_path / "token", f"{ONE}\nread-only\t{TWO}\n")
    tokens = Tokens(str(file))

    assert tokens.access(ONE) is Access.FULL
    assert tokens.access(TWO) is Access.READ
    for wrong in ("", "read-only", f"read-only {TWO}", f"read-only\t{TWO}", TWO[:-1]):
        assert tokens.access(wrong) is Access.NONE
    file.write_text(f"{ONE}\nread-only {ONE}\n")
    assert Tokens(str(file)).access(ONE) is Access.READ


def test_every_token_is_compared_and_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However early a token fits, the work is the same."""
    live = Tokens(str(write(tmp_path / "token", f"{ONE}\nread-only {TWO}\n")))
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def counted(one: bytes, two: bytes) -> bool:
        compared.append(one)
        return compare(one, two)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for presented in (ONE, TWO, "neither"):
        live.access(presented)
        assert compared == [ONE.encode(), TWO.encode()]
        compared.clear()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    """The error says which file, and the command that mends it."""
    file = write(tmp_path / "token", ONE, mode)

    with pytest.raises(TokenError, match=f"chmod 600 {file}"):
        Tokens(str(file))


def test_systemds_credentials_may_be_readable_by_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files under $CREDENTIALS_DIRECTORY are 0440 and in order; others with that mode are not."""
    inside = tmp_path / "credentials"
    inside.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(inside))

    assert Tokens(str(write(inside / "token", ONE, 0o440))).valid(ONE)
    with pytest.raises(TokenError):
        Tokens(str(write(inside / "open", ONE, 0o444)))
    with pytest.raises(TokenError):
        Tokens(str(write(tmp_path / "token", ONE, 0o440)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no token"),
        ("# only this\n", "holds no token"),
        ("short\n", "line 1 is no token"),
        (f"{ONE}\ntwo words in one line\n", "line 2 is no token"),
        (f"{ONE}\n\nread-only\n", "line 3 is no token"),
        ("read-only short\n", "line 1 is no token"),
        (f"read-only {ONE} two words\n", "line 1 is no token"),
        (f"readonly {ONE}\n", "line 1 is no token"),
        ("x" * 70_000, "larger than"),
    ],
)
def test_a_file_without_proper_tokens_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """The error names the line and repeats nothing of it."""
    with pytest.raises(TokenError, match=words) as caught:
        Tokens(str(write(tmp_path / "token", text)))

    assert "two words" not in str(caught.value)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A missing file, a directory and a pipe that nobody writes to are errors, not waits."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("absent", ".", "pipe"):
        with pytest.raises(TokenError):
            Tokens(str(tmp_path / name))


def test_a_changed_file_is_taken_within_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is taken out is void and one that is put in is valid, without a restart."""
    monkeypatch.setattr(tokens, "CHECK_SECONDS", 0.0)
    file = write(tmp_path / "token", ONE)
    live = Tokens(str(file))
    assert live.valid(ONE)

    file.unlink()
    assert not live.valid(ONE)
    assert "absent" in live.fault or "No such file" in live.fault
    add_token(file, TWO)
    assert live.valid(TWO)
    assert not live.valid(ONE)
    assert live.fault == ""
    file.chmod(0o644)
    os.utime(file, (1, 1))
    assert not live.valid(TWO)
    assert "chmod 600" in live.fault


def test_the_file_is_not_looked_at_for_every_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks within a second use what was read once; the first one after it looks again."""
    now = 1000.0
    monkeypatch.setattr(tokens, "time", SimpleNamespace(monotonic=lambda: now))
    file = write(tmp_path / "token", ONE)
    live = Tokens(str(file))
    file.unlink()
    for now in (1000.0, 1000.5, 1000.999):  # noqa: B007  the clock reads it
        assert live.valid(ONE)
    now = 1001.0
    assert not live.valid(ONE)


def test_a_new_token_is_long_random_and_private(tmp_path: Path) -> None:
    """``personad token`` writes a file that only its owner reads, and keeps what was in it."""
    file = tmp_path / "made" / "token"
    first, second = make_token(), make_token()
    add_token(file, first)
    add_token(file, second)

    assert first != second
    assert first.startswith("personad_")
    assert len(first) >= len("personad_") + 43
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_tokens(file) == TokenSet((first.encode(), second.encode()))
    assert [entry.name for entry in file.parent.iterdir()] == ["token"]
    third = make_token()
    add_token(file, third, read_only=True)
    assert read_tokens(file).reading == (third.encode(),)


def test_a_token_is_not_added_to_a_file_that_others_read(tmp_path: Path) -> None:
    """A new token does not go where it is no secret."""
    with pytest.raises(TokenError, match="chmod 600"):
        add_token(write(tmp_path / "token", ONE + "\n", 0o644), TWO)
