"""One TLS context for all of a worker's connections, because it takes 20 ms and 2 MB to create."""

from __future__ import annotations

import functools
import ssl


@functools.cache
def context() -> ssl.SSLContext:
    """Return the shared client context with the system's certificates.

    The zygote may call this before it forks, so that all workers share the memory.
    """
    return ssl.create_default_context()
