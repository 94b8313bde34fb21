"""Files that hold secrets, which no other user may read or write."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class PrivateFileError(ValueError):
    """A file cannot be used. The text says what to do and quotes nothing from the file."""


def read_private(file: Path, limit: int, setting: str, otherwise: str) -> bytes:
    """Read at most ``limit`` bytes of the file that ``setting`` names. Raises PrivateFileError.

    ``otherwise`` is the part of the error that says what to do when it cannot be opened.
    """
    try:
        # Non-blocking, because opening a FIFO would wait for its writer (https://man7.org/linux/man-pages/man7/fifo.7.html).
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            check_private(file, os.fstat(stream.fileno()), setting)
            data = stream.read(limit + 1)
    except OSError as error:
        raise PrivateFileError(f"{file}: {error.strerror}; {otherwise}") from error
    if len(data) > limit:
        raise PrivateFileError(f"{file}: larger than {limit} bytes, which is too large for {setting}")
    return data


def check_private(file: Path, found: os.stat_result, setting: str) -> None:
    """Raise PrivateFileError when other users may read the file.

    Files under ``$CREDENTIALS_DIRECTORY`` may have mode 0440: systemd keeps them in a directory that only the service
    can enter (https://systemd.io/CREDENTIALS/).
    """
    if not stat.S_ISREG(found.st_mode):
        raise PrivateFileError(f"{file}: not a regular file; set {setting} to the path of one")
    credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
    allowed = 0o740 if credentials and file.is_relative_to(credentials) else 0o700
    if stat.S_IMODE(found.st_mode) & 0o777 & ~allowed:
        raise PrivateFileError(
            f"{file}: others may read or write it (mode {stat.S_IMODE(found.st_mode):04o}); chmod 600 {file}"
        )
    if found.st_uid not in (os.geteuid(), 0):
        raise PrivateFileError(f"{file}: belongs to another user (uid {found.st_uid}); chown it to this one's")
