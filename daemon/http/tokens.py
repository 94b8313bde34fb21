"""The API's tokens: a file with one a line, read again when it changes, and the making of a new one.

A line ``read-only TOKEN`` holds a token that may read and change nothing.
"""

from __future__ import annotations

import enum
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Final, NamedTuple

from daemon.settings.private_files import PrivateFileError, check_private, read_private

SETTING: Final = "http.token_file"
PREFIX: Final = "personad_"
RANDOM_BYTES: Final = 32
MIN_LENGTH: Final = 16
MAX_FILE: Final = 65_536
READ_ONLY: Final = b"read-only"
"""The word before a token that may only read."""
CHECK_SECONDS: Final = 1.0
"""How long a change of the file may go unseen."""


class Access(enum.Enum):
    """What a token opens."""

    NONE = enum.auto()
    READ = enum.auto()
    FULL = enum.auto()


class TokenSet(NamedTuple):
    """The tokens of a file: those that may do everything, and those that may only read."""

    full: tuple[bytes, ...] = ()
    reading: tuple[bytes, ...] = ()


class TokenError(ValueError):
    """A token file that cannot be used; the text says what to do and quotes nothing of it."""


class Mark(NamedTuple):
    """What tells a changed file from an unchanged one."""

    inode: int
    modified: int
    size: int


class Tokens:
    """The tokens of ``http.token_file``; without a file nothing is required.

    Raises TokenError when the file cannot be used at the start. A file that becomes unusable later, or is gone, lets
    nobody in: the tokens of before may have been revoked. An ``optional`` file may also come later.
    """

    def __init__(self, token_file: str, optional: bool = False) -> None:
        self._file = Path(token_file) if token_file else None
        self._tokens = TokenSet()
        self._mark: Mark | None = None
        self._checked = 0.0
        self.fault = ""
        """Why the file lets nobody in at the moment, for logs and ``personad doctor``; empty when it is in order."""
        self._optional = optional
        if optional:
            self._checked = -CHECK_SECONDS
        elif self._file:
            self._tokens = read_tokens(self._file)
            self._mark = _mark(self._file)
            self._checked = time.monotonic()

    @property
    def required(self) -> bool:
        """Whether requests need a token."""
        return self._file is not None

    @property
    def exist(self) -> bool:
        """Whether there is any token."""
        self._refresh()
        return any(self._tokens)

    def access(self, presented: str) -> Access:
        """Return what ``presented`` opens, in a time that does not depend on which token it is or how nearly.

        A token that stands in the file with and without ``read-only`` may only read.
        """
        self._refresh()
        given = presented.encode("utf-8", "surrogatepass")
        full = _is_one_of(self._tokens.full, given)
        if _is_one_of(self._tokens.reading, given):
            return Access.READ
        return Access.FULL if full else Access.NONE

    def valid(self, presented: str) -> bool:
        """Return whether ``presented`` is one of the tokens."""
        return self.access(presented) is not Access.NONE

    def _refresh(self) -> None:
        """Look at the file at most once a second; one ``stat`` of a small file may run in the event loop."""
        now = time.monotonic()
        if self._file is None or now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        mark = _mark(self._file)
        if mark == self._mark and mark is not None:
            return
        self._mark = mark
        if mark is None and self._optional:
            self._tokens, self.fault = TokenSet(), ""
            return
        try:
            self._tokens = read_tokens(self._file)
            self.fault = ""
        except TokenError as error:
            self._tokens = TokenSet()
            self.fault = str(error)


def _is_one_of(tokens: tuple[bytes, ...], given: bytes) -> bool:
    found = False
    for token in tokens:
        found |= hmac.compare_digest(token, given)
    return found


def _mark(file: Path) -> Mark | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return Mark(found.st_ino, found.st_mtime_ns, found.st_size)


def read_tokens(file: Path) -> TokenSet:
    """Read a token file: one token a line, ``read-only`` before it or not, ``#`` begins a comment line.

    Raises TokenError.
    """
    try:
        data = read_private(file, MAX_FILE, SETTING, f"make a token with `personad token`, or correct {SETTING}")
    except PrivateFileError as error:
        raise TokenError(str(error)) from error
    full: list[bytes] = []
    reading: list[bytes] = []
    for number, line in enumerate(data.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith(b"#"):
            continue
        kind, token = (reading, words[1:]) if words[0] == READ_ONLY else (full, words)
        if len(token) != 1 or len(token[0]) < MIN_LENGTH or not all(0x21 <= byte <= 0x7E for byte in token[0]):
            raise TokenError(
                f"{file}: line {number} is no token: at least {MIN_LENGTH} printable characters, no spaces, and before"
                " them nothing but 'read-only' and a space"
            )
        kind.append(token[0])
    if not full and not reading:
        raise TokenError(f"{file}: holds no token; make one with `personad token`")
    return TokenSet(tuple(full), tuple(reading))


def make_token() -> str:
    """Return a new token: ``personad_`` and 32 random bytes as base64url."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def add_token(file: Path, token: str, *, read_only: bool = False) -> None:
    """Add a token to a file of mode 0600, made if it is missing, whole or not at all. Raises TokenError."""
    line = (READ_ONLY + b" " if read_only else b"") + token.encode() + b"\n"
    before = b""
    try:
        if file.exists():
            check_private(file, file.stat(), SETTING)
            before = file.read_bytes()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if before and not before.endswith(b"\n"):
            before += b"\n"
        _write_whole(file, before + line)
    except PrivateFileError as error:
        raise TokenError(str(error)) from error
    except OSError as error:
        raise TokenError(
            f"{file}: cannot be written: {error.strerror}; choose another place in http.token_file"
        ) from error


def _write_whole(file: Path, data: bytes) -> None:
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
