"""``personad export PERSONA FILE``: all her data in one file, checked after it is written."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from daemon.archives.archive import ArchiveError, Manifest, opened
from daemon.cli.client import Client, RefusedError
from daemon.cli.commands import Context, UsageError, say, say_json


def run(context: Context) -> int:
    """Write the archive under a temporary name, check it against its manifest, then give it its name."""
    arguments = context.arguments
    target: Path = arguments.file
    if target.exists() and not arguments.force:
        raise UsageError(f"{target} already exists; choose another name, or replace it with --force")
    client = Client(context.settings, context.environ, arguments.url)
    persona = client.find(arguments.persona)
    secrets = "false" if arguments.no_secrets else "true"
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _write(part, client, f"/api/persona/{persona.id}/export?secrets={secrets}")
        manifest = _checked(part)
        _put_in_place(part, target, force=arguments.force)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    size, files = target.stat().st_size, len(manifest.members)
    if arguments.json:
        say_json({"id": persona.id, "name": persona.name, "file": str(target), "size": size, "files": files})
        return 0
    say(f"{persona.name}: {files} files in {target}, {size} bytes, checked")
    if manifest.secrets:
        say("It holds her keys and tokens in the clear: keep it to yourself.")
    return 0


def _write(part: Path, client: Client, path: str) -> None:
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for piece in client.download(path):
            file.write(piece)
        file.flush()
        os.fsync(descriptor)


def _checked(part: Path) -> Manifest:
    """Raise RefusedError when the archive does not match its manifest."""
    try:
        with opened(part) as archive:
            archive.verify()
            return archive.manifest
    except ArchiveError as error:
        raise RefusedError(500, f"the archive is not complete: {error}; try again") from error


def _put_in_place(part: Path, target: Path, *, force: bool) -> None:
    if force:
        part.replace(target)
        return
    try:
        # A rename would replace a file that appeared meanwhile; a link fails instead.
        target.hardlink_to(part)
    except FileExistsError:
        raise UsageError(f"{target} already exists; choose another name, or replace it with --force") from None
