"""The Discord gateway."""
