"""The command ``personad``: a thin client of the HTTP API, and ``serve``."""
