"""The front process: the HTTP API, the ledger, and the supervision of one worker per running persona."""
