"""Conversations: what was accepted on its way to an answer, and the answer on its way out."""
