"""``personad token``: make a token for the API and print it once."""

from __future__ import annotations

import sys
from pathlib import Path

from daemon.cli.commands import Context, UsageError, say, say_json
from daemon.http.tokens import TokenError, add_token, make_token
from daemon.logging.terminal import one_line


def run(context: Context) -> int:
    """Add a token to the file. Print only the token to standard output, and what to do with it to standard error."""
    named = context.settings.http.token_file
    file: Path = context.arguments.file or Path(named or context.settings.state_dir / "token")
    file = file.absolute()
    token = make_token()
    try:
        add_token(file, token, read_only=context.arguments.read_only)
    except TokenError as error:
        raise UsageError(str(error)) from error
    if context.arguments.json:
        say_json({"token": token, "file": str(file), "read_only": context.arguments.read_only})
        return 0
    say(token)
    if named and Path(named) == file:
        hint = f"Added to {file}; a running daemon accepts it within a second. It is not shown again."
    elif not named and file == (context.settings.state_dir / "token").absolute():
        hint = (
            f"Written to {file}. It is not shown again. A running daemon accepts it for /v1 within a second. To require"
            f' it for everything, set token_file under [http] in personad.toml to "{file}" and restart the daemon.'
        )
    else:
        hint = (
            f"Written to {file}. It is not shown again. To use it, set token_file under [http] in personad.toml"
            f' to "{file}" (or PERSONAD_HTTP_TOKEN_FILE) and restart the daemon.'
        )
    if context.arguments.read_only:
        hint += " It may read and listen, and changes nothing."
    print(one_line(hint), file=sys.stderr)
    return 0
