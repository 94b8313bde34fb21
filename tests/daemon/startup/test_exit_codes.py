"""What keeps a daemon from starting: 64 for settings only, 75 for what may pass, 65 for a ledger that is damaged."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from daemon.http.tokens import TokenError
from daemon.ledger import LedgerBusy, LedgerDamaged, LedgerError, LedgerFull, LedgerLost
from daemon.ledger.schema import open_writer
from daemon.settings.settings import SettingsError
from daemon.startup import resources
from daemon.startup.serve import code_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LedgerFull("the disk is full"), 75),
        (LedgerBusy("another program holds it"), 75),
        (LedgerLost("is missing"), 65),
        (LedgerDamaged("is damaged"), 65),
        (LedgerError("has version 99"), 64),
        (TokenError("chmod 600"), 64),
        (SettingsError("http.port"), 64),
    ],
)
def test_the_code_of_an_error(error: LedgerError | TokenError | SettingsError, code: int) -> None:
    """Only what nothing but a person can mend is not tried again."""
    assert code_of(error) == code


@pytest.mark.parametrize(
    ("number", "passes"),
    [
        *[(one, True) for one in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV)],
        *[(one, False) for one in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)],
    ],
)
def test_a_folder_or_a_file_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    """A full disk, a share that is away and a file system that is read-only pass; a wrong path does not."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(resources.DirectoryUnusable) as unusable:
        resources.private_directory(tmp_path / "state")
    assert unusable.value.passes == passes
    with pytest.raises(LedgerError) as unopened:
        open_writer(tmp_path / "state" / "ledger.db")
    assert isinstance(unopened.value, LedgerFull) == passes
