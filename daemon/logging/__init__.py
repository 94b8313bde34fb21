"""The log: one event per line, without secrets, with the latest events kept in memory."""
