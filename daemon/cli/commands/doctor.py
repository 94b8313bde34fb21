"""``personad doctor``: checks the installation and says what to do."""

from __future__ import annotations

from daemon.cli.commands import Context, say, say_json
from daemon.cli.doctor import Finding, examine
from daemon.settings.settings import SettingsError

FAILED = 1
MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def run(context: Context) -> int:
    """Print every finding; return 1 when a check failed."""
    arguments = context.arguments
    return report(examine(context.settings, context.environ, arguments.url), as_json=arguments.json)


def broken_settings(error: SettingsError, *, as_json: bool) -> int:
    """Report invalid settings; every other check needs valid ones."""
    return report([Finding("settings", "fail", str(error))], as_json=as_json)


def report(findings: list[Finding], *, as_json: bool) -> int:
    """Print findings and return the exit code."""
    if as_json:
        say_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            say(f"{MARKS[finding.state]}  {finding.check}: {finding.words}")
    return FAILED if any(finding.state == "fail" for finding in findings) else 0
