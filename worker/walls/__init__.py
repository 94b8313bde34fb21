"""Walls that the kernel holds: Landlock for files, ports and signals, seccomp for system calls, limits for memory."""
