"""The embedded organs: models that are part of installed packages and run in the organ host.

``host`` answers the daemon, each organ has its own module, and ``weights`` lists what they need. Importing this package
loads no model and no heavy library: each organ does that on its own thread at its first call.
"""

from __future__ import annotations

from worker.embedded.weights import check

__all__ = ["check"]
