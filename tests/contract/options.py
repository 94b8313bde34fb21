"""The contract suite's command line: the server under test and what that server was configured with.

Without ``--base-url`` the server is a daemon of this checkout, and no other option is needed.
"""

from __future__ import annotations

from pathlib import Path

import pytest


def add(parser: pytest.Parser) -> None:
    """Register the options; ``tests/contract/README.md`` says what each is for."""
    group = parser.getgroup("contract", "tests/contract: hold a server to the documented API")
    group.addoption("--base-url", metavar="URL", help="the server under test; without it, a daemon of this checkout")
    group.addoption("--token-file", type=Path, metavar="FILE", help="its bearer token; /v1 is skipped without one")
    group.addoption("--mind-url", metavar="URL", help="a mind that the server reaches; without it, an echo on loopback")
    group.addoption("--mind-model", default="echo", metavar="NAME", help="the model of that mind (echo)")
    group.addoption("--mind-key-file", type=Path, metavar="FILE", help="the key of that mind")
    group.addoption("--telegram-port", type=int, metavar="PORT", help="where the server looks for Telegram on loopback")
    group.addoption("--discord-port", type=int, metavar="PORT", help="where the server looks for Discord on loopback")
    group.addoption("--phone", metavar="NUMBER", help="a free number of the server's account for SMS, in E.164")


def secret(config: pytest.Config, name: str) -> str:
    """Return the content of the file in ``--NAME-file``, "" without one. Raises UsageError if it is unreadable."""
    file: Path | None = config.getoption(f"{name}_file")
    if file is None:
        return ""
    try:
        return file.read_text().strip()
    except OSError as error:
        raise pytest.UsageError(f"--{name.replace('_', '-')}-file: {error}") from error
