"""The roof: it makes the parts, brings the personas up, and leaves in order. Only the command imports it."""
