"""``personad serve``: the daemon in the foreground."""

from __future__ import annotations

from daemon.cli.commands import Context


def run(context: Context) -> int:
    """Run until the daemon is asked to stop; return its exit code."""
    from daemon.startup.serve import run as serve

    return serve(context.settings, context.arguments.create_first, accept_loss=context.arguments.accept_loss)
