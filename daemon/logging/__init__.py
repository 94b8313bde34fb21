"""The log: one event a line, without secrets, kept for those who ask later."""
