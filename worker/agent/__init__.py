"""The agent: turns, and the senses that come before them."""
