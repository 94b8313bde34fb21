"""``python -m daemon``: kept bare, since a process that is forked may import it again."""

from __future__ import annotations

import sys

from daemon.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
