"""Prompts, and the parsing of their answers."""
