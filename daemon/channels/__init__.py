"""Channels: adding, pairing, opening and removing them, and taking in what comes through them."""
