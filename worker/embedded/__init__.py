"""The embedded organs: models that ship inside packages and run in the organ host.

``host`` answers the daemon, each organ has a module of its own, ``weights`` knows what they need. Importing this
package loads no model and no heavy library: each organ does that on its own thread, when it is first asked.
"""

from __future__ import annotations

from worker.embedded.weights import check

__all__ = ["check"]
