"""What every other room of the worker may use: the link, the log, backoff, TLS."""
