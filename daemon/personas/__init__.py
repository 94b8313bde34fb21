"""Personas on disk: the record, the memory, the media, and the edits that are made by hand."""
