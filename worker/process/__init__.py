"""The process: how it is born, which of its lives it leads, and its link to the daemon."""
