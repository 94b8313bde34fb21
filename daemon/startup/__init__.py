"""The roof: puts the parts together, brings everybody up, and leaves in order. Nothing imports it but the command."""
