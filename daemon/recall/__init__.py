"""Recall: what was said long ago is found again, by its words, its meaning and its time."""
