"""Feeding: a persona learns from the history of another AI, in a process of its own."""
