"""Personas on disk: records, memory, media, and edits made by hand."""
