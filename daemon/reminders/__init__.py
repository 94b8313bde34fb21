"""Reminders and routines: what she tells or does at a time."""
