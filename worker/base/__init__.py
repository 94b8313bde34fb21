"""What every other folder here may use: the log, backoff, TLS."""
