"""Supervision: the processes, how they are made, watched, ended and replaced."""
